"""Fees by volume: which days count, which tier follows, and when the exchange is told."""

from itertools import pairwise

import pytest

from core.clock import ManualClock
from core.database import Database
from core.order_vocabulary import OrderErrorCode
from events.answers import Answer, RefusalState
from events.commands import SetFeeTier
from services.fee_tiers import TIERS, FeeTiers, UnitVolumes, add_volume, tier_of, volume_rows, volumes_of_rows
from services.valuation import Valuation
from tests.markets import D, Markets, feed, tick
from tests.trading_rows import FakeExchange, account_row, put_accounts, stored, trading_account

DAY_MS = 86_400_000
TODAY = 20_000
CLOCK = ManualClock(TODAY * DAY_MS + 5)


def tiers(exchange: FakeExchange, markets: Markets | None = None) -> FeeTiers:
    known = markets or Markets()
    return FeeTiers(exchange, Valuation(known.catalogue, known.view), known.catalogue, CLOCK)


def test_days_that_count_no_more_are_forgotten() -> None:
    volumes: UnitVolumes = {}
    for day in range(40):
        add_volume(volumes, time_ms=day * DAY_MS + day, quote="USDT", quote_units=5)
        add_volume(volumes, time_ms=day * DAY_MS + day, quote="BTC", quote_units=1)
    assert sorted(volumes) == list(range(10, 40))
    assert volumes[39] == {"USDT": 5, "BTC": 1}
    scales = {"USDT": 6, "BTC": 8}
    assert volumes_of_rows(volume_rows(volumes, scales), scales) == volumes


@pytest.mark.parametrize(
    ("volume", "number"), [("0", 0), ("49999.99", 0), ("50000", 1), ("999999", 2), ("1000000", 3), ("99999999999", 5)]
)
def test_which_tier(volume: str, number: int) -> None:
    assert tier_of(D(volume)).number == number


def test_tiers_only_get_cheaper() -> None:
    for lower, higher in pairwise(TIERS):
        assert lower.from_volume < higher.from_volume
        assert lower.maker_ppm > higher.maker_ppm
        assert lower.taker_ppm > higher.taker_ppm


def test_where_an_account_stands() -> None:
    volumes = {
        str(TODAY): stored({"USDT": "40000", "BTC": "100"}),
        str(TODAY - 29): stored({"USD": "1000"}),
        str(TODAY - 30): stored({"USD": "1000000"}),
    }
    account = trading_account("anna", volumes=volumes)
    markets = Markets().apply(feed("BTC-USD"), tick(1, "200", "BTC-USD"))
    state = tiers(FakeExchange(), markets).state(account)
    assert state is not None
    assert (state.volume, state.number, state.maker, state.taker) == (D(61_000), 1, D("0.0008"), D("0.0012"))
    assert state.next_at == 250_000
    assert tiers(FakeExchange()).state(account) is None, "BTC has no price"


async def assigned(
    fees: tuple[int | None, int | None], volume: str, answer: Answer | None = None
) -> tuple[bool, list[object]]:
    row = account_row("anna", maker_ppm=fees[0], taker_ppm=fees[1], volumes={str(TODAY): stored({"USDT": volume})})
    await put_accounts([row])
    exchange = FakeExchange(answer)
    return await tiers(exchange).assign("anna"), list(exchange.asked)


@pytest.mark.parametrize(
    ("fees", "volume", "told"),
    [
        ((None, None), "0", None),
        ((None, None), "50000", (800, 1200)),
        ((800, 1200), "50000", None),
        ((800, 1200), "49999", (1000, 1500)),
        ((1000, 1500), "10", None),
    ],
)
async def test_the_exchange_is_told_what_differs(
    database: Database, fees: tuple[int | None, int | None], volume: str, told: tuple[int, int] | None
) -> None:
    commands = [] if told is None else [SetFeeTier("anna", *told)]
    assert await assigned(fees, volume) == (told is not None, commands)


async def test_an_exchange_that_does_not_answer_is_told_again(database: Database) -> None:
    away = Answer(refusal=RefusalState(OrderErrorCode.EXCHANGE_UNAVAILABLE))
    assert await assigned((None, None), "50000", away) == (False, [SetFeeTier("anna", 800, 1200)])
