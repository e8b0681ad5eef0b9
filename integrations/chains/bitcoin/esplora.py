"""Esplora's REST API (https://github.com/Blockstream/esplora/blob/master/API.md), as Blockstream and mempool.space serve it.

It knows every address. Blocks and transactions are taken as bytes, so that they can be checked.
"""

import asyncio
from collections.abc import Collection, Sequence

from integrations.chains.bitcoin.addresses import BitcoinAddress
from integrations.chains.bitcoin.blocks import BlockSummary
from integrations.chains.bitcoin.messages import FeeRates, FoundTransaction, HistoryEntry, Place, Unspent, Utxo, Waiting
from integrations.chains.bitcoin.node import (
    FAST_BLOCKS,
    SLOW_BLOCKS,
    STANDARD_BLOCKS,
    as_bytes,
    as_fee_rate,
    as_hash,
    as_outpoint,
    as_sats,
    found,
    in_order,
    read_tx,
)
from integrations.chains.bitcoin.parameters import COINBASE_MATURITY
from integrations.chains.bitcoin.transactions import Outpoint, TxOutput
from integrations.chains.errors import Failure, NodeRefused, ProviderFailed
from integrations.chains.http import NodeHttp, NodeLimits
from integrations.chains.reserves import ChainReserves, Owned
from integrations.chains.shapes import JsonObject, as_int, as_list, as_object, malformed

RELAY_FLOOR = 1_000
"""Bitcoin Core's own minimum for long (1 sat/vB), which is on the safe side of today's: Esplora does not tell what its node takes."""
_BAD_REQUEST, _NOT_FOUND = 400, 404
_AT_ONCE = 8
_TRIES = 3


class EsploraNode:
    """One API; its URL ends before `/blocks`, such as https://blockstream.info/api."""

    def __init__(self, url: str, limits: NodeLimits | None = None) -> None:
        self._http = NodeHttp(url, limits)
        self._few = asyncio.Semaphore(_AT_ONCE)

    @property
    def knows_addresses(self) -> bool:
        return True

    @property
    def shows_mempool(self) -> bool:
        return False

    @property
    def knows_transactions(self) -> bool:
        return True

    async def close(self) -> None:
        await self._http.close()

    async def tip(self) -> BlockSummary:
        answer = await self._bytes("/blocks/tip/hash")
        tip = None if answer is None else await self.summary(_hash(answer))
        if tip is None:
            raise malformed("tip", "a block")
        return tip

    async def block_hash(self, height: int) -> str | None:
        answer = await self._bytes(f"/block-height/{height}")
        return None if answer is None else _hash(answer)

    async def summary(self, block_hash: str) -> BlockSummary | None:
        answer = await self._object(f"/block/{block_hash}")
        if answer is None:
            return None
        if answer.get("id") != block_hash:
            raise ProviderFailed(Failure.CONTRADICTS, "its block is another than the one asked for")
        height = as_int(answer.get("height"), "height")
        parent = as_hash(answer.get("previousblockhash"), "parent") if height else "00" * 32
        return BlockSummary(height, block_hash, parent, as_int(answer.get("timestamp"), "timestamp") * 1000)

    async def raw_block(self, block_hash: str) -> bytes | None:
        return await self._bytes(f"/block/{block_hash}/raw")

    async def transaction(self, txid: str, block_hash: str | None) -> FoundTransaction | None:  # noqa: ARG002
        status = await self._object(f"/tx/{txid}/status")
        raw = await self._bytes(f"/tx/{txid}/raw")
        if raw is None or status is None:
            return None
        place = _place(status)
        tip = await self._tip_height() if place is not None else 0
        return found(read_tx(raw, txid), place, tip)

    async def output(self, outpoint: Outpoint) -> Utxo | None:
        spending = await self._object(f"/tx/{outpoint.txid}/outspend/{outpoint.vout}")
        transaction = await self._object(f"/tx/{outpoint.txid}/status")
        raw = await self._bytes(f"/tx/{outpoint.txid}/raw")
        if spending is None or transaction is None or raw is None or _flag(spending, "spent"):
            return None
        tx, place = read_tx(raw, outpoint.txid), _place(transaction)
        if outpoint.vout >= len(tx.outputs):
            return None
        output = tx.outputs[outpoint.vout]
        return Utxo(outpoint, output.sats, output.script, None if place is None else place.height, tx.coinbase)

    async def spender(self, outpoint: Outpoint) -> str | None:
        answer = await self._object(f"/tx/{outpoint.txid}/outspend/{outpoint.vout}")
        if answer is None or not _flag(answer, "spent"):
            return None
        return as_hash(answer.get("txid"), "spender")

    async def unspent(self, address: BitcoinAddress) -> Unspent:
        tip = await self._tip_height()
        entries = as_list(await self._json(f"/address/{address.text}/utxo"), "unspent outputs")
        outputs = await asyncio.gather(*(self._utxo(each, address, tip) for each in entries))
        return Unspent(tip, tuple(outputs), complete=True)

    async def confirmed(self, addresses: Sequence[BitcoinAddress]) -> ChainReserves:
        """Each address is asked for by itself: what was told around a new block is not mixed up with what was told before it."""
        for _ in range(_TRIES):
            tip = await self.tip()
            sats = await asyncio.gather(*(self._confirmed(each) for each in addresses))
            if (await self.tip()).hash == tip.hash:
                owned: Owned = {each.text: {None: found} for each, found in zip(addresses, sats, strict=True)}
                return ChainReserves(tip.height, tip.hash, tip.time_ms, owned)
        raise ProviderFailed(Failure.BEHIND, "has new blocks faster than it can be read")

    async def _confirmed(self, address: BitcoinAddress) -> int:
        async with self._few:
            told = as_object(await self._json(f"/address/{address.text}"), "address")
        stats = as_object(told.get("chain_stats"), "chain_stats")
        given, taken = (as_sats(stats.get(f"{each}_txo_sum"), each) for each in ("funded", "spent"))
        return as_sats(given - taken, "what is left")

    async def history(self, address: BitcoinAddress, after: str | None) -> Sequence[HistoryEntry]:
        page = f"/address/{address.text}/txs" + ("" if after is None else f"/chain/{after}")
        return [_entry(each, address.script) for each in as_list(await self._json(page), "transactions")]

    async def waiting(self, known: Collection[str], most: int) -> Waiting:  # noqa: ARG002
        raise ProviderFailed(Failure.UNREACHABLE, "is not asked for all that waits, but by address")

    async def fee_rates(self) -> FeeRates:
        answer = as_object(await self._json("/fee-estimates"), "fee estimates")
        estimates = {int(key): value for key, value in answer.items() if key.isascii() and key.isdigit()}
        slow, standard, fast = (_estimate(estimates, blocks) for blocks in (SLOW_BLOCKS, STANDARD_BLOCKS, FAST_BLOCKS))
        return in_order(RELAY_FLOOR, slow, standard, fast)

    async def broadcast(self, raw: bytes) -> str:
        try:
            return _hash(await self._http.post_text("/tx", raw.hex()))
        except NodeRefused as refused:
            if refused.code == _BAD_REQUEST:
                raise
            raise _unusable(refused) from None

    async def _utxo(self, value: object, address: BitcoinAddress, tip: int) -> Utxo:
        entry = as_object(value, "unspent output")
        outpoint = as_outpoint(entry)
        place = _place(as_object(entry.get("status"), "status"))
        height = None if place is None else place.height
        utxo = Utxo(outpoint, as_sats(entry.get("value"), "value"), address.script, height, False)
        young = height is not None and utxo.confirmations(tip) < COINBASE_MATURITY
        coinbase = young and await self._is_coinbase(outpoint.txid)
        return Utxo(outpoint, utxo.sats, utxo.script, height, coinbase)

    async def _is_coinbase(self, txid: str) -> bool:
        """The listing does not tell it. What is old enough to be spent either way is not asked for."""
        async with self._few:
            raw = await self._bytes(f"/tx/{txid}/raw")
        if raw is None:
            raise malformed("transaction of an unspent output", "one that it knows")
        return read_tx(raw, txid).coinbase

    async def _tip_height(self) -> int:
        return as_int(await self._json("/blocks/tip/height"), "height")

    async def _json(self, path: str) -> object:
        try:
            return await self._http.get_json(path)
        except NodeRefused as refused:
            raise _unusable(refused) from None

    async def _object(self, path: str) -> JsonObject | None:
        """None where there is none such."""
        try:
            return as_object(await self._http.get_json(path), "answer")
        except NodeRefused as refused:
            if refused.code == _NOT_FOUND:
                return None
            raise _unusable(refused) from None

    async def _bytes(self, path: str) -> bytes | None:
        """None where there is none such."""
        try:
            return await self._http.get_text(path)
        except NodeRefused as refused:
            if refused.code == _NOT_FOUND:
                return None
            raise _unusable(refused) from None


