"""What is offered for gas."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from integrations.chains.evm.fees import LEAST_PRIORITY, MOST_PRIORITY, GasOffers, legacy_offers, offers
from integrations.chains.evm.messages import FeeHistory

GWEI = 10**9
WEI = st.integers(0, 2**70)


def history(base_fee: int, *rewards: tuple[int, ...]) -> FeeHistory:
    return FeeHistory((base_fee,) * (len(rewards) + 1), rewards)


def priorities(found: GasOffers) -> list[int | None]:
    return [found.slow.priority, found.standard.priority, found.fast.priority]


def test_the_median_of_each_percentile_is_offered_above_the_base_fee_with_headroom() -> None:
    found = offers(history(20 * GWEI, *[(GWEI, 2 * GWEI, 3 * GWEI)] * 20))
    assert found.base_fee == 20 * GWEI
    assert priorities(found) == [GWEI, 2 * GWEI, 3 * GWEI]
    assert [found.slow.most, found.standard.most, found.fast.most] == [26 * GWEI, 32 * GWEI, 43 * GWEI]
    assert [found.slow.blocks, found.standard.blocks, found.fast.blocks] == [6, 3, 1]


def test_the_next_blocks_base_fee_counts() -> None:
    assert offers(FeeHistory((10, 20, 30), ((1, 2, 3), (1, 2, 3)))).base_fee == 30


@pytest.mark.parametrize("absurd", [(0, 0, 0), (10**6 * GWEI,) * 3])
def test_a_few_absurd_or_empty_blocks_move_nothing(absurd: tuple[int, int, int]) -> None:
    normal = [(GWEI, 2 * GWEI, 3 * GWEI)] * 14
    assert priorities(offers(history(GWEI, *normal, *[absurd] * 6))) == [GWEI, 2 * GWEI, 3 * GWEI]


def test_where_nobody_pays_anything_the_least_that_nodes_take_is_offered() -> None:
    assert priorities(offers(history(7, *[(0, 0, 0)] * 20))) == [LEAST_PRIORITY] * 3
    assert priorities(offers(FeeHistory((), ()))) == [LEAST_PRIORITY] * 3


def test_without_a_base_fee_the_price_of_a_node_is_offered() -> None:
    found = legacy_offers(100)
    assert (found.base_fee, priorities(found)) == (None, [None] * 3)
    assert [found.slow.most, found.standard.most, found.fast.most] == [100, 110, 125]


@given(WEI, st.lists(st.tuples(WEI, WEI, WEI), max_size=25))
def test_faster_never_offers_less_and_nothing_makes_an_offer_absurd(base: int, rewards: list[tuple[int, ...]]) -> None:
    found = offers(history(base, *rewards))
    assert found.slow.most <= found.standard.most <= found.fast.most
    for offer in (found.slow, found.standard, found.fast):
        assert offer.priority is not None
        assert LEAST_PRIORITY <= offer.priority <= MOST_PRIORITY
        assert offer.most >= base + offer.priority
