"""Which coins a payment spends. Pure: the same coins, payment and random numbers give the same choice, whatever the order of the coins.

As Bitcoin Core does (wallet/coinselection.cpp; M. Erhardt, "An Evaluation of Coin Selection Strategies", 2016):
1. branch and bound looks for coins that pay exactly, so that there is no change;
2. single random draw takes coins as they come until payment and a useful change are reached;
3. of the two the one that wastes less is taken; where neither finds anything, the largest coins first, which needs the fewest.
Coins are counted by their effective value: what they hold less what it costs to spend them. Those that cost more than they hold are left alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import NamedTuple

from core.wallet_vocabulary import WalletErrorCode
from integrations.chains.bitcoin.addresses import ScriptType, type_of
from integrations.chains.bitcoin.bnb import changeless
from integrations.chains.bitcoin.sizes import (
    INPUT_WEIGHT,
    dust_threshold,
    fee_for,
    fee_of_weight,
    input_weight,
    output_weight,
    transaction_weight,
    vsize_of,
)
from integrations.chains.bitcoin.transactions import Outpoint, TxOutput

USEFUL_CHANGE = 50_000
"""Satoshis that single random draw leaves at least, so that change does not crumble (Bitcoin Core, CHANGE_LOWER)."""
MOST_INPUTS = 200


@dataclass(frozen=True, slots=True)
class Coin:
    """An output that may be spent."""

    outpoint: Outpoint
    sats: int
    script: bytes

    @property
    def type(self) -> ScriptType | None:
        return type_of(self.script)


@dataclass(frozen=True, slots=True)
class FeeTerms:
    """What fees cost: now, and what is expected in the long run, by which spending now is weighed against spending later; in satoshis for 1,000 vB."""

    sat_per_kvb: int
    long_term_per_kvb: int = 10_000
    dust_per_kvb: int = 3_000


@dataclass(frozen=True, slots=True)
class Selection:
    """Coins that pay `outputs` (the payments in their order, then the change, if any) and `fee`, to the satoshi. `vsize`: of the signed transaction, at most."""

    coins: tuple[Coin, ...]
    outputs: tuple[TxOutput, ...]
    change: TxOutput | None
    fee: int
    vsize: int
    waste: int


class CannotPay(Exception):
    """No coins do it. `code`: INSUFFICIENT_FUNDS, AMOUNT_TOO_SMALL or LIMIT_EXCEEDED; `limit` is the bound that `actual` crosses."""

    def __init__(self, code: WalletErrorCode, sentence: str, *, limit: int, actual: int) -> None:
        super().__init__(sentence)
        self.code = code
        self.limit = limit
        self.actual = actual


def select(
    coins: Sequence[Coin],
    payments: Sequence[TxOutput],
    change_script: bytes,
    terms: FeeTerms,
    random: Random,
    *,
    most_inputs: int = MOST_INPUTS,
) -> Selection:
    """Coins for these payments; what is left goes to `change_script`, or to the fee where it is too little to be worth it.

    Raises:
        CannotPay: a payment is dust, the coins do not suffice with the fee, or it would take too many of them.
        ValueError: for no payments, and coins that one key cannot sign for.
    """
    if not payments:
        raise ValueError("there is nothing to pay")
    for payment in payments:
        _refuse_dust(payment, terms)
    search = _Search(coins, payments, change_script, terms, most_inputs)
    found = [each for each in (search.exact(), search.drawn(random)) if each is not None]
    if found:
        return min(found, key=lambda each: (each.waste, len(each.coins)))
    return search.largest()


def sweep(coins: Sequence[Coin], script: bytes, terms: FeeTerms, *, most_inputs: int = MOST_INPUTS) -> Selection:
    """All that the coins hold less the fee, to one script; those that cost more than they hold stay. With too many coins the largest are taken.

    Raises CannotPay when what is left for the script is nothing or dust.
    """
    weighed = _weighed(coins, terms)[:most_inputs]
    taken = [each.coin for each in weighed]
    total = sum(each.sats for each in taken)
    nothing = TxOutput(script, 0)
    vsize = vsize_of(transaction_weight(_types(taken), [nothing]))
    fee = fee_for(vsize, terms.sat_per_kvb)
    if total <= fee:
        text = "these coins hold less than it costs to send them"
        raise CannotPay(WalletErrorCode.INSUFFICIENT_FUNDS, text, limit=total, actual=fee)
    payment = TxOutput(script, total - fee)
    _refuse_dust(payment, terms)
    return Selection(tuple(taken), (payment,), None, fee, vsize, sum(each.waste for each in weighed))


class _Weighed(NamedTuple):
    """A coin, what it is worth less the cost of spending it, and what is wasted by spending it now instead of later."""

    coin: Coin
    effective: int
    waste: int


class _Search:
    """One payment's search."""

    def __init__(
        self,
        coins: Sequence[Coin],
        payments: Sequence[TxOutput],
        change_script: bytes,
        terms: FeeTerms,
        most_inputs: int,
    ) -> None:
        self._payments = tuple(payments)
        self._change_script = change_script
        self._terms = terms
        self._most_inputs = most_inputs
        self._weighed = _weighed(coins, terms)
        self._paid = sum(each.sats for each in payments)
        fixed = transaction_weight([], payments) + 2 + 4 * 2  # marker and flag, and the longest count of inputs
        self._target = self._paid + fee_of_weight(fixed, terms.sat_per_kvb)
        change = TxOutput(change_script, 0)
        self._change_fee = fee_of_weight(output_weight(change) + 4 * 2, terms.sat_per_kvb)
        spend = INPUT_WEIGHT.get(type_of(change_script) or ScriptType.P2PKH, INPUT_WEIGHT[ScriptType.P2PKH])
        self._spend_later = fee_of_weight(spend, terms.long_term_per_kvb)
        self._least_change = max(dust_threshold(change_script, terms.dust_per_kvb), self._spend_later)

    def exact(self) -> Selection | None:
        """Without change; what is paid too much is no more than making and spending change would cost."""
        window = self._change_fee + self._spend_later
        values, wastes = [each.effective for each in self._weighed], [each.waste for each in self._weighed]
        chosen = changeless(values, wastes, self._target, window, self._most_inputs)
        return None if chosen is None else self._without_change([self._weighed[at] for at in chosen])

    def drawn(self, random: Random) -> Selection | None:
        """Coins at random. Too many: the smallest of them is left out again."""
        goal = self._target + self._change_fee + max(self._least_change, USEFUL_CHANGE)
        order = list(self._weighed)
        random.shuffle(order)
        chosen: list[_Weighed] = []
        value = 0
        for each in order:
            chosen.append(each)
            value += each.effective
            if len(chosen) > self._most_inputs:
                smallest = min(chosen, key=lambda coin: (coin.effective, coin.coin.outpoint))
                chosen.remove(smallest)
                value -= smallest.effective
            if value >= goal:
                return self._finished(chosen)
        return None

    def largest(self) -> Selection:
        """The fewest coins that do it. Raises CannotPay."""
        chosen: list[_Weighed] = []
        value = 0
        for each in self._weighed:
            if value >= self._target:
                break
            chosen.append(each)
            value += each.effective
        if value < self._target and not self._just_enough(chosen):
            text = "there are not enough confirmed coins for the amount and its fee"
            most = max(self._paid + value - self._target, 0)
            raise CannotPay(WalletErrorCode.INSUFFICIENT_FUNDS, text, limit=most, actual=self._paid)
        if len(chosen) > self._most_inputs:
            text = "this amount needs too many small coins at once; send less, or gather them first"
            raise CannotPay(WalletErrorCode.LIMIT_EXCEEDED, text, limit=self._most_inputs, actual=len(chosen))
        return self._finished(chosen)

    def _just_enough(self, chosen: list[_Weighed]) -> bool:
        """Whether all coins together do, counted to the byte: the search rounds up for each of them."""
        coins, total = _coins(chosen)
        if not coins:
            return False
        vsize = vsize_of(transaction_weight(_types(coins), self._payments))
        return total - self._paid >= fee_for(vsize, self._terms.sat_per_kvb)

    def _finished(self, chosen: list[_Weighed]) -> Selection:
        """With change, if enough is left for it."""
        coins, total = _coins(chosen)
        change = TxOutput(self._change_script, 0)
        vsize = vsize_of(transaction_weight(_types(coins), (*self._payments, change)))
        fee = fee_for(vsize, self._terms.sat_per_kvb)
        left = total - self._paid - fee
        if left < self._least_change:  # also when there is nothing left at all
            return self._without_change(chosen)
        change = TxOutput(self._change_script, left)
        waste = sum(each.waste for each in chosen) + self._change_fee + self._spend_later
        return Selection(coins, (*self._payments, change), change, fee, vsize, waste)

    def _without_change(self, chosen: list[_Weighed]) -> Selection:
        coins, total = _coins(chosen)
        vsize = vsize_of(transaction_weight(_types(coins), self._payments))
        fee = total - self._paid
        waste = sum(each.waste for each in chosen) + fee - fee_for(vsize, self._terms.sat_per_kvb)
        return Selection(coins, self._payments, None, fee, vsize, waste)


