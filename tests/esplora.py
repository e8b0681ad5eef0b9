"""Esplora's REST API over a node's JSON-RPC, as far as the adapter speaks it: a real server on a local port, which indexes addresses by reading every block."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson

from integrations.chains.errors import Failure, NodeRefused, ProviderFailed
from integrations.chains.json_rpc import JsonRpc

Json = dict[str, Any]
Reply = tuple[int, bytes]
Change = Callable[[str, Reply], Reply]


class NotFound(Exception):
    """What it does not have."""


class Tx(NamedTuple):
    """A transaction as it is wherever it stands: `told` is Esplora's form without the status."""

    txid: str
    told: Json
    spends: tuple[tuple[str, int], ...]
    addresses: frozenset[str]


@dataclass(frozen=True)
class Block:
    """A block; `addresses` and `spends`: of all its transactions."""

    hash: str
    previous: str | None
    status: Json
    transactions: Sequence[Tx]
    addresses: frozenset[str]
    spends: frozenset[tuple[str, int]]


_BLOCKS: dict[str, Block] = {}
_TRANSACTIONS: dict[str, Tx] = {}
"""What was read of any node, by hashes of what it is: chains grow long where many tests share a node."""
_WAITS = {"confirmed": False}
_COINBASE = {"is_coinbase": True, "prevout": None}


