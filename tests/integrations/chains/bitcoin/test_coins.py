"""Coin selection: what always holds, whatever the coins; and the cases that it is made for."""

from collections.abc import Callable
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.wallet_vocabulary import WalletErrorCode
from integrations.chains.bitcoin.addresses import ScriptType, script_of
from integrations.chains.bitcoin.bnb import changeless
from integrations.chains.bitcoin.coins import CannotPay, Coin, FeeTerms, Selection, select, sweep
from integrations.chains.bitcoin.sizes import (
    dust_threshold,
    fee_for,
    fee_of_weight,
    input_weight,
    output_weight,
    transaction_weight,
    vsize_of,
)
from integrations.chains.bitcoin.transactions import Outpoint, TxOutput

SPENDABLE = (ScriptType.P2PKH, ScriptType.P2SH, ScriptType.P2WPKH, ScriptType.P2TR)
SCRIPTS = {each: script_of(each, bytes(20 if each in SPENDABLE[:3] else 32)) for each in ScriptType}
WPKH = SCRIPTS[ScriptType.P2WPKH]


def coins_of(*amounts: int, type_: ScriptType = ScriptType.P2WPKH) -> list[Coin]:
    return [Coin(Outpoint(f"{at:064x}", 0), sats, SCRIPTS[type_]) for at, sats in enumerate(amounts)]


def paid(sats: int) -> list[TxOutput]:
    return [TxOutput(WPKH, sats)]


types = st.sampled_from(SPENDABLE)
amounts = st.one_of(st.integers(1, 5_000), st.integers(1, 10**6), st.integers(1, 10**9))
wallets = st.lists(st.tuples(types, amounts), min_size=1, max_size=40).map(
    lambda pairs: [Coin(Outpoint(f"{at:064x}", at), sats, SCRIPTS[type_]) for at, (type_, sats) in enumerate(pairs)]
)
rates = st.integers(1_000, 300_000)


def check(chosen: Selection, coins: list[Coin], terms: FeeTerms, slack: int) -> None:
    """What holds for every choice."""
    assert chosen.coins
    assert len(set(chosen.coins)) == len(chosen.coins)
    assert set(chosen.coins) <= set(coins)
    total = sum(each.sats for each in chosen.coins)
    assert total == sum(each.sats for each in chosen.outputs) + chosen.fee
    kinds = [each.type for each in chosen.coins if each.type is not None]
    assert chosen.vsize == vsize_of(transaction_weight(kinds, chosen.outputs))
    needed = fee_for(chosen.vsize, terms.sat_per_kvb)
    assert needed <= chosen.fee <= needed + slack
    if chosen.change is not None:
        assert chosen.fee == needed
        assert chosen.change.sats >= dust_threshold(chosen.change.script, terms.dust_per_kvb)
        assert chosen.outputs[-1] == chosen.change


@settings(max_examples=200, deadline=None)
@given(wallets, st.integers(546, 2 * 10**9), types, rates, st.integers(), st.integers(1, 45))
def test_what_always_holds(  # noqa: PLR0917
    coins: list[Coin], sats: int, change_type: ScriptType, rate: int, seed: int, most_inputs: int
) -> None:
    terms, change = FeeTerms(rate), SCRIPTS[change_type]
    payments = [TxOutput(SCRIPTS[ScriptType.P2WSH], sats)]
    slack = fee_of_weight(output_weight(TxOutput(change, 0)) + 40, rate) + 50 + fee_for(350, 10_000)
    chosen = tried(lambda: select(coins, payments, change, terms, Random(seed), most_inputs=most_inputs))
    if isinstance(chosen, CannotPay):
        worth = sorted((each.sats - fee_for_input(each, rate) for each in coins), reverse=True)
        if chosen.code is WalletErrorCode.INSUFFICIENT_FUNDS:
            assert sum(each for each in worth if each > 0) < sats + fee_for(80, rate)
        else:
            assert chosen.code is WalletErrorCode.LIMIT_EXCEEDED
            assert sum(worth[:most_inputs]) < sats + fee_for(80, rate)
        return
    check(chosen, coins, terms, slack)
    assert len(chosen.coins) <= most_inputs
    assert list(chosen.outputs[:1]) == payments
    again = select(coins[::-1], payments, change, terms, Random(seed), most_inputs=most_inputs)
    assert again == chosen