def _weighed(coins: Sequence[Coin], terms: FeeTerms) -> list[_Weighed]:
    """The coins that are worth spending, the most valuable first."""
    found = []
    for coin in coins:
        type_ = coin.type
        if type_ is None:
            raise ValueError("a coin has no type that one key can sign for")
        weight = input_weight(type_) + (type_ is ScriptType.P2PKH)  # an empty witness beside inputs that have one
        fee = fee_of_weight(weight, terms.sat_per_kvb)
        if coin.sats > fee:
            found.append(_Weighed(coin, coin.sats - fee, fee - fee_of_weight(weight, terms.long_term_per_kvb)))
    return sorted(found, key=lambda each: (-each.effective, each.waste, each.coin.outpoint))


def _coins(chosen: Sequence[_Weighed]) -> tuple[tuple[Coin, ...], int]:
    coins = tuple(each.coin for each in chosen)
    return coins, sum(each.sats for each in coins)


def _types(coins: Sequence[Coin]) -> list[ScriptType]:
    return [each.type for each in coins if each.type is not None]


def _refuse_dust(payment: TxOutput, terms: FeeTerms) -> None:
    least = dust_threshold(payment.script, terms.dust_per_kvb)
    if payment.sats < least:
        text = "the network does not carry so small an amount"
        raise CannotPay(WalletErrorCode.AMOUNT_TOO_SMALL, text, limit=least, actual=payment.sats)
