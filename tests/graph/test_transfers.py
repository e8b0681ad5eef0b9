"""Sending from wallets of people's own: prepared here, signed by them, sent once."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest
from eth_account import Account

from core.database import Database
from core.ids import encode_id
from core.vocabulary import ChainFamily
from events.token import TokenState
from integrations.chains.errors import Failure, ProviderFailed
from integrations.chains.evm.client import EvmClient
from integrations.chains.json_rpc import JsonRpc
from models import chain_transaction, deposit_address, wallet
from models.deposit_address import DepositAddressDocument, address_id
from models.wallet import WalletDocument
from tests.accounts import Person, World, world
from tests.chains import ANVIL_KEYS, anvil
from tests.evm import (
    CHAIN_ID,
    FRIEND,
    OWNER,
    STRANGER,
    calldata,
    catalogue_with,
    chains_of,
    client_of,
    local_chain,
    mine,
    rpc,
    send,
    token,
    token_balance,
)
from tests.evm_nodes import TwistedNode, client_of_nodes
from tests.stored import unchanged

TRANSACTION = """transaction { id from to payload summary fee feeValue gasLimit nonce expiresAt chain { key }
    effects { kind from to quantity spender unlimited token { symbol contract } } warnings { code message } }
    errors { code message field limit actual }"""
PREPARE = f"mutation($input: PrepareTransferInput!) {{ prepareTransfer(input: $input) {{ {TRANSACTION} }} }}"
CALL = f"mutation($input: PrepareContractCallInput!) {{ prepareContractCall(input: $input) {{ {TRANSACTION} }} }}"
STATUS = "hash status confirmations required blockNumber fee error explorerUrl"
SEND = f"""mutation($input: BroadcastTransactionInput!) {{ broadcastTransaction(input: $input) {{
    replayed transaction {{ {STATUS} }} errors {{ code message field }} }} }}"""
LOOK = f'query($hash: String!) {{ chainTransaction(chain: "ethereum", hash: $hash) {{ {STATUS} }} }}'
READ = "query($input: ContractReadInput!) { contractRead(input: $input) { values blockNumber } }"
ADDRESS, AMOUNT = {"name": "who", "type": "address"}, {"name": "value", "type": "uint256"}
ABI: list[dict[str, Any]] = [
    {"type": "function", "name": "approve", "inputs": [ADDRESS, AMOUNT], "outputs": [{"type": "bool"}]},
    {"type": "function", "name": "transferFrom", "inputs": [ADDRESS, ADDRESS, AMOUNT], "outputs": [{"type": "bool"}]},
    {"type": "function", "name": "balanceOf", "inputs": [ADDRESS], "outputs": [AMOUNT]},
    {"type": "function", "name": "symbol", "inputs": [], "outputs": [{"type": "bool"}]},
]


@dataclass
class Desk:
    """Somebody who is signed in, a chain, and a token on it."""

    vault: World
    chain: EvmClient
    person: Person
    contract: str

    async def prepare(self, **changes: Any) -> dict[str, Any]:
        given = {"chain": "ethereum", "from": OWNER, "to": FRIEND, "token": "ETH", "amount": "1.5", **changes}
        return dict((await self.vault.data(PREPARE, self.person, input=given))["prepareTransfer"])

    async def call(self, function: str, *arguments: object, **changes: Any) -> dict[str, Any]:
        given = {"chain": "ethereum", "from": OWNER, "contract": self.contract, "abi": ABI, "function": function}
        answer = await self.vault.data(CALL, self.person, input={**given, "arguments": arguments, **changes})
        return dict(answer["prepareContractCall"])

    async def send(self, signed: str, key: str = "b1", *, until_mined: bool = True, **changes: Any) -> dict[str, Any]:
        given = {"clientBroadcastId": key, "chain": "ethereum", "signed": signed, **changes}
        sent = dict((await self.vault.data(SEND, self.person, input=given))["broadcastTransaction"])
        async with asyncio.timeout(10):
            while until_mined and sent["transaction"] is not None and sent["transaction"]["status"] == "PENDING":
                sent["transaction"] = await self.look(sent["transaction"]["hash"])
        return sent

    async def look(self, hash_: str) -> dict[str, Any]:
        return dict((await self.vault.data(LOOK, self.person, hash=hash_))["chainTransaction"])


@asynccontextmanager
async def desk_on(client: EvmClient) -> AsyncIterator[Desk]:
    contract = await token(client)
    known = catalogue_with(TokenState("ethereum", contract, "USDT", "Tether USD", 6, "USDT"))
    async with world(known=known, reached=lambda known, _: chains_of(known, client)) as vault:
        yield Desk(vault, client, await vault.signed_up("anna@example.com"), contract)


@pytest.fixture
async def desk(database: Database) -> AsyncIterator[Desk]:
    async with local_chain() as client, desk_on(client) as made:
        yield made


def sign(prepared: dict[str, Any], **changes: object) -> str:
    """What a wallet makes of a payload."""
    fields = {name: value for name, value in prepared["transaction"]["payload"].items() if name != "from"}
    raw = Account.sign_transaction({**fields, **changes}, ANVIL_KEYS[0]).raw_transaction
    return "0x" + bytes(raw).hex()


def codes(payload: dict[str, Any]) -> list[tuple[str, list[str] | None]]:
    return [(each["code"], each["field"]) for each in payload["errors"]]


def warned(prepared: dict[str, Any]) -> list[str]:
    return [each["code"] for each in prepared["transaction"]["warnings"]]


async def test_coins_go_from_prepared_to_final(desk: Desk) -> None:
    prepared = await desk.prepare()
    made = prepared["transaction"]
    assert (prepared["errors"], warned(prepared)) == ([], ["FIRST_TIME_ADDRESS"])
    assert made["summary"] == f"Send 1.5 ETH to {FRIEND}"
    assert (made["gasLimit"], made["nonce"], made["payload"]["chainId"]) == (21_000, 1, hex(CHAIN_ID))
    assert made["effects"] == [
        {
            "kind": "TRANSFER",
            "from": OWNER,
            "to": FRIEND,
            "quantity": "1.5",
            "spender": None,
            "unlimited": False,
            "token": {"symbol": "ETH", "contract": None},
        }
    ]
    had = await desk.chain.balance(FRIEND)
    signed = sign(prepared)
    sent = await desk.send(signed, preparedId=made["id"])
    assert (sent["errors"], sent["replayed"], sent["transaction"]["status"]) == ([], False, "CONFIRMED")
    assert await desk.chain.balance(FRIEND) - had == 15 * 10**17
    assert Decimal(sent["transaction"]["fee"]) <= Decimal(made["fee"])
    again = await desk.send(signed, preparedId=made["id"])
    assert (again["replayed"], again["transaction"]["hash"]) == (True, sent["transaction"]["hash"])
    await mine(desk.chain, 2)
    final = await desk.look(sent["transaction"]["hash"])
    assert (final["status"], final["confirmations"], final["required"]) == ("FINAL", 3, 3)
    assert final["explorerUrl"] is None or final["hash"] in final["explorerUrl"]
    assert warned(await desk.prepare()) == []


async def test_all_coins_are_what_is_left_beside_the_fee(desk: Desk) -> None:
    prepared = await desk.prepare(amount=None, sendAll=True, speed="FAST")
    sent = await desk.send(sign(prepared), preparedId=prepared["transaction"]["id"])
    assert sent["transaction"]["status"] == "CONFIRMED"
    left = await desk.chain.balance(OWNER)
    assert left <= Decimal(prepared["transaction"]["fee"]).scaleb(18)


async def test_tokens_are_sent_and_told_as_what_they_are(desk: Desk) -> None:
    prepared = await desk.prepare(token=desk.contract, amount="2.5")
    (effect,) = prepared["transaction"]["effects"]
    assert (effect["kind"], effect["quantity"], effect["to"]) == ("TRANSFER", "2.5", FRIEND)
    assert effect["token"] == {"symbol": "USDT", "contract": desk.contract}
    assert prepared["transaction"]["to"] == desk.contract
    assert prepared["transaction"]["summary"] == f"Send 2.5 USDT to {FRIEND}"
    await desk.send(sign(prepared), preparedId=prepared["transaction"]["id"])
    assert await token_balance(desk.chain, desk.contract, FRIEND) == 2_500_000
    everything = await desk.prepare(token="USDT", amount=None, sendAll=True)
    assert everything["transaction"]["effects"][0]["quantity"] == "999997.5"


async def test_an_approval_says_so_and_one_without_a_limit_is_warned_of(desk: Desk) -> None:
    prepared = await desk.call("approve", FRIEND, "3000000")
    (effect,) = prepared["transaction"]["effects"]
    assert (effect["kind"], effect["spender"], effect["quantity"]) == ("APPROVE", FRIEND, "3")
    assert prepared["transaction"]["summary"] == f"Let {FRIEND} take up to 3 USDT"
    unlimited = await desk.call("approve", FRIEND, str(2**256 - 1))
    assert warned(unlimited) == ["FIRST_TIME_ADDRESS", "UNLIMITED_APPROVAL"]
    (effect,) = unlimited["transaction"]["effects"]
    assert (effect["unlimited"], effect["quantity"]) == (True, None)


async def test_a_call_that_would_fail_is_warned_of_and_fails_with_its_reason(desk: Desk) -> None:
    prepared = await desk.call("transferFrom", FRIEND, OWNER, "5")
    assert "SIMULATION_REVERTS" in warned(prepared)
    sent = await desk.send(sign(prepared), preparedId=prepared["transaction"]["id"])
    assert (sent["errors"], sent["transaction"]["status"]) == ([], "FAILED")
    assert sent["transaction"]["error"] == "the contract refused the call: allowance too small"


async def test_addresses_are_looked_at(desk: Desk) -> None:
    lookalike = FRIEND[:6].lower() + "0" * 32 + FRIEND[-4:].lower()
    row = WalletDocument(
        id="w1", user_id=desk.person.user_id, slot=0, family=ChainFamily.EVM, address=FRIEND, linked_ms=1
    )
    assert await wallet.insert(row)
    assert warned(await desk.prepare()) == []
    assert warned(await desk.prepare(to=lookalike)) == ["FIRST_TIME_ADDRESS", "LOOKALIKE_ADDRESS"]
    own = DepositAddressDocument(
        id=address_id(desk.person.user_id, ChainFamily.EVM),
        user_id=desk.person.user_id,
        family=ChainFamily.EVM,
        index=0,
        address=STRANGER,
        path="m/0",
        created_ms=1,
    )
    assert await deposit_address.insert(own)
    assert warned(await desk.prepare(to=STRANGER)) == ["OWN_DEPOSIT_ADDRESS"]
    assert "NO_CODE_AT_ADDRESS" in warned(await desk.call("approve", FRIEND, "1", contract=STRANGER))
    assert "HIGH_FEE" in warned(await desk.prepare(amount="0.000000000000000001"))


async def test_what_cannot_be_prepared_is_refused_and_nothing_is_stored(desk: Desk, database: Database) -> None:
    nobody = "0x00000000000000000000000000000000000000aa"
    async with unchanged(database):
        short = await desk.prepare(amount="10001")
        assert codes(short) == [("INSUFFICIENT_FUNDS", ["amount"])]
        assert short["errors"][0]["actual"] == "10001"
        assert codes(await desk.prepare(amount=None, sendAll=True, **{"from": nobody})) == [
            ("INSUFFICIENT_GAS", ["from"])
        ]
        assert codes(await desk.prepare(token="USDT", amount="1000001")) == [("INSUFFICIENT_FUNDS", ["amount"])]
        assert codes(await desk.prepare(token="USDT", amount="0.0000001")) == [("AMOUNT_INVALID", ["amount"])]
        assert codes(await desk.prepare(amount="0")) == [("AMOUNT_INVALID", ["amount"])]
        assert codes(await desk.prepare(sendAll=True)) == [("AMOUNT_INVALID", ["amount"])]
        assert codes(await desk.prepare(amount=None)) == [("AMOUNT_INVALID", ["amount"])]
        assert codes(await desk.prepare(token="NONE")) == [("UNKNOWN_ASSET", ["token"])]
        assert codes(await desk.prepare(token=STRANGER)) == [("UNKNOWN_ASSET", ["token"])]
        assert codes(await desk.prepare(token="USDT", to=desk.contract)) == [("ADDRESS_INVALID", ["to"])]
        assert codes(await desk.prepare(to=FRIEND.swapcase())) == [("ADDRESS_INVALID", ["to"])]
        assert codes(await desk.prepare(**{"from": "me"})) == [("ADDRESS_INVALID", ["from"])]
        assert codes(await desk.prepare(chain="nowhere")) == [("UNKNOWN_CHAIN", ["chain"])]
        assert codes(await desk.call("approve", FRIEND, "-1")) == [("ABI_INVALID", ["arguments", "1"])]
        assert codes(await desk.call("none")) == [("ABI_INVALID", ["function"])]
        assert codes(await desk.call("approve", FRIEND, "1", value="1")) == [("ABI_INVALID", ["value"])]


async def test_what_is_not_what_was_prepared_is_refused_with_its_difference(desk: Desk, database: Database) -> None:
    prepared = await desk.prepare()
    id_ = prepared["transaction"]["id"]
    async with unchanged(database):
        other = await desk.send(sign(prepared, value=5), preparedId=id_)
        assert codes(other) == [("TRANSACTION_MISMATCH", ["signed"])]
        assert other["errors"][0]["message"].endswith("value: 5 ≠ 1500000000000000000")
        assert codes(await desk.send(sign(prepared, chainId=1))) == [("TRANSACTION_MISMATCH", ["signed"])]
        assert codes(await desk.send("0x02c0")) == [("TRANSACTION_REFUSED", ["signed"])]
        assert codes(await desk.send(sign(prepared), key="")) == [("INVALID_INPUT", ["clientBroadcastId"])]
        for unknown in (encode_id("UnsignedTransaction", "none"), encode_id("Wallet", "none"), "x"):
            refused = await desk.send(sign(prepared), preparedId=unknown)
            assert codes(refused) == [("TRANSACTION_EXPIRED", ["preparedId"])]
    anna, desk.person = desk.person, await desk.vault.signed_up("mallory@example.com")
    assert codes(await desk.send(sign(prepared), preparedId=id_)) == [("TRANSACTION_EXPIRED", ["preparedId"])]
    desk.person = anna
    desk.vault.clock.advance(600)
    assert codes(await desk.send(sign(prepared), preparedId=id_)) == [("TRANSACTION_EXPIRED", ["preparedId"])]
    assert await desk.chain.nonce(OWNER) == 1


async def test_a_key_is_of_one_transaction_and_free_again_when_no_node_takes_it(desk: Desk) -> None:
    prepared = await desk.prepare()
    late = sign(prepared, nonce=0)
    assert codes(await desk.send(late)) == [("NONCE_TOO_LOW", ["signed"])]
    signed = sign(prepared)
    assert (await desk.send(signed))["errors"] == []
    assert codes(await desk.send(late)) == [("IDEMPOTENCY_MISMATCH", ["clientBroadcastId"])]
    under_another_key = await desk.send(signed, key="b2")
    assert (under_another_key["errors"], under_another_key["replayed"]) == ([], False)
    assert await desk.chain.nonce(OWNER) == 2


async def test_what_could_not_be_sent_is_kept_and_sent_by_the_same_request(database: Database) -> None:
    async with local_chain() as alive, desk_on(alive) as desk:
        signed = sign(await desk.prepare())
        dead = client_of("http://127.0.0.1:1")
        async with world(known=desk.vault.catalogue, reached=lambda known, _: chains_of(known, dead)) as away:
            here, desk.vault = desk.vault, away
            assert codes(await desk.send(signed)) == [("PROVIDER_UNAVAILABLE", None)]
        await dead.close()
        desk.vault = here
        sent = await desk.send(signed)
        assert (sent["replayed"], sent["transaction"]["status"]) == (False, "CONFIRMED")
        assert (await desk.send(signed))["replayed"]


@asynccontextmanager
async def through(desk: Desk, *nodes: TwistedNode) -> AsyncIterator[None]:
    """The same people, at a server with these nodes."""
    client, here = client_of_nodes(*nodes), desk.vault
    async with world(known=here.catalogue, reached=lambda known, _: chains_of(known, client)) as desk.vault:
        yield
    desk.vault = here
    await client.close()


async def test_what_is_mined_is_not_refused_by_a_node_that_has_forgotten_it(desk: Desk) -> None:
    """Nodes took it, and their answers were lost; they say that the nonce is used, and one that it knows no such transaction."""
    signed = sign(await desk.prepare())
    url = desk.chain.pool._providers[0].node._http._base

    def lost(method: str, _: object, answer: Any) -> Any:
        if method == "eth_sendRawTransaction":
            raise ProviderFailed(Failure.TIMED_OUT, "takes too long")
        return answer

    async with through(desk, TwistedNode(JsonRpc(url), twist=lost)):
        assert codes(await desk.send(signed)) == [("PROVIDER_UNAVAILABLE", None)]
    assert await desk.chain.nonce(OWNER) == 2

    def forgets(method: str, _: object, answer: Any) -> Any:
        return None if method == "eth_getTransactionByHash" else answer

    def dies(method: str, _: object, answer: Any) -> Any:
        if method == "eth_getTransactionByHash":
            raise ProviderFailed(Failure.TIMED_OUT, "takes too long")
        return answer

    twists: list[Any] = [forgets, dies, dies]
    async with through(desk, *(TwistedNode(JsonRpc(url), twist=twist) for twist in twists)):
        assert codes(await desk.send(signed)) == [("PROVIDER_UNAVAILABLE", None)]
        desk.vault.clock.advance(60)
        tracking = desk.vault.transfers.tracking
        ((chain, hash_),) = await tracking.due(10)
        await tracking.step(chain, hash_)
        assert await chain_transaction.by_hash(chain, hash_) is not None
    async with through(desk, *(TwistedNode(JsonRpc(url), twist=twist) for twist in (forgets, None, None))):
        sent = await desk.send(signed, until_mined=False)
        assert (sent["errors"], sent["replayed"]) == ([], False)
    assert (await desk.send(signed))["transaction"]["status"] == "CONFIRMED"


async def test_one_that_waits_is_pending_and_known_nodes_take_it_again(database: Database) -> None:
    async with local_chain() as client, desk_on(client) as desk:
        await rpc(client, "evm_setAutomine", False)
        signed = sign(await desk.prepare())
        for key in ("b1", "b2"):
            sent = await desk.send(signed, key=key, until_mined=False)
            assert (sent["errors"], sent["transaction"]["status"]) == ([], "PENDING")
            assert (sent["transaction"]["blockNumber"], sent["transaction"]["confirmations"]) == (None, 0)
        assert (await desk.prepare())["transaction"]["nonce"] == 2


async def test_a_transaction_of_anybody_is_looked_up(desk: Desk) -> None:
    data = calldata("transferFrom(address,address,uint256)", FRIEND, OWNER, 5)
    failed = await desk.look((await send(desk.chain, desk.contract, data)).hash)
    assert (failed["status"], failed["error"]) == ("FAILED", "the contract refused the call: allowance too small")
    unknown = await desk.vault.data(LOOK, desk.person, hash="0x" + "00" * 32)
    assert unknown == {"chainTransaction": None}
    answer = await desk.vault.ask(LOOK, desk.person, hash="0x12")
    assert answer["errors"][0]["extensions"]["field"] == ["hash"]


async def test_contracts_are_read(desk: Desk) -> None:
    async def read(function: str, *arguments: object, **changes: Any) -> dict[str, Any]:
        given = {"chain": "ethereum", "contract": desk.contract, "abi": ABI, "function": function}
        return await desk.vault.ask(READ, desk.person, input={**given, "arguments": arguments, **changes})

    assert (await read("balanceOf", OWNER))["data"]["contractRead"] == {"values": [str(10**12)], "blockNumber": 1}
    for answer, code, field in (
        (await read("balanceOf"), "ABI_INVALID", ["arguments"]),
        (await read("symbol"), "ABI_INVALID", ["abi"]),
        (await read("balanceOf", OWNER, contract=STRANGER), "ADDRESS_INVALID", ["contract"]),
        (await read("transferFrom", FRIEND, OWNER, "5"), "SIMULATION_REVERTED", None),
    ):
        (error,) = answer["errors"]
        found = error["extensions"]
        assert (found.get("reason") or found["code"], found.get("field")) == (code, field), error


async def test_one_node_alone_does_not_say_how_many_units_a_token_has(database: Database) -> None:
    """Of a token that nobody here vouches for: an amount becomes as many units as all nodes say."""
    six, eighteen = f"{6:064x}", f"{18:064x}"
    async with anvil() as url:
        deployer = client_of(url)
        odd = await token(deployer, "ODD")
        liar = TwistedNode(JsonRpc(url))
        client = client_of_nodes(liar, TwistedNode(JsonRpc(url)))
        async with desk_on(client) as desk:
            liar.twist = lambda method, _, answer: (
                answer.replace(six, eighteen) if method == "eth_call" and isinstance(answer, str) else answer
            )
            assert [each["code"] for each in (await desk.prepare(token=odd, amount="1"))["errors"]] == [
                "PROVIDER_LYING"
            ]
            liar.twist = None
            (effect,) = (await desk.prepare(token=odd, amount="1"))["transaction"]["effects"]
            assert effect["quantity"] == "1"
        await client.close()
        await deployer.close()
