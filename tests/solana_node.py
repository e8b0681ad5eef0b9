"""A node of Solana for tests: JSON-RPC over HTTP on a free port, in this process, over a `SolanaChain`.

Real is what the chain says is real (`tests/solana_chain.py`: runtime, signatures, fees, rent, programs). Imitated are the answers' shapes and the
errors' codes and texts, after Agave's (https://solana.com/docs/rpc, `rpc-client-api/src/custom_error.rs`), as far as they are used here: accounts in
base64 (token accounts also in jsonParsed), transactions in base64. Several nodes may serve one chain; one may lag behind (`behind`), have dropped
its history (`first_slot`), or say what it is told to (`twist`).
"""

import asyncio
import base64
import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import orjson
from solders.account import Account
from solders.message import from_bytes_versioned
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.token.state import Mint, TokenAccount, TokenAccountState
from solders.transaction import VersionedTransaction

from integrations.chains.solana.addresses import TOKEN_PROGRAMS
from integrations.chains.solana.wire import UnreadableTransaction, read_transaction
from tests.solana_answers import RpcError, account_json, key_of, lamports_of, token_of, words_of
from tests.solana_chain import FINAL_BLOCKS, HASH_BLOCKS, Block, Landed, Refused, SolanaChain

Json = Mapping[str, Any]
Twist = Callable[[str, list[Any], Any], Any]
"""Method, parameters and the right answer; gives the answer that is told. May raise RpcError."""
_METHOD = re.compile("(get|is|send|simulate|request)[A-Z][A-Za-z]+")
_DEPTHS = {"processed": 0, "confirmed": 1, "finalized": FINAL_BLOCKS}


