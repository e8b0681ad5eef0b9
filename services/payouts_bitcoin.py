"""Paying out on a chain of Bitcoin's kind from the exchange's own key. What a withdrawal spends are outputs of the hot wallet (`txid:place`, sorted), promised to
it alone: of all transactions that spend one output the chain takes one. Each attempt spends the same ones and pays more (BIP-125).

Only confirmed outputs are promised: the change of a transaction that waits vanishes when that is replaced. Included, or spent otherwise, is only what every node that
answers says, two at least where there are two.
"""

from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

from core.errors import InvariantBroken
from core.money import CONTEXT
from core.wallet_vocabulary import WalletErrorCode
from integrations.chains.bitcoin.addresses import NotAnAddress, ScriptType, parse_address
from integrations.chains.bitcoin.client import BitcoinClient
from integrations.chains.bitcoin.coins import USEFUL_CHANGE, CannotPay, Coin, FeeTerms, Selection, select
from integrations.chains.bitcoin.errors import Refusal, TransactionRefused
from integrations.chains.bitcoin.messages import FoundTransaction
from integrations.chains.bitcoin.psbt import Prepared, build, psbt_bytes
from integrations.chains.bitcoin.replacement import bump
from integrations.chains.bitcoin.sizes import dust_threshold, fee_for
from integrations.chains.bitcoin.transactions import Outpoint, TxOutput
from integrations.chains.errors import ChainError, NodesContradict
from integrations.signers.base import Signer
from integrations.signers.bitcoin import sign_psbt
from models import withdrawal
from models.hot_wallet import HotWalletDocument
from models.withdrawal import AttemptEntry, WithdrawalDocument
from services.bitcoin_sightings import is_spent
from services.chain_votes import WITNESSES, answers_in, require_witnesses
from services.payouts import Fate, FateKind, Promise, SendRefused, Wait
from services.withdrawal_rules import Route

BUMP_PERCENT = 25
"""How much dearer a replacement is; nodes ask for their incremental relay fee at least."""
MOST_PER_KVB = 1_000_000
"""1,000 sat/vB: above it nothing is signed, for a node errs or lies about its fees."""
RESERVE_TIMES, RESERVE_VSIZE = 8, 300
"""Change is to be worth a transaction of this size at so many times the present rate, so that the fee can be raised when it is stuck."""
STUCK_BLOCKS = 3
LEAST_STUCK_MS = 60_000
_EVER_MS = 2**53
_GONE = frozenset({Refusal.ALREADY_KNOWN, Refusal.INPUTS_MISSING})
"""It, or another attempt, may be in a block: what became of it, `fate` tells."""
_DEARER = frozenset({Refusal.UNDERPRICED, Refusal.REPLACEMENT_UNDERPRICED})
_TOO_LITTLE = "the hot wallet has too little of it now"


