"""A transaction that takes another's place and pays more for it (BIP-125; Bitcoin Core, policy/rbf.cpp). Pure.

It spends the same coins, so that only one of the two can ever be confirmed: nothing is paid twice.
"""

from collections.abc import Mapping

from core.wallet_vocabulary import WalletErrorCode
from integrations.chains.bitcoin.addresses import type_of
from integrations.chains.bitcoin.coins import CannotPay
from integrations.chains.bitcoin.psbt import Prepared, build
from integrations.chains.bitcoin.sizes import dust_threshold, fee_for, transaction_weight, vsize_of
from integrations.chains.bitcoin.transactions import TxOutput

INCREMENTAL_PER_KVB = 1_000
"""Satoshis for 1,000 virtual bytes that a replacement pays above what it replaces, for its own relay (Bitcoin Core, DEFAULT_INCREMENTAL_RELAY_FEE)."""


def least_fee(prepared: Prepared, sat_per_kvb: int, vsize: int) -> int:
    """The fee of a replacement of this size at a rate: never less than what the network asks of it."""
    return max(fee_for(vsize, sat_per_kvb), prepared.fee + fee_for(vsize, INCREMENTAL_PER_KVB))


def bump(
    prepared: Prepared,
    change_script: bytes,
    sat_per_kvb: int,
    *,
    dust_per_kvb: int = 3_000,
    previous: Mapping[str, bytes] | None = None,
) -> Prepared:
    """The same payments from the same coins at a higher rate; the change pays for it, and falls away where it would become dust.

    Raises CannotPay when there is no change or too little of it: `limit` is the highest fee that can be paid, `actual` the one that is needed.
    """
    payments = [each for each in prepared.tx.outputs if each.script != change_script]
    if not payments:
        return cancel(prepared, change_script, sat_per_kvb, dust_per_kvb=dust_per_kvb, previous=previous)
    total = sum(each.sats for each in prepared.spent)
    paid = sum(each.sats for each in payments)
    for change in (True, False):
        outputs = [*payments, TxOutput(change_script, 0)] if change else payments
        fee = least_fee(prepared, sat_per_kvb, _vsize(prepared, outputs))
        left = total - paid - fee
        if change and left >= dust_threshold(change_script, dust_per_kvb):
            return _built(prepared, [*payments, TxOutput(change_script, left)], previous)
    if left < 0:
        text = "the change of this transaction is too small to pay a higher fee"
        raise CannotPay(WalletErrorCode.INSUFFICIENT_FUNDS, text, limit=total - paid, actual=fee)
    return _built(prepared, payments, previous)


def cancel(
    prepared: Prepared,
    own_script: bytes,
    sat_per_kvb: int,
    *,
    dust_per_kvb: int = 3_000,
    previous: Mapping[str, bytes] | None = None,
) -> Prepared:
    """The same coins back to their owner, at a higher fee. Raises CannotPay when nothing worth sending would be left."""
    total = sum(each.sats for each in prepared.spent)
    fee = least_fee(prepared, sat_per_kvb, _vsize(prepared, [TxOutput(own_script, 0)]))
    least = dust_threshold(own_script, dust_per_kvb)
    if total - fee < least:
        text = "these coins hold too little to pay a higher fee"
        raise CannotPay(WalletErrorCode.INSUFFICIENT_FUNDS, text, limit=total - least, actual=fee)
    return _built(prepared, [TxOutput(own_script, total - fee)], previous)


def _vsize(prepared: Prepared, outputs: list[TxOutput]) -> int:
    types = [type_of(each.script) for each in prepared.spent]
    return vsize_of(transaction_weight([each for each in types if each is not None], outputs))


def _built(prepared: Prepared, outputs: list[TxOutput], previous: Mapping[str, bytes] | None) -> Prepared:
    return build(prepared.coins, outputs, previous=previous, locktime=prepared.tx.locktime)