def tried(choose: Callable[[], Selection]) -> Selection | CannotPay:
    try:
        return choose()
    except CannotPay as refused:
        return refused


def fee_for_input(coin: Coin, rate: int) -> int:
    assert coin.type is not None
    return fee_of_weight(input_weight(coin.type), rate)


@settings(max_examples=100, deadline=None)
@given(wallets, types, rates, st.integers(1, 45))
def test_a_sweep_leaves_nothing_that_is_worth_it(coins: list[Coin], type_: ScriptType, rate: int, most: int) -> None:
    terms = FeeTerms(rate)
    chosen = tried(lambda: sweep(coins, SCRIPTS[type_], terms, most_inputs=most))
    if isinstance(chosen, CannotPay):
        assert chosen.code in (WalletErrorCode.INSUFFICIENT_FUNDS, WalletErrorCode.AMOUNT_TOO_SMALL)
        return
    check(chosen, coins, terms, 0)
    assert len(chosen.coins) <= most
    assert all(each.sats > fee_for_input(each, rate) for each in chosen.coins)
    left = [each for each in coins if each not in chosen.coins]
    if len(chosen.coins) < most:
        assert all(each.sats <= fee_for_input(each, rate) + fee_of_weight(1, rate) for each in left)


def test_a_sum_that_fits_needs_no_change() -> None:
    coins = coins_of(70_000, 110_000, 31_000, 52_000)
    fee = fee_for(vsize_of(transaction_weight([ScriptType.P2WPKH] * 2, paid(1))), 5_000)
    chosen = select(coins, paid(110_000 + 31_000 - fee - 30), WPKH, FeeTerms(5_000), Random(0))
    assert {each.sats for each in chosen.coins} == {110_000, 31_000}
    assert chosen.change is None
    assert chosen.fee == fee + 30


def test_change_that_would_be_dust_is_not_made() -> None:
    """Too much to be called exact, too little to be kept."""
    terms = FeeTerms(1_000, long_term_per_kvb=1_000)
    fee = fee_for(vsize_of(transaction_weight([ScriptType.P2WPKH], paid(1))), 1_000)
    chosen = select(coins_of(100_000), paid(100_000 - fee - 200), WPKH, terms, Random(0))
    assert (chosen.change, chosen.fee) == (None, fee + 200)
    chosen = select(coins_of(100_000), paid(100_000 - fee - 31 - 294), WPKH, terms, Random(0))
    assert chosen.change == TxOutput(WPKH, 294)


def test_the_last_satoshi_can_be_paid() -> None:
    """What a sweep says can be sent, can also be paid."""
    coins = coins_of(70_000, 110_000, 31_000, type_=ScriptType.P2PKH)
    swept = sweep(coins, WPKH, FeeTerms(7_777))
    chosen = select(coins, list(swept.outputs), WPKH, FeeTerms(7_777), Random(0))
    assert (chosen.fee, chosen.change, set(chosen.coins)) == (swept.fee, None, set(swept.coins))
    with pytest.raises(CannotPay) as refused:
        select(coins, paid(swept.outputs[0].sats + 1), WPKH, FeeTerms(7_777), Random(0))
    assert refused.value.code is WalletErrorCode.INSUFFICIENT_FUNDS
    assert swept.outputs[0].sats - 60 <= refused.value.limit <= swept.outputs[0].sats