class BitcoinPayouts:
    """Of one chain. `hot` is the P2WPKH address of the signer's key. Raises NotAnAddress or ValueError for another kind of address."""

    def __init__(self, client: BitcoinClient, signer: Signer, hot: str, *, block_seconds: float) -> None:
        self._client = client
        self._signer = signer
        self._hot = parse_address(hot, client.network)
        if self._hot.type is not ScriptType.P2WPKH:
            raise ValueError("the hot wallet's address is not P2WPKH")
        self._stuck_ms = max(LEAST_STUCK_MS, round(block_seconds * STUCK_BLOCKS * 1000))

    async def promise(self, row: WithdrawalDocument, way: Route, wallet: HotWalletDocument) -> Promise | Wait:
        sats = int(CONTEXT.scaleb(row.amount - row.fee, way.network.decimals))
        try:
            target = parse_address(row.address, self._client.network)
        except NotAnAddress as refused:
            return Wait(f"its address cannot be paid to: {refused}")
        if target.script == self._hot.script:
            return Wait("its address is the hot wallet's own")
        promised = await self._promised(row)
        owned = (await self._client.unspent(self._hot)).spendable()
        free = [Coin(each.outpoint, each.sats, self._hot.script) for each in owned if each.outpoint not in promised]
        rate = await self._rate()
        try:
            chosen = self._chosen(free, TxOutput(target.script, sats), rate, Random(row.id))
        except CannotPay as refused:
            return Wait(_why(refused, waits=bool(promised)))
        await self._check(chosen.coins)
        coins = sorted(chosen.coins, key=lambda each: each.outpoint)
        terms = {
            "to": target.text,
            "sats": str(sats),
            "change": self._hot.text,
            "rate": rate,
            "coins": [str(each.sats) for each in coins],
        }
        return Promise(",".join(_text(each.outpoint) for each in coins), terms, wallet.next_nonce)

    async def sign(self, row: WithdrawalDocument, now_ms: int) -> AttemptEntry:
        if row.terms is None or row.spends is None:
            raise ValueError(f"nothing was promised for {row.id}")
        prepared = await self._dearer(row) if row.attempts else self._first(row)
        signed = await sign_psbt(self._signer, psbt_bytes(prepared.psbt))
        if signed.hash != prepared.tx.txid:
            raise InvariantBroken(f"withdrawal {row.id}: another transaction was signed than was prepared")
        return AttemptEntry(
            hash=signed.hash,
            raw=signed.raw,
            spends=row.spends,
            fee_units=prepared.fee,
            terms={"rate": prepared.sat_per_kvb},
            signed_ms=now_ms,
        )

    async def send(self, attempt: AttemptEntry) -> None:
        try:
            await self._client.broadcast(attempt.raw)
        except TransactionRefused as refused:
            kind = refused.problem.kind
            if kind not in _GONE:
                raise SendRefused(refused.problem.sentence, underpriced=kind in _DEARER) from None

    async def fate(self, row: WithdrawalDocument) -> Fate:
        found = await self._known(row)
        if found is not None:
            return found
        for outpoint in _outpoints(row):
            if await is_spent(self._client, outpoint):
                return await self._known(row, doubted=True) or Fate(FateKind.TAKEN)
        return Fate(FateKind.UNKNOWN)

    def is_stuck(self, row: WithdrawalDocument, now_ms: int) -> bool:
        """Never where the change is too small to pay more."""
        last = row.attempts[-1]
        return now_ms - last.signed_ms >= self._stuck_ms and self._room(row) is not None

    def _room(self, row: WithdrawalDocument) -> Prepared | None:
        """The cheapest replacement of the newest attempt; None when there is none."""
        last = row.attempts[-1]
        try:
            return bump(self._made(row, last.fee_units), self._hot.script, _raised(int(last.terms["rate"])))
        except CannotPay:
            return None

    async def _known(self, row: WithdrawalDocument, *, doubted: bool = False) -> Fate | None:
        """What the nodes say of the attempts; None: no node knows any, which one alone is not believed where it is doubted. Raises NodesContradict."""
        waiting: Fate | None = None
        for attempt in reversed(row.attempts):
            said = await self._client.transactions_of_all(attempt.hash)
            told = answers_in(said)
            found = [each for each in told if each is not None]
            places = {each.place for each in found}
            if len(places - {None}) > 1:
                raise NodesContradict(f"nodes of {self._client.chain} have {attempt.hash} in different blocks")
            if doubted and not found:
                require_witnesses(self._client.chain, said)
            if len(found) == len(told) and None not in places:
                witnesses = found if len(found) >= WITNESSES else await self._in_block(attempt.hash, found[0])
                confirmations = min(each.confirmations for each in witnesses)
                return Fate(FateKind.INCLUDED, attempt.hash, confirmations, attempt.fee_units)
            if found and waiting is None:
                waiting = Fate(FateKind.PENDING, attempt.hash)
        return waiting

    async def _in_block(self, hash_: str, seen: FoundTransaction) -> Sequence[FoundTransaction]:
        """What enough nodes say of one that is in this block; those that find it only when they are told the block are asked as well. Raises ChainError."""
        block = None if seen.place is None else seen.place.hash
        said = await self._client.transactions_of_all(hash_, block_hash=block)
        require_witnesses(self._client.chain, said)
        answers = answers_in(said)
        found = [each for each in answers if each is not None and each.place == seen.place]
        if len(found) < len(answers):
            raise NodesContradict(f"nodes of {self._client.chain} disagree about the block of {hash_}")
        return found

    async def _rate(self) -> int:
        """Satoshis for 1,000 virtual bytes that get into the next few blocks; the nodes' floor where none can tell."""
        rate = (await self._client.fee_rates()).usual
        if rate > MOST_PER_KVB:
            raise ChainError("fees are higher than is ever paid here now")
        return rate

    def _chosen(self, free: Sequence[Coin], payment: TxOutput, rate: int, random: Random) -> Selection:
        """Coins that leave enough change for higher fees; where there are none, any that do. Raises CannotPay."""
        terms = FeeTerms(rate, dust_per_kvb=self._client.network.dust_per_kvb)
        reserve = max(USEFUL_CHANGE, fee_for(RESERVE_VSIZE, rate * RESERVE_TIMES))
        script = self._hot.script
        try:
            return select(free, [payment, TxOutput(script, reserve)], script, terms, random)
        except CannotPay:
            return select(free, [payment], script, terms, random)

    async def _check(self, coins: Sequence[Coin]) -> None:
        """Raises ChainError unless every node that answers has these outputs, unspent: a promise of what is not there could not be kept."""
        for coin in coins:
            for told in answers_in(await self._client.outputs_of_all(coin.outpoint)):
                if told is None or (told.sats, told.script) != (coin.sats, coin.script):
                    raise ChainError("the chain's nodes disagree about what the hot wallet owns")

    async def _promised(self, row: WithdrawalDocument) -> set[Outpoint]:
        """Outputs promised to withdrawals that are not over; also those of confirmed ones that may still be reorganised away."""
        others = [each for each in await withdrawal.due(_EVER_MS) if each.chain == row.chain and each.id != row.id]
        return {outpoint for each in others for outpoint in _outpoints(each)}

    def _first(self, row: WithdrawalDocument) -> Prepared:
        """At the rate that was promised; what is too little for change goes to the fee."""
        change = self._made(row, 0)
        fee = fee_for(change.vsize, int(_terms(row)["rate"]))
        return self._made(row, fee)

    async def _dearer(self, row: WithdrawalDocument) -> Prepared:
        """A replacement of the newest attempt. Raises ChainError."""
        last = row.attempts[-1]
        rate = max(await self._rate(), _raised(int(last.terms["rate"])))
        if rate > MOST_PER_KVB:
            raise ChainError("fees are higher than is ever paid here now")
        before = self._made(row, last.fee_units)
        try:
            return bump(before, self._hot.script, rate, dust_per_kvb=self._client.network.dust_per_kvb)
        except CannotPay:
            found = self._room(row)
        if found is None:
            raise ChainError("what was promised to pay for it is too little for a higher fee")
        return found

    def _made(self, row: WithdrawalDocument, fee: int) -> Prepared:
        """The transaction of what was promised at this fee; without change where that would be dust."""
        terms = _terms(row)
        target = parse_address(terms["to"], self._client.network)
        values = [int(each) for each in terms["coins"]]
        coins = [Coin(outpoint, sats, self._hot.script) for outpoint, sats in zip(_outpoints(row), values, strict=True)]
        outputs = [TxOutput(target.script, int(terms["sats"]))]
        left = sum(values) - int(terms["sats"]) - fee
        if left >= dust_threshold(self._hot.script, self._client.network.dust_per_kvb):
            outputs.append(TxOutput(self._hot.script, left))
        return build(coins, outputs)


def _terms(row: WithdrawalDocument) -> Mapping[str, Any]:
    if row.terms is None:
        raise ValueError(f"nothing was promised for {row.id}")
    return row.terms


def _outpoints(row: WithdrawalDocument) -> list[Outpoint]:
    """What was promised to a withdrawal; nothing before that."""
    pairs = [each.split(":") for each in (row.spends or "").split(",") if each]
    return [Outpoint(txid, int(vout)) for txid, vout in pairs]


def _text(outpoint: Outpoint) -> str:
    return f"{outpoint.txid}:{outpoint.vout}"


def _raised(rate: int) -> int:
    return rate * (100 + BUMP_PERCENT) // 100 + 1


def _why(refused: CannotPay, *, waits: bool) -> str:
    if refused.code is not WalletErrorCode.INSUFFICIENT_FUNDS:
        return str(refused)
    return f"{_TOO_LITTLE}; change of other withdrawals comes back when they are confirmed" if waits else _TOO_LITTLE
