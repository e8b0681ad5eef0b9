"""Paying out on a chain of Bitcoin's kind from the exchange's own key. What a withdrawal spends are outpoints: every transaction that is signed for it spends all of
them, so the chain takes one.

Nodes must find transactions by their id: Esplora's do, Core's with `-txindex`.
"""

from collections.abc import Mapping
from random import Random
from typing import TypeVar

from core.money import CONTEXT
from core.wallet_vocabulary import WithdrawalStatus
from integrations.chains.bitcoin.addresses import BitcoinAddress, parse_address
from integrations.chains.bitcoin.client import BitcoinClient
from integrations.chains.bitcoin.coins import CannotPay, Coin, FeeTerms, select
from integrations.chains.bitcoin.errors import Refusal, TransactionRefused
from integrations.chains.bitcoin.messages import FoundTransaction
from integrations.chains.bitcoin.psbt import build, psbt_bytes, read_prepared
from integrations.chains.bitcoin.replacement import bump
from integrations.chains.bitcoin.transactions import Outpoint, TxOutput
from integrations.chains.errors import ChainError
from integrations.signers.base import Signer
from integrations.signers.bitcoin import sign_psbt
from models import withdrawal
from models.hot_wallet import HotWalletDocument
from models.withdrawal import AttemptEntry, WithdrawalDocument
from services.payouts import Fate, FateKind, Promise, SendRefused, Wait
from services.withdrawal_rules import Route

T = TypeVar("T")
MOST_PER_KVB = 2_000_000
"""2,000 sat/vB: above it nothing is signed."""
BUMP_PERCENT = 25
STUCK_BLOCKS = 3
_UNDER_WAY = (WithdrawalStatus.SIGNING, WithdrawalStatus.BROADCAST, WithdrawalStatus.HELD)
_DEARER = frozenset({Refusal.UNDERPRICED, Refusal.REPLACEMENT_UNDERPRICED})
_SPENT = frozenset({Refusal.ALREADY_KNOWN, Refusal.CONFLICT, Refusal.INPUTS_MISSING})
"""One of our own transactions is there already, or another one: the fate tells."""