class Esplora:
    """The API. `change` may alter a reply before it is sent, by its path: a node that lies."""

    def __init__(self, node: JsonRpc) -> None:
        self._node = node
        self.change: Change = lambda path, reply: reply
        self.asked: list[str] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        method, path, _ = head.split(" ", 2)
        length = int(head.lower().partition("content-length:")[2].partition("\r\n")[0] or 0)
        body = await reader.readexactly(length)
        self.asked.append(path)
        status, content = self.change(path, await self._reply(method, path, body.decode()))
        writer.write(
            f"HTTP/1.1 {status} X\r\ncontent-length: {len(content)}\r\nconnection: close\r\n\r\n".encode() + content
        )
        writer.close()

    async def _reply(self, method: str, path: str, body: str) -> Reply:
        try:
            answer = await (self._send(body) if method == "POST" else self._route(path.strip("/").split("/")))
        except NotFound:
            return 404, b"not found"
        except NodeRefused as refused:
            quoted = orjson.dumps({"code": refused.code, "message": refused.message}).decode()
            return 400, f"sendrawtransaction RPC error: {quoted}".encode()
        return 200, answer if isinstance(answer, bytes) else orjson.dumps(answer, default=float)

    async def _send(self, body: str) -> bytes:
        return str(await self._node.call("sendrawtransaction", body)).encode()

    async def _route(self, parts: list[str]) -> object:
        routes: dict[str, Callable[..., Awaitable[object]]] = {
            "blocks": self._tip,
            "block-height": self._at_height,
            "block": self._block,
            "tx": self._tx,
            "address": self._address,
            "fee-estimates": self._fees,
        }
        if parts[0] not in routes:
            raise NotFound
        return await routes[parts[0]](*parts[1:])

    async def _tip(self, _: str, what: str) -> object:
        if what == "height":
            return await self._read("getblockcount")
        return str(await self._read("getbestblockhash")).encode()

    async def _at_height(self, height: str) -> bytes:
        return str(await self._absent("getblockhash", int(height))).encode()

    async def _block(self, block_hash: str, what: str = "") -> object:
        if what == "raw":
            return bytes.fromhex(str(await self._absent("getblock", block_hash, 0)))
        found: Json = await self._absent("getblockheader", block_hash)
        return {
            "id": found["hash"],
            "height": found["height"],
            "timestamp": found["time"],
            "previousblockhash": found.get("previousblockhash"),
        }

    async def _tx(self, txid: str, what: str, vout: str = "") -> object:
        found: Json = await self._absent("getrawtransaction", txid, True)
        if found.get("blockhash") and not found.get("confirmations"):
            raise NotFound  # in a block that lost, and nowhere else
        if what == "raw":
            return bytes.fromhex(found["hex"])
        if what == "status":
            block = found.get("blockhash")
            return (await self._read_block(block)).status if block else _WAITS
        place = (txid, int(vout))
        spender = next((each for each, _ in await self._all(spent=place) if place in each.spends), None)
        if spender is None:
            return {"spent": False}
        return {"spent": True, "txid": spender.txid, "vin": spender.spends.index(place)}

    async def _address(self, address: str, what: str = "", *chain: str) -> object:
        touching = await self._all(address=address)
        if not what:
            return {"address": address, "chain_stats": self._sums(address, touching)}
        if what == "utxo":
            spent = {each for tx, _ in touching for each in tx.spends}
            return [
                {"txid": tx.txid, "vout": place, "value": out["value"], "status": status}
                for tx, status in touching
                for place, out in enumerate(tx.told["vout"])
                if out["scriptpubkey_address"] == address and (tx.txid, place) not in spent
            ]
        entries = [tx.told | {"status": status} for tx, status in reversed(touching)]
        confirmed = [each for each in entries if each["status"]["confirmed"]]
        if chain:
            place = next((at for at, each in enumerate(confirmed) if each["txid"] == chain[1]), len(confirmed))
            return confirmed[place + 1 :][:25]
        waiting = [each for each in entries if not each["status"]["confirmed"]]
        return waiting[:50] + confirmed[:25]

    @staticmethod
    def _sums(address: str, touching: Sequence[tuple[Tx, Json]]) -> Json:
        """Of blocks alone."""
        found = [tx for tx, status in touching if status["confirmed"]]
        spent = {each for tx in found for each in tx.spends}
        own = [
            ((tx.txid, place), out["value"])
            for tx in found
            for place, out in enumerate(tx.told["vout"])
            if out["scriptpubkey_address"] == address
        ]
        return {
            "funded_txo_sum": sum(sats for _, sats in own),
            "spent_txo_sum": sum(sats for place, sats in own if place in spent),
        }

    async def _fees(self) -> object:
        return {str(blocks): 10.5 if blocks < 6 else 2.25 for blocks in (1, 2, 3, 4, 5, 6, 10, 20, 25, 144, 504, 1008)}

    async def _all(self, *, address: str | None = None, spent: tuple[str, int] | None = None) -> list[tuple[Tx, Json]]:
        """Transactions that touch an address, or of blocks that spend an output, with their status: of the best chain and those that wait, the oldest first."""
        found: list[tuple[Tx, Json]] = []
        for block in await self._chain():
            if spent in block.spends if address is None else address in block.addresses:
                found += [(tx, block.status) for tx in block.transactions]
        waiting = await self._read("getrawmempool")
        found += [(await self._read_tx(txid), _WAITS) for txid in waiting]
        return [each for each in found if address is None or address in each[0].addresses]

    async def _chain(self) -> list[Block]:
        """The best chain, the oldest first."""
        blocks: list[Block] = []
        at = await self._read("getbestblockhash")
        while at is not None:
            blocks.append(_BLOCKS.get(at) or await self._read_block(at))
            at = blocks[-1].previous
        return blocks[::-1]

    async def _read_block(self, block_hash: str) -> Block:
        if block_hash not in _BLOCKS:
            read: Json = await self._absent("getblock", block_hash, 2)
            transactions = [await self._kept(each) for each in read["tx"]]
            _BLOCKS[block_hash] = Block(
                block_hash,
                read.get("previousblockhash"),
                {
                    "confirmed": True,
                    "block_height": read["height"],
                    "block_hash": block_hash,
                    "block_time": read["time"],
                },
                transactions,
                frozenset().union(*(each.addresses for each in transactions)),
                frozenset(place for each in transactions for place in each.spends),
            )
        return _BLOCKS[block_hash]

    async def _read_tx(self, txid: str) -> Tx:
        if txid in _TRANSACTIONS:
            return _TRANSACTIONS[txid]
        return await self._kept(await self._absent("getrawtransaction", txid, True))

    async def _kept(self, tx: Json) -> Tx:
        if tx["txid"] not in _TRANSACTIONS:
            spends = tuple(_spends(tx))
            prevouts = [(await self._read_tx(txid)).told["vout"][place] for txid, place in spends]
            inputs = [{"is_coinbase": False, "prevout": each} for each in prevouts]
            outputs = [_output(each) for each in tx["vout"]]
            paid = sum(each["value"] for each in prevouts)
            fee = paid - sum(each["value"] for each in outputs) if paid else 0
            told = {"txid": tx["txid"], "vin": inputs or [_COINBASE], "vout": outputs, "fee": fee}
            addresses = frozenset(each["scriptpubkey_address"] for each in (*outputs, *prevouts))
            _TRANSACTIONS[tx["txid"]] = Tx(tx["txid"], told, spends, addresses)
        return _TRANSACTIONS[tx["txid"]]

    async def _read(self, method: str, *params: object) -> Any:
        """Asks again when the connection broke, which nodes of Bitcoin's kind do to kept ones now and then (bitcoin/bitcoin#18623)."""
        try:
            return await self._node.call(method, *params)
        except ProviderFailed as failed:
            if failed.failure is not Failure.UNREACHABLE:
                raise
            return await self._node.call(method, *params)

    async def _absent(self, method: str, *params: object) -> Any:
        try:
            return await self._read(method, *params)
        except NodeRefused as refused:
            if refused.code in (-5, -8):
                raise NotFound from None
            raise


def _spends(tx: Json) -> list[tuple[str, int]]:
    return [(each["txid"], each["vout"]) for each in tx["vin"] if "coinbase" not in each]


def _sats(output: Json) -> int:
    return int(output["value"] * 10**8)


def _output(output: Json) -> Json:
    script = output["scriptPubKey"]
    address = next(iter(script.get("addresses", [])), script.get("address"))
    return {"scriptpubkey": script["hex"], "scriptpubkey_address": address, "value": _sats(output)}


@asynccontextmanager
async def esplora(node_url: str) -> AsyncIterator[tuple[str, Esplora]]:
    """The API over a node; yields its URL and itself."""
    node = JsonRpc(node_url)
    api = Esplora(node)
    server = await asyncio.start_server(api.serve, "127.0.0.1", 0)
    try:
        async with server:
            yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", api
    finally:
        await node.close()
