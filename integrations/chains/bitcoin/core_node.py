"""Bitcoin Core, and what speaks like it, over JSON-RPC (https://developer.bitcoin.org/reference/rpc/), from version 0.21.

To find every transaction it needs `txindex=1`. Of addresses it knows only what they own, by reading all unspent outputs: a scan that takes minutes on
the main network, of which a node does one at a time.
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
    coins_as_sats,
    found,
    in_order,
    read_tx,
)
from integrations.chains.bitcoin.parameters import COIN
from integrations.chains.bitcoin.transactions import Outpoint
from integrations.chains.errors import Failure, NodeRefused, ProviderFailed
from integrations.chains.http import NodeLimits
from integrations.chains.json_rpc import Call, JsonRpc
from integrations.chains.reserves import ChainReserves, Owned
from integrations.chains.shapes import JsonObject, as_int, as_list, as_object, malformed

_NOT_FOUND, _INVALID_PARAMETER, _WARMING_UP = -5, -8, -28
"""RPC_INVALID_ADDRESS_OR_KEY, RPC_INVALID_PARAMETER, RPC_IN_WARMUP (Bitcoin Core, rpc/protocol.h)."""
_NO_SUCH_METHOD = -32601
_OF_TRANSACTIONS = frozenset({-22, -25, -26, -27})
"""RPC_DESERIALIZATION_ERROR, RPC_VERIFY_ERROR, RPC_VERIFY_REJECTED, RPC_VERIFY_ALREADY_IN_CHAIN: refusals of what is sent, not of who asks."""
_NO_HEIGHT = 2**31 - 1


class CoreNode:
    """One node. `scan_seconds`: how long a scan of all unspent outputs may take; `patience_seconds`: how long to wait for another's to end."""

    def __init__(
        self,
        url: str,
        limits: NodeLimits | None = None,
        *,
        scan_seconds: float = 300.0,
        patience_seconds: float = 30.0,
        between_seconds: float = 0.5,
    ) -> None:
        self._rpc = JsonRpc(url, limits)
        self._scan_rpc = JsonRpc(url, NodeLimits(total_seconds=scan_seconds))
        self._scanning = asyncio.Lock()
        self._patience_seconds = patience_seconds
        self._between_seconds = between_seconds
        self._indexed = True

    @property
    def knows_addresses(self) -> bool:
        return False

    @property
    def shows_mempool(self) -> bool:
        return True

    @property
    def knows_transactions(self) -> bool:
        """As it said last; until it was asked, it is believed to."""
        return self._indexed

    async def close(self) -> None:
        await self._rpc.close()
        await self._scan_rpc.close()

    async def tip(self) -> BlockSummary:
        tip_hash = as_hash(await self._call("getbestblockhash"), "best block")
        tip = await self.summary(tip_hash)
        if tip is None:
            raise malformed("best block", "a block")
        self._indexed = await self._has_index()
        return tip

    async def block_hash(self, height: int) -> str | None:
        if height > _NO_HEIGHT:
            return None
        answer = await self._maybe(_INVALID_PARAMETER, "getblockhash", height)
        return None if answer is None else as_hash(answer, "block hash")

    async def summary(self, block_hash: str) -> BlockSummary | None:
        answer = await self._maybe(_NOT_FOUND, "getblockheader", block_hash)
        if answer is None:
            return None
        header = as_object(answer, "header")
        height = as_int(header.get("height"), "height")
        if header.get("hash") != block_hash:
            raise ProviderFailed(Failure.CONTRADICTS, "its header is another than the one asked for")
        parent = as_hash(header.get("previousblockhash"), "parent") if height else "00" * 32
        return BlockSummary(height, block_hash, parent, as_int(header.get("time"), "time") * 1000)

    async def raw_block(self, block_hash: str) -> bytes | None:
        answer = await self._maybe(_NOT_FOUND, "getblock", block_hash, 0)
        return None if answer is None else as_bytes(answer, "block")

    async def transaction(self, txid: str, block_hash: str | None) -> FoundTransaction | None:
        answer = await self._raw_transaction(txid, block_hash)
        if answer is None:
            return None
        tx = read_tx(as_bytes(answer.get("hex"), "transaction"), txid)
        if answer.get("blockhash") is None:
            return found(tx, None, 0)
        in_block = as_hash(answer.get("blockhash"), "block hash")
        header = as_object(await self._call("getblockheader", in_block), "header")
        if header.get("confirmations") == -1:
            return None  # of a block that is no longer in the best chain, and it does not wait either
        confirmations, height = as_int(header.get("confirmations"), "confirmations"), header.get("height")
        return FoundTransaction(tx, Place(as_int(height, "height"), in_block), confirmations)

    async def output(self, outpoint: Outpoint) -> Utxo | None:
        answer = await self._call("gettxout", outpoint.txid, outpoint.vout, True)
        if answer is None:
            return None
        told = as_object(answer, "output")
        confirmations = as_int(told.get("confirmations"), "confirmations")
        if not confirmations:
            return _utxo(outpoint, told, None)
        best = await self.summary(as_hash(told.get("bestblock"), "best block"))
        if best is None or confirmations > best.height + 1:
            raise malformed("confirmations", "fewer than there are blocks")
        return _utxo(outpoint, told, best.height - confirmations + 1)

    async def spender(self, outpoint: Outpoint) -> str | None:
        """Only while the spender waits, and from version 24."""
        asked = [{"txid": outpoint.txid, "vout": outpoint.vout}]
        answer = await self._maybe(_NO_SUCH_METHOD, "gettxspendingprevout", asked)
        if answer is None:
            return None
        for each in as_list(answer, "spenders"):
            by = as_object(each, "spender").get("spendingtxid")
            return None if by is None else as_hash(by, "spender")
        return None

    async def unspent(self, address: BitcoinAddress) -> Unspent:
        async with self._scanning:
            answer = await self._scan([address.script])
        height = as_int(answer.get("height"), "height")
        found_at: dict[Outpoint, int] = {}
        for each in as_list(answer.get("unspents"), "unspent outputs"):
            entry = as_object(each, "unspent output")
            found_at[as_outpoint(entry)] = as_int(entry.get("height"), "height")
        answers = await self._answers([Call("gettxout", [*each, True]) for each in found_at])
        outputs = []
        for (outpoint, at), told in zip(found_at.items(), answers, strict=True):
            if told is not None:  # else something that waits spends it
                outputs.append(_utxo(outpoint, as_object(told, "output"), at))
        if any(each.script != address.script for each in outputs):
            raise ProviderFailed(Failure.CONTRADICTS, "it lists outputs of another address")
        return Unspent(height, tuple(outputs), complete=False)

    async def confirmed(self, addresses: Sequence[BitcoinAddress]) -> ChainReserves:
        async with self._scanning:
            answer = await self._scan([address.script for address in addresses])
        sats = dict.fromkeys((address.script for address in addresses), 0)
        for each in as_list(answer.get("unspents"), "unspent outputs"):
            entry = as_object(each, "unspent output")
            script = as_bytes(entry.get("scriptPubKey"), "script")
            if script not in sats:
                raise ProviderFailed(Failure.CONTRADICTS, "it lists outputs of another address")
            sats[script] += coins_as_sats(entry.get("amount"), "amount")
        block = await self.summary(as_hash(answer.get("bestblock"), "best block"))
        if block is None:
            raise ProviderFailed(Failure.BEHIND, "does not know the block of its own scan any more")
        owned: Owned = {address.text: {None: sats[address.script]} for address in addresses}
        return ChainReserves(block.height, block.hash, block.time_ms, owned)

    async def history(self, address: BitcoinAddress, after: str | None) -> Sequence[HistoryEntry]:  # noqa: ARG002
        raise ProviderFailed(Failure.UNREACHABLE, "does not know what happened to an address")

    async def waiting(self, known: Collection[str], most: int) -> Waiting:
        txids = [as_hash(each, "txid") for each in as_list(await self._call("getrawmempool"), "mempool")]
        new = [each for each in txids if each not in known][:most]
        answers = await self._rpc.batch([Call("getrawtransaction", [each]) for each in new])
        told = zip(new, answers, strict=True)
        found = [read_tx(as_bytes(raw, "transaction"), txid) for txid, raw in told if not _is_gone(raw)]
        return Waiting(frozenset(txids), tuple(found))

    async def fee_rates(self) -> FeeRates:
        calls = [Call("getmempoolinfo")]
        calls += [Call("estimatesmartfee", [blocks]) for blocks in (SLOW_BLOCKS, STANDARD_BLOCKS, FAST_BLOCKS)]
        mempool, *estimates = await self._answers(calls)
        told = as_object(mempool, "mempool")
        floors = [as_fee_rate(told.get(name), COIN, name) for name in ("mempoolminfee", "minrelaytxfee")]
        rates = [as_object(each, "estimate").get("feerate") for each in estimates]
        slow, standard, fast = (None if rate is None else as_fee_rate(rate, COIN, "feerate") for rate in rates)
        return in_order(max(floors), slow, standard, fast)

    async def broadcast(self, raw: bytes) -> str:
        try:
            return as_hash(await self._rpc.call("sendrawtransaction", raw.hex()), "txid")
        except NodeRefused as refused:
            if refused.code in _OF_TRANSACTIONS:
                raise
            raise _unusable("sendrawtransaction", refused) from None

    async def _raw_transaction(self, txid: str, block_hash: str | None) -> JsonObject | None:
        """None: it neither waits nor is in a block that was looked into."""
        try:
            return as_object(await self._rpc.call("getrawtransaction", txid, True), "transaction")
        except NodeRefused as refused:
            if refused.code != _NOT_FOUND:
                raise _unusable("getrawtransaction", refused) from None
            if "being indexed" in refused.message:
                raise ProviderFailed(Failure.BEHIND, "is still indexing transactions") from None
            self._indexed = "txindex" not in refused.message
        if block_hash is not None:
            answer = await self._maybe(_NOT_FOUND, "getrawtransaction", txid, True, block_hash)
            return None if answer is None else as_object(answer, "transaction")
        if not self._indexed:
            raise ProviderFailed(Failure.UNREACHABLE, "has no index of transactions (txindex=1)")
        return None

    async def _has_index(self) -> bool:
        answer = await self._maybe(_NO_SUCH_METHOD, "getindexinfo", "txindex")
        return answer is None or "txindex" in as_object(answer, "indexes")

    async def _scan(self, scripts: Sequence[bytes]) -> JsonObject:
        """The result of a scan for these; waits a while for one that someone else has begun."""
        deadline = asyncio.get_running_loop().time() + self._patience_seconds
        while True:
            try:
                wanted = [f"raw({script.hex()})" for script in scripts]
                answer = as_object(await self._scan_rpc.call("scantxoutset", "start", wanted), "scan")
            except NodeRefused as refused:
                if refused.code != _INVALID_PARAMETER or "in progress" not in refused.message:
                    raise _unusable("scantxoutset", refused) from None
            else:
                if answer.get("success") is not True:
                    raise ProviderFailed(Failure.UNREACHABLE, "its scan was stopped")
                return answer
            if asyncio.get_running_loop().time() >= deadline:
                raise ProviderFailed(Failure.RATE_LIMITED, "is busy with another scan of all outputs")
            await asyncio.sleep(self._between_seconds)

    async def _call(self, method: str, *params: object) -> object:
        try:
            return await self._rpc.call(method, *params)
        except NodeRefused as refused:
            raise _unusable(method, refused) from None

    async def _maybe(self, absent: int, method: str, *params: object) -> object | None:
        """The answer; None where the node refuses with this code, which says that there is none."""
        try:
            return await self._rpc.call(method, *params)
        except NodeRefused as refused:
            if refused.code == absent:
                return None
            raise _unusable(method, refused) from None

    async def _answers(self, calls: Sequence[Call]) -> list[object]:
        """The answers to a batch."""
        answers = await self._rpc.batch(calls)
        for call, answer in zip(calls, answers, strict=True):
            if isinstance(answer, NodeRefused):
                raise _unusable(call.method, answer)
        return answers


def _is_gone(answer: object) -> bool:
    """Whether a transaction no longer waits, and is not found in a block either. Raises ProviderFailed for any other refusal."""
    if isinstance(answer, NodeRefused) and answer.code != _NOT_FOUND:
        raise _unusable("getrawtransaction", answer)
    return isinstance(answer, NodeRefused)


def _unusable(method: str, refused: NodeRefused) -> ProviderFailed:
    """A refusal that says nothing of what was asked: another node may answer (starting, pruned, not allowed)."""
    if refused.code == _WARMING_UP:
        return ProviderFailed(Failure.UNREACHABLE, "is starting")
    return ProviderFailed(Failure.UNREACHABLE, f"refuses {method} (error {refused.code})")


def _utxo(outpoint: Outpoint, told: JsonObject, height: int | None) -> Utxo:
    """An output from what gettxout tells of it."""
    script = as_bytes(as_object(told.get("scriptPubKey"), "script").get("hex"), "script")
    coinbase = told.get("coinbase")
    if not isinstance(coinbase, bool):
        raise malformed("coinbase", "true or false")
    return Utxo(outpoint, coins_as_sats(told.get("value"), "value"), script, height, coinbase)
