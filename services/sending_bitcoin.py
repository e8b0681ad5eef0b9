"""Sending on chains of Bitcoin's kind: signed transactions read and set against what was prepared, handed to the nodes, and looked for again.

What a transaction spends are outputs (`txid:place`); of two that spend the same one the chain takes one. What a node says of a transaction's content is checked
against its txid; where it is, all nodes are asked.
"""

import asyncio
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import TypeVar

from core.refusals import WalletRefused
from core.wallet_vocabulary import WalletErrorCode
from integrations.chains.bitcoin import signed as signed_psbts
from integrations.chains.bitcoin.addresses import address_of
from integrations.chains.bitcoin.client import BitcoinClient
from integrations.chains.bitcoin.errors import Refusal, TransactionRefused
from integrations.chains.bitcoin.messages import FoundTransaction, Place
from integrations.chains.bitcoin.psbt import read_prepared
from integrations.chains.bitcoin.transactions import NotReadable, Outpoint, Tx, TxOutput
from integrations.chains.errors import ChainError, ChainUnavailable
from models.prepared_transaction import PreparedTransactionDocument
from services.bitcoin_transfers import COIN_DIGITS, BitcoinTransfers
from services.chain_addresses import bitcoin_network
from services.chain_votes import WITNESSES
from services.chains import Chains
from services.evm_terms import whole
from services.sending_families import Sighting, SightKind, Signed, Spending, TransferWish

T = TypeVar("T")
FEE = "fee"
"""Of the terms: satoshis that a transaction leaves to whoever mines it."""
MOST_INPUTS = 1_000
"""Of a transaction that is sent from here."""
_HASH = re.compile(r"[0-9a-fA-F]{64}", re.ASCII)
_AT_ONCE = 8
_MOST_LOOKED_UP = 50
"""Inputs of a transaction of others whose fee is told: each is a question to a node."""