class SolanaNode:
    """What one node answers. Its methods are named as the protocol's in snake case, and take its parameters."""

    def __init__(self, chain: SolanaChain) -> None:
        self.chain = chain
        self.url = ""
        self.behind = 0
        self.first_slot = 0
        self.priority_fees: list[int] | None = None
        self.twist: Twist = lambda method, params, result: result
        self.asked: list[str] = []

    def answer(self, method: str, params: list[Any]) -> Any:
        """The result of a call. Raises RpcError."""
        self.asked.append(method)
        name = re.sub("[A-Z]", lambda capital: f"_{capital[0].lower()}", method)
        found = getattr(self, name, None) if _METHOD.fullmatch(method) else None
        if found is None:
            raise RpcError(-32601, "Method not found")
        return self.twist(method, params, found(*params))

    # the chain as this node sees it

    def _block(self, options: Json | None, default: str = "finalized") -> Block:
        depth = self.behind + _DEPTHS[(options or {}).get("commitment", default)]
        return self.chain.blocks[-1 - depth]

    def _in_context(self, block: Block, value: object) -> Json:
        return {"context": {"apiVersion": "2.3.0", "slot": block.slot}, "value": value}

    def _find(self, signature: str) -> tuple[Block, Landed] | None:
        found = self.chain.find(signature)
        visible = found is not None and self.first_slot <= found[0].slot <= self._block(None, "processed").slot
        return found if visible else None

    def _commitment(self, slot: int) -> str:
        return next(each for each in reversed(_DEPTHS) if self._block({"commitment": each}).slot >= slot)

    # methods

    def get_health(self) -> str:
        return "ok"

    def get_genesis_hash(self) -> str:
        return self.chain.genesis

    def get_slot(self, options: Json | None = None) -> int:
        return self._block(options).slot

    def get_block_height(self, options: Json | None = None) -> int:
        return self._block(options).height

    def get_epoch_info(self, options: Json | None = None) -> Json:
        block = self._block(options)
        count = sum(len(each.landed) for each in self.chain.blocks if each.slot <= block.slot)
        return {
            "absoluteSlot": block.slot,
            "blockHeight": block.height,
            "epoch": block.slot // 432_000,
            "slotIndex": block.slot % 432_000,
            "slotsInEpoch": 432_000,
            "transactionCount": count,
        }

    def get_first_available_block(self) -> int:
        return self.first_slot

    def get_block_time(self, slot: int) -> int:
        return self._at(slot).time

    def get_latest_blockhash(self, options: Json | None = None) -> Json:
        block = self._block(options)
        value = {"blockhash": str(block.hash), "lastValidBlockHeight": block.height + HASH_BLOCKS}
        return self._in_context(block, value)

    def is_blockhash_valid(self, blockhash: str, options: Json | None = None) -> Json:
        block = self._block(options)
        found = next((each for each in self.chain.blocks if str(each.hash) == blockhash), None)
        return self._in_context(block, found is not None and self.chain.is_valid(found.hash, block))

    def get_balance(self, address: str, options: Json | None = None) -> Json:
        block = self._block(options)
        account = self.chain.account(key_of(address), block.slot)
        return self._in_context(block, 0 if account is None else account.lamports)

    def get_account_info(self, address: str, options: Json | None = None) -> Json:
        block = self._block(options)
        return self._in_context(block, account_json(self.chain.account(key_of(address), block.slot)))

    def get_multiple_accounts(self, addresses: Sequence[str], options: Json | None = None) -> Json:
        block = self._block(options)
        if len(addresses) > 100:
            raise RpcError(-32602, "Too many inputs provided; max 100")
        found = [account_json(self.chain.account(key_of(each), block.slot)) for each in addresses]
        return self._in_context(block, found)

    def get_token_accounts_by_owner(self, owner: str, chosen: Json, options: Json | None = None) -> Json:
        block = self._block(options)
        programs = [chosen["programId"]] if "programId" in chosen else TOKEN_PROGRAMS
        parsed = (options or {}).get("encoding") == "jsonParsed"
        found = []
        for program in programs:
            for key, account in self.chain.owned_by(key_of(program), block.slot):
                token = token_of(account)
                if token is None or str(token.owner) != owner or str(token.mint) != chosen.get("mint", str(token.mint)):
                    continue
                data = self._parsed(token, block.slot) if parsed else account_json(account)["data"]
                found.append({"pubkey": str(key), "account": {**account_json(account), "data": data}})
        return self._in_context(block, found)

    def get_minimum_balance_for_rent_exemption(self, data_bytes: int, _: Json | None = None) -> int:
        return self.chain.svm.minimum_balance_for_rent_exemption(data_bytes)

    def get_recent_prioritization_fees(self, addresses: Sequence[str] = ()) -> list[Json]:
        if len(addresses) > 128:
            raise RpcError(-32602, "Too many inputs provided; max 128")
        blocks = self.chain.blocks[-150:]
        fees = self.priority_fees or [0] * len(blocks)
        pairs = zip(blocks, fees, strict=False)
        return [{"slot": block.slot, "prioritizationFee": fee} for block, fee in pairs]

    def get_fee_for_message(self, message: str, options: Json | None = None) -> Json:
        block = self._block(options)
        found = from_bytes_versioned(base64.b64decode(message))
        if not self.chain.is_valid(found.recent_blockhash, block):
            return self._in_context(block, None)
        blank = VersionedTransaction.populate(found, [Signature.default()] * found.header.num_required_signatures)
        return self._in_context(block, self.chain.try_out(blank, signed=False)[0].fee())

    def request_airdrop(self, address: str, lamports: int, _: Json | None = None) -> str:
        return self.chain.airdrop(key_of(address), lamports)

    def send_transaction(self, content: str, options: Json | None = None) -> str:
        options = options or {}
        transaction = _transaction(content, options)
        if not options.get("skipPreflight"):
            if not all(transaction.verify_with_results()):
                raise RpcError(-32003, "Transaction signature verification failure")
            outcome = self._try_out(transaction, options, "preflightCommitment", signed=True)
            if outcome["err"] is not None:
                text = f"Transaction simulation failed: {words_of(outcome['err'])}"
                raise RpcError(-32002, text, outcome)
        self.chain.accept(transaction)
        return str(transaction.signatures[0])

    def simulate_transaction(self, content: str, options: Json | None = None) -> Json:
        options = options or {}
        transaction = _transaction(content, options)
        signed = bool(options.get("sigVerify"))
        outcome = self._try_out(transaction, options, "commitment", signed=signed)
        return self._in_context(self._block(options), outcome)

    def _try_out(self, transaction: VersionedTransaction, options: Json, name: str, *, signed: bool) -> Json:
        seen_by = self._block({"commitment": options.get(name, "finalized")})
        try:
            if not self.chain.lives(transaction, seen_by):
                raise Refused("BlockhashNotFound")
            meta, error = self.chain.try_out(transaction, signed=signed)
        except Refused as refused:
            return {"err": refused.error, "logs": [], "unitsConsumed": 0, "accounts": None}
        return {"err": error, "logs": meta.logs(), "unitsConsumed": meta.compute_units_consumed(), "accounts": None}

    def get_signature_statuses(self, signatures: Sequence[str], options: Json | None = None) -> Json:
        if len(signatures) > 256:
            raise RpcError(-32602, "Too many inputs provided; max 256")
        search = bool((options or {}).get("searchTransactionHistory"))
        tip = self._block(None, "processed")
        return self._in_context(tip, [self._status(each, tip, search=search) for each in signatures])

    def _status(self, signature: str, tip: Block, *, search: bool) -> Json | None:
        found = self._find(signature)
        if found is None or not (search or tip.height - found[0].height <= HASH_BLOCKS):
            return None
        block, landed = found
        commitment = self._commitment(block.slot)
        return {
            "slot": block.slot,
            "confirmations": None if commitment == "finalized" else tip.height - block.height,
            "err": landed.error,
            "status": {"Ok": None} if landed.error is None else {"Err": landed.error},
            "confirmationStatus": commitment,
        }

    def get_signatures_for_address(self, address: str, options: Json | None = None) -> list[Json]:
        options = options or {}
        key, newest = key_of(address), self._block(options)
        listed = []
        for block in reversed(self.chain.blocks):
            if self.first_slot <= block.slot <= newest.slot:
                listed += [(block, each) for each in reversed(block.landed) if key in each.keys]
        if options.get("before"):
            listed = self._older_than(options["before"], listed)
        names = [landed.signature for _, landed in listed]
        if options.get("until") in names:
            listed = listed[: names.index(options["until"])]
        return [
            {
                "signature": landed.signature,
                "slot": block.slot,
                "err": landed.error,
                "memo": None,
                "blockTime": block.time,
                "confirmationStatus": self._commitment(block.slot),
            }
            for block, landed in listed[: options.get("limit", 1000)]
        ]

    def _older_than(self, before: str, listed: list[tuple[Block, Landed]]) -> list[tuple[Block, Landed]]:
        """Those whose place in the ledger is before that of any transaction, also of other accounts."""
        found = self._find(before)
        if found is None:
            return []
        slot, place = found[0].slot, found[0].landed.index(found[1])
        return [each for each in listed if (each[0].slot, each[0].landed.index(each[1])) < (slot, place)]

    def get_transaction(self, signature: str, options: Json | None = None) -> Json | None:
        found = self._find(signature)
        if found is None or found[0].slot > self._block(options).slot:
            return None
        block, landed = found
        return {"slot": block.slot, "blockTime": block.time, **self._told(block, landed)}

    def get_block(self, slot: int, options: Json | None = None) -> Json:
        options = options or {}
        if slot > self._block(options).slot:
            raise RpcError(-32004, f"Block not available for slot {slot}")
        if slot < self.first_slot:
            raise RpcError(-32001, f"Block {slot} cleaned up, does not exist on node")
        block = self._at(slot)
        parent = block.parent or block
        found: dict[str, Any] = {
            "blockhash": str(block.hash),
            "previousBlockhash": str(parent.hash),
            "parentSlot": parent.slot,
            "blockHeight": block.height,
            "blockTime": block.time,
        }
        details = options.get("transactionDetails", "full")
        if details == "signatures":
            found["signatures"] = [landed.signature for landed in block.landed]
        elif details == "full":
            found["transactions"] = [self._told(block, landed) for landed in block.landed]
        return found

    def get_blocks(self, first: int, last: int | None = None, options: Json | None = None) -> list[int]:
        newest = self._block(options).slot
        end = min(newest, newest if last is None else last)
        return [block.slot for block in self.chain.blocks if first <= block.slot <= end]

    def _at(self, slot: int) -> Block:
        for block in self.chain.blocks:
            if block.slot == slot:
                return block
        raise RpcError(-32007, f"Slot {slot} was skipped, or missing due to ledger jump to recent snapshot")

    def _told(self, block: Block, landed: Landed) -> Json:
        meta = {
            "err": landed.error,
            "status": {"Ok": None} if landed.error is None else {"Err": landed.error},
            "fee": landed.meta.fee(),
            "preBalances": [lamports_of(landed.before[key]) for key in landed.keys],
            "postBalances": [lamports_of(landed.after[key]) for key in landed.keys],
            "preTokenBalances": self._token_balances(landed.keys, landed.before, block.slot),
            "postTokenBalances": self._token_balances(landed.keys, landed.after, block.slot),
            "innerInstructions": [],
            "logMessages": landed.meta.logs(),
            "computeUnitsConsumed": landed.meta.compute_units_consumed(),
            "loadedAddresses": {
                "writable": [str(key) for key in landed.loaded[0]],
                "readonly": [str(key) for key in landed.loaded[1]],
            },
            "rewards": [],
        }
        content = [base64.b64encode(bytes(landed.transaction)).decode(), "base64"]
        version = landed.transaction.version()
        return {"transaction": content, "meta": meta, "version": version if version == 0 else "legacy"}

    def _token_balances(
        self, keys: Sequence[Pubkey], accounts: Mapping[Pubkey, Account | None], slot: int
    ) -> list[Json]:
        found: list[Json] = []
        for index, key in enumerate(keys):
            account = accounts[key]
            token = None if account is None or str(account.owner) not in TOKEN_PROGRAMS else token_of(account)
            if account is not None and token is not None:
                info = self._parsed(token, slot)["parsed"]["info"]
                found.append(
                    {
                        "accountIndex": index,
                        "mint": info["mint"],
                        "owner": info["owner"],
                        "programId": str(account.owner),
                        "uiTokenAmount": info["tokenAmount"],
                    }
                )
        return found

    def _parsed(self, token: TokenAccount, slot: int) -> dict[str, Any]:
        mint = self.chain.account(token.mint, slot)
        decimals = 9 if mint is None else Mint.from_bytes(mint.data[:82]).decimals
        info = {
            "mint": str(token.mint),
            "owner": str(token.owner),
            "isNative": token.is_native is not None,
            "state": "frozen" if token.state == TokenAccountState.Frozen else "initialized",
            "tokenAmount": {"amount": str(token.amount), "decimals": decimals},
        }
        return {"program": "spl-token", "parsed": {"type": "account", "info": info}, "space": 165}


