"""Esplora's REST API over a node's JSON-RPC, as far as the adapter speaks it: a real server on a local port, which indexes addresses by reading every block."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import orjson

from integrations.chains.errors import Failure, NodeRefused, ProviderFailed
from integrations.chains.json_rpc import JsonRpc

Json = dict[str, Any]
Reply = tuple[int, bytes]
Change = Callable[[str, Reply], Reply]


class NotFound(Exception):
    """What it does not have."""


class Esplora:
    """The API. `change` may alter a reply before it is sent, by its path: a node that lies."""

    def __init__(self, node: JsonRpc) -> None:
        self._node = node
        self._blocks: dict[str, Json] = {}
        self._headers: dict[str, Json] = {}
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
            return await self._status(found)
        spender = next((each for each in await self._all() if (txid, int(vout)) in _spends(each)), None)
        if spender is None:
            return {"spent": False}
        return {"spent": True, "txid": spender["txid"], "vin": _spends(spender).index((txid, int(vout)))}

    async def _address(self, address: str, what: str = "", *chain: str) -> object:
        everything = await self._all()
        if not what:
            return {"address": address, "chain_stats": await self._sums(address, everything)}
        if what == "utxo":
            spent = {each for tx in everything for each in _spends(tx)}
            return [
                {"txid": tx["txid"], "vout": out["n"], "value": _sats(out), "status": await self._status(tx)}
                for tx in everything
                for out in tx["vout"]
                if _is_of(out, address) and (tx["txid"], out["n"]) not in spent
            ]
        by_txid = {each["txid"]: each for each in everything}
        entries = [await self._entry(each, by_txid) for each in reversed(everything)]
        touching = [each for each in entries if self._touches(each, address)]
        if chain:
            confirmed = [each for each in touching if each["status"]["confirmed"]]
            place = next((at for at, each in enumerate(confirmed) if each["txid"] == chain[1]), len(confirmed))
            return confirmed[place + 1 :][:25]
        waiting = [each for each in touching if not each["status"]["confirmed"]]
        return waiting[:50] + [each for each in touching if each["status"]["confirmed"]][:25]

    async def _sums(self, address: str, everything: list[Json]) -> Json:
        """Of blocks alone."""
        found = [tx for tx in everything if (await self._status(tx))["confirmed"]]
        spent = {each for tx in found for each in _spends(tx)}
        own = [(tx["txid"], out["n"], _sats(out)) for tx in found for out in tx["vout"] if _is_of(out, address)]
        return {
            "funded_txo_sum": sum(sats for _, _, sats in own),
            "spent_txo_sum": sum(sats for txid, place, sats in own if (txid, place) in spent),
        }

    async def _fees(self) -> object:
        return {str(blocks): 10.5 if blocks < 6 else 2.25 for blocks in (1, 2, 3, 4, 5, 6, 10, 20, 25, 144, 504, 1008)}

    @staticmethod
    def _touches(entry: Json, address: str) -> bool:
        outputs = entry["vout"] + [each["prevout"] for each in entry["vin"] if each["prevout"]]
        return any(each["scriptpubkey_address"] == address for each in outputs)

    async def _entry(self, tx: Json, by_txid: dict[str, Json]) -> Json:
        inputs: list[Json] = []
        for each in tx["vin"]:
            prevout = None if "coinbase" in each else _output(by_txid[each["txid"]]["vout"][each["vout"]])
            inputs.append({"is_coinbase": "coinbase" in each, "prevout": prevout})
        outputs = [_output(each) for each in tx["vout"]]
        spent = sum(each["prevout"]["value"] for each in inputs if each["prevout"])
        fee = spent - sum(each["value"] for each in outputs) if spent else 0
        return {"txid": tx["txid"], "vin": inputs, "vout": outputs, "fee": fee, "status": await self._status(tx)}

    async def _status(self, tx: Json) -> Json:
        if not tx.get("blockhash"):
            return {"confirmed": False}
        if tx["blockhash"] not in self._headers:
            self._headers[tx["blockhash"]] = await self._absent("getblockheader", tx["blockhash"])
        header = self._headers[tx["blockhash"]]
        return {
            "confirmed": True,
            "block_height": header["height"],
            "block_hash": header["hash"],
            "block_time": header["time"],
        }

    async def _all(self) -> list[Json]:
        """Every transaction of the best chain and those that wait, the oldest first."""
        blocks: list[Json] = []
        at = await self._read("getbestblockhash")
        while at is not None:
            if at not in self._blocks:
                read: Json = await self._absent("getblock", at, 2)
                self._blocks[str(at)] = read | {"tx": [each | {"blockhash": read["hash"]} for each in read["tx"]]}
            blocks.append(self._blocks[str(at)])
            at = blocks[-1].get("previousblockhash")
        found = [each for block in reversed(blocks) for each in block["tx"]]
        waiting = await self._read("getrawmempool")
        for txid in waiting if isinstance(waiting, list) else []:
            found.append(await self._absent("getrawtransaction", txid, True))
        return found

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


def _is_of(output: Json, address: str) -> bool:
    return bool(_output(output)["scriptpubkey_address"] == address)


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