class BitcoinSending:
    """A SendingFamily (`services/sending_families.py`)."""

    def __init__(self, chains: Chains, transfers: BitcoinTransfers) -> None:
        self._chains = chains
        self._transfers = transfers
        self._few = asyncio.Semaphore(_AT_ONCE)

    async def transfer(self, user_id: str, wish: TransferWish) -> PreparedTransactionDocument:
        return await self._transfers.transfer(user_id, wish)

    async def read(self, chain: str, text: str) -> Signed:
        client = self._chains.bitcoin(chain)
        try:
            found = signed_psbts.read_signed(text)
        except NotReadable as problem:
            text = "this is no signed transaction: {problem}"
            raise _refuse(text, problem=str(problem)) from None
        if found.unsigned:
            text = "input {number} is not signed, or not by a single key; have the wallet finalize it"
            raise _refuse(text, number=found.unsigned[0] + 1)
        if len(found.tx.inputs) > MOST_INPUTS or found.tx.coinbase:
            text = "a transaction that is sent from here spends 1 to {most} outputs"
            raise _refuse(text, most=MOST_INPUTS)
        spent = await self._spent(client, found.tx)
        if spent is None:
            text = "it spends outputs that the chain does not have"
            raise _refuse(text)
        fee = sum(each.sats for each in spent) - sum(each.sats for each in found.tx.outputs)
        if fee < 0:
            text = "it pays out more than it spends"
            raise _refuse(text)
        own = {each.script for each in spent}
        paid = [address_of(each.script, client.network) for each in found.tx.outputs if each.script not in own]
        return Signed(
            hash=found.tx.txid,
            raw=found.raw,
            sender=address_of(spent[0].script, client.network) or "",
            spends=tuple(_named(each.outpoint) for each in found.tx.inputs),
            counterparties=tuple(dict.fromkeys(each for each in paid if each is not None)),
            terms={FEE: str(fee)},
        )

    def differences(self, signed: Signed, prepared: PreparedTransactionDocument) -> Sequence[str]:
        network = bitcoin_network(self._chains.entries[prepared.chain])
        wanted = read_prepared(prepared.payload["psbt"])
        found = signed_psbts.differences(wanted, signed_psbts.read_signed(signed.raw.hex()), network)
        return [each.sentence for each in found if not each.harmless]

    async def send(self, chain: str, raw: bytes, hash_: str) -> None:
        client = self._chains.bitcoin(chain)
        try:
            await client.broadcast(raw)
        except TransactionRefused as error:
            known = error.problem.kind is Refusal.ALREADY_KNOWN or await _is_known(client, hash_)
            if not known:
                raise WalletRefused(error.problem.sentence, reason=error.problem.code, field=["signed"]) from error

    def transaction_hash(self, given: str) -> str:
        if _HASH.fullmatch(given) is None:
            text = "expected the id of a transaction: 64 hexadecimal digits"
            raise WalletRefused(text, reason=WalletErrorCode.INVALID_INPUT, field=["hash"])
        return given.lower()

    async def sight(self, chain: str, hash_: str, sent: Spending | None = None) -> Sighting:
        client = self._chains.bitcoin(chain)
        seen, tx = await self._seen(client, hash_)
        if tx is None:
            taken = None if sent is None else await self._taken(client, hash_, sent.spends)
            return taken or Sighting(SightKind.UNKNOWN)
        if seen.kind is not SightKind.INCLUDED:
            return seen
        return Sighting(
            seen.kind,
            confirmations=seen.confirmations,
            block=seen.block,
            fee=await self._fee(client, tx, sent),
            final=seen.final,
        )

    async def _seen(self, client: BitcoinClient, hash_: str) -> tuple[Sighting, Tx | None]:
        """Where the nodes have it, and its content; None where none knows it. Raises ChainError when none answers."""
        said = await client.transactions_of_all(hash_)
        told = _answers(client, said)
        known = [each for each in told if each is not None]
        if not known:
            return Sighting(SightKind.UNKNOWN), None
        placed = [(each.place, each.confirmations) for each in known if each.place is not None]
        if len(placed) * 2 <= len(told):
            return Sighting(SightKind.WAITING), known[0].tx
        places: set[Place] = {place for place, _ in placed}
        confirmations = min(count for _, count in placed)
        agreed = len(places) == 1 and len(placed) == len(told) >= min(WITNESSES, len(said))
        final = agreed and confirmations >= self._chains.entries[client.chain].final_after
        block = placed[0][0].height
        return Sighting(SightKind.INCLUDED, confirmations=confirmations, block=block, final=final), known[0].tx

    async def _taken(self, client: BitcoinClient, hash_: str, spends: Sequence[str]) -> Sighting | None:
        """Whether another transaction spends the same; by which one, is told where a node knows spenders and its bytes prove it."""
        outpoints = [_outpoint(each) for each in spends]
        for outpoint in outpoints:
            by = await client.spender(outpoint)
            if by is None or by == hash_:
                continue
            seen, tx = await self._seen(client, by)
            if tx is not None and any(each.outpoint == outpoint for each in tx.inputs):
                return Sighting(SightKind.TAKEN, final=seen.final, by=by)
        for outpoint in outpoints:
            if await _is_gone(client, outpoint):
                return Sighting(SightKind.TAKEN)
        return None

    async def _fee(self, client: BitcoinClient, tx: Tx, sent: Spending | None) -> Decimal | None:
        """In whole coins; None where it would take too many questions, and for what a miner made."""
        if sent is not None and FEE in sent.terms:
            return whole(int(sent.terms[FEE]), COIN_DIGITS)
        if tx.coinbase or len(tx.inputs) > _MOST_LOOKED_UP:
            return None
        try:
            spent = await self._spent(client, tx)
        except ChainError:
            return None
        if spent is None:
            return None
        return whole(sum(each.sats for each in spent) - sum(each.sats for each in tx.outputs), COIN_DIGITS)

    async def _spent(self, client: BitcoinClient, tx: Tx) -> Sequence[TxOutput] | None:
        """What it spends, proven; None: there is no such output. Raises ChainError."""
        names = sorted({each.outpoint.txid for each in tx.inputs})
        sources = dict(zip(names, await asyncio.gather(*(self._source(client, each) for each in names)), strict=True))
        found = []
        for each in tx.inputs:
            source = sources[each.outpoint.txid]
            if source is None or each.outpoint.vout >= len(source.outputs):
                return None
            found.append(source.outputs[each.outpoint.vout])
        return found

    async def _source(self, client: BitcoinClient, txid: str) -> Tx | None:
        async with self._few:
            found = await client.transaction(txid)
        return None if found is None else found.tx


def _answers(client: BitcoinClient, said: Mapping[str, T | ChainError]) -> list[T]:
    """What was answered. Raises ChainUnavailable when no node did."""
    answers = [each for each in said.values() if not isinstance(each, ChainError)]
    if not answers:
        raise ChainUnavailable(client.chain, {name: str(each) for name, each in said.items()})
    return answers


async def _is_gone(client: BitcoinClient, outpoint: Outpoint) -> bool:
    """Whether every node that answers says that the output is there and spent. One whose own transaction is gone may come back."""
    if any(each is not None for each in _answers(client, await client.outputs_of_all(outpoint))):
        return False
    sources: Sequence[FoundTransaction | None] = _answers(client, await client.transactions_of_all(outpoint.txid))
    return all(each is not None and each.place is not None for each in sources)


async def _is_known(client: BitcoinClient, hash_: str) -> bool:
    """A node that has it in a block may say that what it spends is missing."""
    return any(each is not None for each in _answers(client, await client.transactions_of_all(hash_)))


def _refuse(text: str, **values: str | int) -> WalletRefused:
    return WalletRefused(text, values, reason=WalletErrorCode.TRANSACTION_REFUSED, field=["signed"])


def _named(outpoint: Outpoint) -> str:
    return f"{outpoint.txid}:{outpoint.vout}"


def _outpoint(named: str) -> Outpoint:
    txid, _, vout = named.partition(":")
    return Outpoint(txid, int(vout))