def _transaction(content: str, options: Json) -> VersionedTransaction:
    if options.get("encoding") != "base64":
        raise RpcError(-32602, "this node of tests takes base64 only")
    try:
        return read_transaction(base64.b64decode(content))
    except (UnreadableTransaction, ValueError) as error:
        raise RpcError(-32602, f"failed to deserialize solana_transaction::VersionedTransaction: {error}") from None


def _respond(node: SolanaNode, asked: Any) -> Any:
    if isinstance(asked, list):
        return [_respond(node, each) for each in asked]
    top = {"jsonrpc": "2.0", "id": asked["id"]}
    try:
        return {**top, "result": node.answer(asked["method"], asked.get("params", []))}
    except RpcError as error:
        return {**top, "error": error.answer}


@asynccontextmanager
async def solana_node(chain: SolanaChain) -> AsyncIterator[SolanaNode]:
    """A node of the chain that listens on a free port: its `url`."""
    node = SolanaNode(chain)
    connections: dict[asyncio.Future[None], asyncio.StreamWriter] = {}

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ended = asyncio.get_running_loop().create_future()
        connections[ended] = writer
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
                body = await reader.readexactly(int(head.partition("content-length:")[2].partition("\r\n")[0]))
                content = orjson.dumps(_respond(node, orjson.loads(body)))
                top = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(content)}\r\n\r\n"
                writer.write(top.encode() + content)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()
        finally:
            ended.set_result(None)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        node.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield node
        finally:
            for writer in connections.values():
                writer.close()
            await asyncio.gather(*connections)