class BitcoinPayouts:
    """Of one chain. `hot` is the P2WPKH address of the signer's key, to which change goes, too."""

    def __init__(
        self, client: BitcoinClient, signer: Signer, hot: str, *, block_seconds: float, random: Random | None = None
    ) -> None:
        self._client = client
        self._signer = signer
        self._hot: BitcoinAddress = parse_address(hot, client.network)
        self._stuck_ms = round(block_seconds * STUCK_BLOCKS * 1000)
        self._random = random or Random()

    async def promise(self, row: WithdrawalDocument, way: Route, wallet: HotWalletDocument) -> Promise | Wait:
        amount = int(CONTEXT.scaleb(row.amount - row.fee, way.network.decimals))
        to = parse_address(row.address, self._client.network)
        taken = await self._promised(row)
        unspent = await self._client.unspent(self._hot)
        coins = [
            Coin(each.outpoint, each.sats, each.script)
            for each in unspent.spendable(confirmations=1)
            if str_of(each.outpoint) not in taken
        ]
        payment = TxOutput(to.script, amount)
        terms = FeeTerms(await self._rate(), dust_per_kvb=self._client.network.dust_per_kvb)
        try:
            chosen = select(coins, [payment], self._hot.script, terms, self._random)
        except CannotPay as cannot:
            return Wait(f"the hot wallet cannot pay it now: {cannot}")
        prepared = build(chosen.coins, chosen.outputs)
        spends = ",".join(sorted(str_of(coin.outpoint) for coin in chosen.coins))
        return Promise(spends, {"psbt": prepared.psbt}, wallet.next_nonce)

    async def sign(self, row: WithdrawalDocument, now_ms: int) -> AttemptEntry:
        if row.terms is None or row.spends is None:
            raise ValueError(f"nothing was promised for {row.id}")
        if row.attempts:
            last = read_prepared(row.attempts[-1].terms["psbt"])
            rate = max(await self._rate(), last.sat_per_kvb * (100 + BUMP_PERCENT) // 100)
            if rate > MOST_PER_KVB:
                raise ChainError("fees are higher than is ever paid here now")
            try:
                prepared = bump(last, self._hot.script, rate)
            except CannotPay as cannot:
                raise ChainError(str(cannot)) from None
        else:
            prepared = read_prepared(row.terms["psbt"])
        signed = await sign_psbt(self._signer, psbt_bytes(prepared.psbt))
        return AttemptEntry(
            hash=signed.hash,
            raw=signed.raw,
            spends=row.spends,
            fee_units=prepared.fee,
            terms={"psbt": prepared.psbt},
            signed_ms=now_ms,
        )

    async def send(self, attempt: AttemptEntry) -> None:
        try:
            await self._client.broadcast(attempt.raw)
        except TransactionRefused as refused:
            if refused.problem.kind in _SPENT:
                return
            raise SendRefused(refused.problem.sentence, underpriced=refused.problem.kind in _DEARER) from None

    async def fate(self, row: WithdrawalDocument) -> Fate:
        pending = None
        for attempt in reversed(row.attempts):
            told = _answers(await self._client.transactions_of_all(attempt.hash))
            found = [each for each in told if each is not None]
            if found and len(found) == len(told) and len({each.place for each in found}) == 1:
                fate = _of(found, attempt)
                if fate is not None:
                    return fate
            if found and pending is None:
                pending = Fate(FateKind.PENDING, attempt.hash)
        return pending or await self._of_inputs(row)

    def is_stuck(self, row: WithdrawalDocument, now_ms: int) -> bool:
        return now_ms - row.attempts[-1].signed_ms >= self._stuck_ms

    async def _of_inputs(self, row: WithdrawalDocument) -> Fate:
        """Of a withdrawal whose transactions nobody knows: whether what it spends is still there."""
        for outpoint in map(outpoint_of, (row.spends or "").split(",")):
            if await self._client.output(outpoint) is None:
                spender = await self._client.spender(outpoint)
                ours = {attempt.hash for attempt in row.attempts}
                return Fate(FateKind.TAKEN if spender is not None and spender not in ours else FateKind.PENDING)
        return Fate(FateKind.UNKNOWN)

    async def _promised(self, row: WithdrawalDocument) -> set[str]:
        """Outpoints that others of the chain will spend."""
        found = await withdrawal.of_chain(row.chain, _UNDER_WAY)
        return {
            each
            for other in found
            if other.id != row.id and other.spends is not None
            for each in other.spends.split(",")
        }

    async def _rate(self) -> int:
        rates = await self._client.fee_rates()
        rate = max(rates.floor, rates.standard or rates.fast or rates.slow or rates.floor)
        if rate > MOST_PER_KVB:
            raise ChainError("fees are higher than is ever paid here now")
        return rate


def str_of(outpoint: Outpoint) -> str:
    """An outpoint as text."""
    return f"{outpoint.txid}:{outpoint.vout}"


def outpoint_of(text: str) -> Outpoint:
    """The outpoint of that text."""
    txid, _, vout = text.partition(":")
    return Outpoint(txid, int(vout))


def _of(found: list[FoundTransaction], attempt: AttemptEntry) -> Fate | None:
    """Of a transaction that every node has in one block; None while it waits."""
    if found[0].place is None:
        return None
    confirmations = min(each.confirmations for each in found)
    return Fate(FateKind.INCLUDED, attempt.hash, confirmations, attempt.fee_units)


def _answers(said: Mapping[str, T | ChainError]) -> list[T]:
    """What was answered. Raises ChainError when no node did."""
    answers = [each for each in said.values() if not isinstance(each, ChainError)]
    if not answers:
        raise next((each for each in said.values() if isinstance(each, ChainError)), ChainError("no node answers"))
    return answers