def test_refusals_say_the_bound() -> None:
    cases = [
        (coins_of(100_000), paid(293), 10, WalletErrorCode.AMOUNT_TOO_SMALL, 294),
        (coins_of(*[1_000] * 20), paid(15_000), 10, WalletErrorCode.LIMIT_EXCEEDED, 10),
        (coins_of(100), paid(1_000), 10, WalletErrorCode.INSUFFICIENT_FUNDS, 0),
        ([], paid(1_000), 10, WalletErrorCode.INSUFFICIENT_FUNDS, 0),
    ]
    for coins, payments, most, code, limit in cases:
        with pytest.raises(CannotPay) as refused:
            select(coins, payments, WPKH, FeeTerms(1_000), Random(0), most_inputs=most)
        assert (refused.value.code, refused.value.limit) == (code, limit)
    for coins in (coins_of(100), [], coins_of(600)):
        with pytest.raises(CannotPay):
            sweep(coins, SCRIPTS[ScriptType.P2PKH], FeeTerms(1_000))
    with pytest.raises(ValueError, match="nothing to pay"):
        select(coins_of(1000), [], WPKH, FeeTerms(1_000), Random(0))
    for script in (SCRIPTS[ScriptType.P2WSH], b"\x51"):
        with pytest.raises(ValueError, match="one key"):
            select([Coin(Outpoint("00" * 32, 0), 10_000, script)], paid(1_000), WPKH, FeeTerms(1_000), Random(0))


def test_chance_is_given_and_bounded() -> None:
    """A large wallet of like coins: the search gives up in time, and the draw depends on the random numbers alone."""
    coins = coins_of(*range(100_000, 102_000))
    chosen = {select(coins, paid(5_000_000), WPKH, FeeTerms(20_000), Random(seed)).coins for seed in (1, 1, 2)}
    assert 1 <= len(chosen) <= 2


def test_sizes_as_others_count_them() -> None:
    """https://bitcoinops.org/en/tools/calc-size/, with signatures of 72 bytes, of Taproot 65."""
    one, two = paid(1), paid(1) * 2
    legacy = [TxOutput(SCRIPTS[ScriptType.P2PKH], 1)] * 2
    assert vsize_of(transaction_weight([ScriptType.P2PKH], legacy)) == 226
    assert vsize_of(transaction_weight([ScriptType.P2WPKH], two)) == 141
    assert vsize_of(transaction_weight([ScriptType.P2WPKH], one)) == 110
    assert transaction_weight([ScriptType.P2TR], [TxOutput(SCRIPTS[ScriptType.P2TR], 1)]) == 4 * 111 + 1
    assert vsize_of(transaction_weight([ScriptType.P2SH], [TxOutput(SCRIPTS[ScriptType.P2SH], 1)])) == 134
    assert (
        transaction_weight([ScriptType.P2WPKH] * 253, one) - transaction_weight([ScriptType.P2WPKH] * 252, one) == 280
    )


@pytest.mark.parametrize(
    ("type_", "least"),
    [
        (ScriptType.P2PKH, 546),
        (ScriptType.P2SH, 540),
        (ScriptType.P2WPKH, 294),
        (ScriptType.P2WSH, 330),
        (ScriptType.P2TR, 330),
    ],
)
def test_dust_as_core_counts_it(type_: ScriptType, least: int) -> None:
    assert dust_threshold(SCRIPTS[type_], 3_000) == least


@settings(deadline=None)
@given(st.lists(st.integers(1, 50), min_size=1, max_size=9), st.integers(1, 150), st.integers(0, 5), st.integers(-3, 3))
def test_branch_and_bound_finds_the_best(values: list[int], target: int, window: int, waste: int) -> None:
    """Against every subset."""
    values = sorted(values, reverse=True)
    wastes = [waste] * len(values)
    sums = [
        (sum(each), len(each))
        for mask in range(1, 2 ** len(values))
        if target <= sum(each := [value for at, value in enumerate(values) if mask >> at & 1]) <= target + window
    ]
    found = changeless(values, wastes, target, window, len(values))
    if found is None:
        assert not sums
    else:
        total = sum(values[at] for at in found)
        best = min(waste * count + amount - target for amount, count in sums)
        told = waste * len(found) + total - target
        assert told == best if waste >= 0 else told >= best  # whether more coins are wanted is not its question