def _unusable(refused: NodeRefused) -> ProviderFailed:
    """A refusal that says nothing of what was asked: another node may answer."""
    return ProviderFailed(Failure.UNREACHABLE, f"refuses to answer (HTTP {refused.code})")


def _hash(answer: bytes) -> str:
    return as_hash(answer.decode(errors="replace").strip(), "hash")


def _flag(answer: JsonObject, name: str) -> bool:
    value = answer.get(name)
    if not isinstance(value, bool):
        raise malformed(name, "true or false")
    return value


def _place(status: JsonObject) -> Place | None:
    if not _flag(status, "confirmed"):
        return None
    return Place(as_int(status.get("block_height"), "block_height"), as_hash(status.get("block_hash"), "block_hash"))


def _estimate(estimates: dict[int, object], blocks: int) -> int | None:
    """The fee for so many blocks, or for the next lower number that there is one for."""
    target = max((each for each in estimates if each <= blocks), default=None)
    if target is None:
        return None
    return as_fee_rate(estimates[target], 1000, "fee estimate")


def _entry(value: object, script: bytes) -> HistoryEntry:
    told = as_object(value, "transaction")
    status = as_object(told.get("status"), "status")
    place = _place(status)
    outputs = [_output(each) for each in as_list(told.get("vout"), "outputs")]
    spent = [_output(each) for each in _prevouts(told)]
    return HistoryEntry(
        txid=as_hash(told.get("txid"), "txid"),
        place=place,
        time_ms=None if place is None else as_int(status.get("block_time"), "block_time") * 1000,
        spent=sum(each.sats for each in spent if each.script == script),
        received=sum(each.sats for each in outputs if each.script == script),
        fee=as_sats(told.get("fee"), "fee"),
        senders=tuple(dict.fromkeys(each.script for each in spent if each.script != script)),
        receivers=tuple(each for each in outputs if each.script != script),
    )


def _prevouts(told: JsonObject) -> list[object]:
    """What the inputs spend; a coinbase spends nothing."""
    inputs = [as_object(each, "input") for each in as_list(told.get("vin"), "inputs")]
    return [each.get("prevout") for each in inputs if not _flag(each, "is_coinbase")]


def _output(value: object) -> TxOutput:
    told = as_object(value, "output")
    return TxOutput(as_bytes(told.get("scriptpubkey"), "script"), as_sats(told.get("value"), "value"))
