"""Sending Bitcoin from wallets of people's own, on a real UTXO node: prepared as a PSBT, signed by them, sent once, and looked for again."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

import orjson
import pytest

from core.clock import SystemClock
from core.database import Database
from core.vocabulary import ChainFamily
from core.wallet_vocabulary import ChainNetwork
from integrations.chains.bitcoin.addresses import ScriptType, address_of, script_of
from integrations.chains.bitcoin.client import BitcoinClient, nodes_of
from integrations.chains.bitcoin.coins import Coin
from integrations.chains.bitcoin.parameters import MAX_RBF_SEQUENCE
from integrations.chains.bitcoin.psbt import build, read_prepared
from integrations.chains.bitcoin.signed import read_signed
from integrations.chains.bitcoin.transactions import TxOutput
from integrations.chains.errors import NodesContradict
from integrations.chains.json_rpc import JsonRpc
from models import broadcast, chain_transaction, deposit_address
from models.chain_transaction import ChainTransactionDocument
from models.deposit_address import DepositAddressDocument, address_id
from services.catalogue import read_files
from services.chains import Chains, bitcoin_access
from services.sending_families import Sighting, SightKind
from tests.accounts import Person, World, world
from tests.bitcoin_deposits import BTC
from tests.chains import LITECOIN
from tests.esplora import Esplora, Reply, esplora
from tests.graph.test_transfers import PREPARE, SEND, STATUS, codes, warned
from tests.integrations.chains.bitcoin.house import NETWORK, House, Key
from tests.stored import unchanged

D = Decimal
LOOK = f'query($hash: String!) {{ chainTransaction(chain: "bitcoin", hash: $hash) {{ {STATUS} }} }}'
MAINNET = "bc1qcr8te4kr609gcawutmrza0j4xv80jy8z306fyu"
ETHEREUM = "0x00000000219ab540356cBB839Cbe05303d7705Fa"


@dataclass
class Desk:
    """Somebody who is signed in, with a key of their own, and a chain."""

    vault: World
    chain: BitcoinClient
    nodes: House
    api: Esplora
    person: Person
    key: Key = field(default_factory=Key)
    friend: Key = field(default_factory=Key)

    async def prepare(self, **changes: Any) -> dict[str, Any]:
        ends = {"from": self.key.address.text, "to": self.friend.address.text}
        given = {"chain": "bitcoin", **ends, "token": "BTC", "amount": "0.5", **changes}
        return dict((await self.vault.data(PREPARE, self.person, input=given))["prepareTransfer"])

    async def send(self, signed: str, key: str = "b1", **changes: Any) -> dict[str, Any]:
        given = {"clientBroadcastId": key, "chain": "bitcoin", "signed": signed, **changes}
        return dict((await self.vault.data(SEND, self.person, input=given))["broadcastTransaction"])

    async def look(self, hash_: str) -> Any:
        return (await self.vault.data(LOOK, self.person, hash=hash_))["chainTransaction"]

    async def sent(self, key: str = "b1") -> ChainTransactionDocument:
        known = await broadcast.by_client_id(self.person.user_id, key)
        assert known is not None
        row = await chain_transaction.by_hash(known.chain, known.hash)
        assert row is not None
        return row

    async def sight(self, key: str = "b1") -> Sighting:
        """What the chain says of something that was sent."""
        row = await self.sent(key)
        return await self.vault.transfers.families.of("bitcoin").sight("bitcoin", row.hash, row)

    async def work(self) -> tuple[str, int]:
        """What the worker does, a while later; gives the state of what was sent."""
        self.vault.clock.advance(60)
        tracking = self.vault.transfers.tracking
        for chain, hash_ in await tracking.due(100):
            await tracking.step(chain, hash_)
        track = (await self.sent()).track
        return track.status.value, track.confirmations

    async def rival(self, prepared: dict[str, Any], fee: int = 90_000) -> str:
        """Another transaction of the same outputs, dearer."""
        coins = read_prepared(prepared["transaction"]["payload"]["psbt"]).coins
        total = sum(each.sats for each in coins)
        other = build(coins, [TxOutput(self.key.script, total - fee)])
        return str(await self.nodes.call("sendrawtransaction", read_signed(self.key.sign(other.psbt)).raw.hex(), 0))


def psbt_of(prepared: dict[str, Any]) -> str:
    assert prepared["errors"] == []
    return str(prepared["transaction"]["payload"]["psbt"])


@asynccontextmanager
async def desk_on(url: str, kind: str) -> AsyncIterator[Desk]:
    local = read_files(ChainNetwork.LOCAL)
    known = replace(local, chains={**local.chains, "bitcoin": LITECOIN})
    clock, rpc = SystemClock(), JsonRpc(url)
    async with esplora(url) as (api_url, api):
        nodes = nodes_of([] if kind == "esplora" else [url], [] if kind == "core" else [api_url])
        client = BitcoinClient("bitcoin", nodes, network=NETWORK, genesis=LITECOIN.genesis, clock=clock)
        chains = Chains(known.chains, {"bitcoin": bitcoin_access(LITECOIN, client, clock)}, clock)
        async with world(known=known, reached=lambda *_: chains) as vault:
            yield Desk(vault, client, House(rpc), api, await vault.signed_up("anna@example.com"))
        await client.close()
        await rpc.close()


@pytest.fixture(params=["core", "esplora", "both"])
async def any_desk(request: pytest.FixtureRequest, database: Database, litecoin_url: str) -> AsyncIterator[Desk]:
    async with desk_on(litecoin_url, request.param) as made:
        yield made


@pytest.fixture
async def desk(database: Database, litecoin_url: str) -> AsyncIterator[Desk]:
    async with desk_on(litecoin_url, "esplora") as made:
        yield made


async def test_coins_go_from_prepared_to_final(any_desk: Desk) -> None:
    desk = any_desk
    await desk.nodes.pay(desk.key.address.text, BTC)
    prepared = await desk.prepare()
    made = prepared["transaction"]
    assert warned(prepared) == ["FIRST_TIME_ADDRESS"]
    assert made["summary"] == f"Send 0.5 BTC to {desk.friend.address.text}"
    assert (made["gasLimit"], made["nonce"]) == (None, None)
    assert [(each["kind"], each["quantity"], each["token"]["symbol"]) for each in made["effects"]] == [
        ("TRANSFER", "0.5", "BTC")
    ]
    unsigned = read_prepared(psbt_of(prepared))
    assert {each.script for each in unsigned.tx.outputs} == {desk.friend.script, desk.key.script}
    assert all(each.sequence <= MAX_RBF_SEQUENCE for each in unsigned.tx.inputs)
    assert D(made["fee"]) == D(unsigned.fee).scaleb(-8)
    signed = desk.key.sign(psbt_of(prepared))
    sent = await desk.send(signed, preparedId=made["id"])
    assert (sent["errors"], sent["replayed"]) == ([], False)
    assert (sent["transaction"]["status"], sent["transaction"]["hash"]) == ("PENDING", unsigned.tx.txid)
    again = await desk.send(signed, preparedId=made["id"])
    assert (again["replayed"], again["transaction"]["hash"]) == (True, unsigned.tx.txid)
    await desk.nodes.mine()
    seen = await desk.look(unsigned.tx.txid)
    assert (seen["status"], seen["confirmations"], seen["fee"]) == ("CONFIRMED", 1, made["fee"])
    await desk.nodes.mine(2)
    final = await desk.look(unsigned.tx.txid.upper())
    assert (final["status"], final["confirmations"], final["required"]) == ("FINAL", 3, 3)
    assert final["explorerUrl"].endswith(unsigned.tx.txid)
    assert (await desk.sight()).final
    assert warned(await desk.prepare(amount="0.2")) == []
    row = await desk.sent()
    assert row.sender == desk.key.address.text
    assert await broadcast.counterparties(desk.person.user_id) == {desk.friend.address.text}
    assert row.spends == [f"{each.outpoint.txid}:{each.outpoint.vout}" for each in unsigned.tx.inputs]


async def test_a_raw_transaction_is_taken_as_well(desk: Desk) -> None:
    await desk.nodes.pay(desk.key.address.text, BTC)
    prepared = await desk.prepare()
    raw = read_signed(desk.key.sign(psbt_of(prepared))).raw.hex()
    sent = await desk.send(raw.upper(), preparedId=prepared["transaction"]["id"])
    assert (sent["errors"], sent["transaction"]["status"]) == ([], "PENDING")


@pytest.mark.parametrize("type_", [ScriptType.P2PKH, ScriptType.P2SH, ScriptType.P2TR])
async def test_from_an_address_of_any_kind(desk: Desk, type_: ScriptType) -> None:
    desk.key = Key(type_)
    await desk.nodes.pay(desk.key.address.text, BTC)
    prepared = await desk.prepare(speed="FAST")
    sent = await desk.send(desk.key.sign_own(psbt_of(prepared)), preparedId=prepared["transaction"]["id"])
    assert (sent["errors"], sent["transaction"]["status"]) == ([], "PENDING")
    assert (await desk.sent()).sender == desk.key.address.text


async def test_everything_is_what_is_left_beside_the_fee(desk: Desk) -> None:
    for _ in range(3):
        await desk.nodes.pay(desk.key.address.text, BTC)
    slow, fast = [await desk.prepare(amount=None, sendAll=True, speed=speed) for speed in ("SLOW", "FAST")]
    assert D(slow["transaction"]["fee"]) < D(fast["transaction"]["fee"])
    assert D(fast["transaction"]["effects"][0]["quantity"]) + D(fast["transaction"]["fee"]) == 3
    await desk.send(desk.key.sign(psbt_of(fast)), preparedId=fast["transaction"]["id"])
    await desk.nodes.mine()
    assert (await desk.chain.unspent(desk.key.address)).outputs == ()
    assert codes(await desk.prepare(amount=None, sendAll=True)) == [("INSUFFICIENT_FUNDS", ["amount"])]


async def test_what_cannot_be_prepared_is_refused_by_its_field(desk: Desk, database: Database) -> None:
    await desk.nodes.pay(desk.key.address.text, BTC)
    await desk.nodes.pay(desk.key.address.text, BTC, mine=0)
    script = address_of(script_of(ScriptType.P2WSH, bytes(32)), NETWORK)
    wrong: list[tuple[dict[str, Any], str, list[str]]] = [
        ({"amount": "1.5"}, "INSUFFICIENT_FUNDS", ["amount"]),
        ({"amount": "0.00000100"}, "AMOUNT_TOO_SMALL", ["amount"]),
        ({"amount": "0.000000001"}, "AMOUNT_INVALID", ["amount"]),
        ({"amount": None}, "AMOUNT_INVALID", ["amount"]),
        ({"token": "USDT"}, "UNKNOWN_ASSET", ["token"]),
        ({"to": MAINNET}, "ADDRESS_WRONG_NETWORK", ["to"]),
        ({"to": ETHEREUM}, "ADDRESS_WRONG_NETWORK", ["to"]),
        ({"from": "rltc1qq"}, "ADDRESS_INVALID", ["from"]),
        ({"from": script}, "ADDRESS_INVALID", ["from"]),
    ]
    async with unchanged(database):
        for changes, code, named in wrong:
            assert codes(await desk.prepare(**changes)) == [(code, named)], changes
    (error,) = (await desk.prepare(amount="1.5"))["errors"]
    assert (D(error["limit"]) < 1, error["actual"]) == (True, "1.5")


async def test_what_was_not_prepared_is_told_and_nothing_is_sent(desk: Desk, database: Database) -> None:
    await desk.nodes.pay(desk.key.address.text, BTC)
    prepared = await desk.prepare()
    unsigned = read_prepared(psbt_of(prepared))
    thief = Key()
    stolen = [
        each if each.script == desk.key.script else TxOutput(thief.script, each.sats) for each in unsigned.tx.outputs
    ]
    other = desk.key.sign(build(unsigned.coins, stolen).psbt)
    greedy = desk.key.sign(build(unsigned.coins, unsigned.tx.outputs[:1]).psbt)
    prepared_id = prepared["transaction"]["id"]
    async with unchanged(database):
        for signed, said in ((other, f"It would pay 0.5 to {thief.address.text}."), (greedy, "The fee is")):
            refused = await desk.send(signed, preparedId=prepared_id)
            assert codes(refused) == [("TRANSACTION_MISMATCH", ["signed"])]
            assert said in refused["errors"][0]["message"]
    assert await desk.nodes.call("getrawmempool") == []


async def test_what_is_not_signed_or_not_there_is_refused(desk: Desk, database: Database) -> None:
    await desk.nodes.pay(desk.key.address.text, BTC)
    prepared = await desk.prepare()
    psbt = psbt_of(prepared)
    unsigned = read_prepared(psbt)
    nowhere = Coin(unsigned.coins[0].outpoint._replace(txid="ab" * 32), BTC, desk.key.script)
    invented = desk.key.sign(build([nowhere], [TxOutput(desk.friend.script, BTC // 2)]).psbt)
    tampered = bytearray(read_signed(desk.key.sign(psbt)).raw)
    tampered[-50] ^= 1
    async with unchanged(database):
        for signed in ("", "no such thing", "00", psbt, psbt[:-8], invented, "ff" * 200):
            assert codes(await desk.send(signed)) == [("TRANSACTION_REFUSED", ["signed"])], signed[:40]
        assert codes(await desk.send(bytes(tampered).hex())) == [("SIGNATURE_INVALID", ["signed"])]
    assert await desk.nodes.call("getrawmempool") == []
    assert codes(await desk.send(desk.key.sign(psbt))) == []


async def test_addresses_and_fees_are_looked_at(desk: Desk) -> None:
    await desk.nodes.pay(desk.key.address.text, BTC)
    own = DepositAddressDocument(
        id=address_id(desk.person.user_id, ChainFamily.BITCOIN),
        user_id=desk.person.user_id,
        family=ChainFamily.BITCOIN,
        index=0,
        address=desk.friend.address.text,
        path="",
        created_ms=1,
    )
    assert await deposit_address.insert(own)
    assert warned(await desk.prepare()) == ["OWN_DEPOSIT_ADDRESS"]
    stranger = Key().address.text
    assert warned(await desk.prepare(to=stranger)) == ["FIRST_TIME_ADDRESS"]
    assert warned(await desk.prepare(to=stranger, amount="0.00001")) == ["FIRST_TIME_ADDRESS", "HIGH_FEE"]


@pytest.mark.parametrize("kind", ["core", "esplora", "both"])
async def test_another_one_of_the_same_outputs_takes_its_place(
    database: Database, litecoin_url: str, kind: str
) -> None:
    async with desk_on(litecoin_url, kind) as desk:
        await desk.nodes.pay(desk.key.address.text, BTC)
        prepared = await desk.prepare(speed="SLOW")
        await desk.send(desk.key.sign(psbt_of(prepared)), preparedId=prepared["transaction"]["id"])
        assert (await desk.sight()).kind is SightKind.WAITING
        by = await desk.rival(prepared)
        told = None if kind == "core" else by
        seen = await desk.sight()
        assert (seen.kind, seen.by, seen.final) == (SightKind.TAKEN, told, False)
        assert (await desk.look((await desk.sent()).hash))["status"] == "REPLACED"
        await desk.nodes.mine(LITECOIN.final_after)
        seen = await desk.sight()
        assert (seen.kind, seen.by, seen.final) == (SightKind.TAKEN, told, told is not None)


async def test_a_reorganisation_makes_it_wait_again_and_another_may_follow(any_desk: Desk) -> None:
    desk = any_desk
    await desk.nodes.pay(desk.key.address.text, BTC)
    prepared = await desk.prepare()
    await desk.send(desk.key.sign(psbt_of(prepared)), preparedId=prepared["transaction"]["id"])
    (block,) = await desk.nodes.mine()
    assert (await desk.sight()).kind is SightKind.INCLUDED
    await desk.nodes.call("invalidateblock", block)
    assert (await desk.sight()).kind is SightKind.WAITING
    await desk.rival(prepared)
    assert (await desk.sight()).kind is SightKind.TAKEN
    await desk.nodes.mine()


async def test_what_a_node_says_of_coins_is_proven(desk: Desk, database: Database) -> None:
    """More than is there would be refused by the chain, less would be given away as a fee."""
    await desk.nodes.pay(desk.key.address.text, 2 * BTC)

    def less(path: str, reply: Reply) -> Reply:
        if not path.endswith("/utxo"):
            return reply
        return reply[0], orjson.dumps([{**each, "value": BTC} for each in orjson.loads(reply[1])])

    desk.api.change = less
    async with unchanged(database):
        assert codes(await desk.prepare()) == [("PROVIDER_LYING", None)]


async def test_a_fee_that_nobody_pays_is_not_proposed(desk: Desk, database: Database) -> None:
    await desk.nodes.pay(desk.key.address.text, BTC)
    dear = orjson.dumps({str(blocks): 1_001.5 for blocks in (1, 2, 6, 24, 144)})
    desk.api.change = lambda path, reply: (200, dear) if path == "/fee-estimates" else reply
    async with unchanged(database):
        assert codes(await desk.prepare(speed="SLOW")) == [("PROVIDER_LYING", None)]


async def test_one_node_alone_makes_nothing_final(database: Database, litecoin_url: str) -> None:
    async with desk_on(litecoin_url, "both") as desk:
        await desk.nodes.pay(desk.key.address.text, BTC)
        prepared = await desk.prepare()
        sent = await desk.send(desk.key.sign(psbt_of(prepared)), preparedId=prepared["transaction"]["id"])
        txid = sent["transaction"]["hash"]
        await desk.nodes.mine(LITECOIN.final_after)
        desk.api.change = lambda path, reply: (404, b"") if txid in path else reply
        with pytest.raises(NodesContradict):
            await desk.sight()
        desk.api.change = lambda path, reply: (500, b"") if txid in path else reply
        assert (await desk.look(txid))["status"] == "CONFIRMED"
        desk.api.change = lambda path, reply: reply
        assert (await desk.look(txid))["status"] == "FINAL"


async def test_it_is_followed_through_a_reorganisation_until_another_one_is_final(
    database: Database, litecoin_url: str
) -> None:
    async with desk_on(litecoin_url, "both") as desk:
        await desk.nodes.pay(desk.key.address.text, BTC)
        prepared = await desk.prepare()
        await desk.send(desk.key.sign(psbt_of(prepared)), preparedId=prepared["transaction"]["id"])
        assert await desk.work() == ("PENDING", 0)
        (block,) = await desk.nodes.mine()
        assert await desk.work() == ("CONFIRMED", 1)
        await desk.nodes.call("invalidateblock", block)
        assert await desk.work() == ("REVERTED", 0)
        by = await desk.rival(prepared)
        assert await desk.work() == ("REPLACED", 0)
        query = 'query($hash: String!) { chainTransaction(chain: "bitcoin", hash: $hash) { status replacedBy { hash status } } }'
        found = (await desk.vault.data(query, desk.person, hash=(await desk.sent()).hash))["chainTransaction"]
        assert found == {"status": "REPLACED", "replacedBy": {"hash": by, "status": "PENDING"}}
        await desk.nodes.mine(LITECOIN.final_after)
        assert await desk.work() == ("REPLACED", 0)
        row = await desk.sent()
        assert (row.track.over, row.track.replaced_by, row.track.same) == (True, by, False)


async def test_the_same_payment_at_a_higher_fee_is_told_as_such(desk: Desk) -> None:
    await desk.nodes.pay(desk.key.address.text, BTC)
    prepared = await desk.prepare(speed="SLOW")
    await desk.send(desk.key.sign(psbt_of(prepared)), preparedId=prepared["transaction"]["id"])
    unsigned = read_prepared(psbt_of(prepared))
    outputs = [
        each if each.script == desk.friend.script else each._replace(sats=each.sats - 50_000)
        for each in unsigned.tx.outputs
    ]
    dearer = desk.key.sign(build(unsigned.coins, outputs).psbt)
    assert codes(await desk.send(dearer, key="b2")) == []
    seen = await desk.sight()
    assert (seen.kind, seen.same, seen.by) == (SightKind.TAKEN, True, (await desk.sent("b2")).hash)
    await desk.nodes.mine()


async def test_one_node_that_claims_to_have_it_does_not_hide_what_took_its_place(
    database: Database, litecoin_url: str
) -> None:
    async with desk_on(litecoin_url, "both") as desk:
        await desk.nodes.pay(desk.key.address.text, BTC)
        prepared = await desk.prepare(speed="SLOW")
        await desk.send(desk.key.sign(psbt_of(prepared)), preparedId=prepared["transaction"]["id"])
        ours = await desk.sent()
        raw = ours.raw
        by = await desk.rival(prepared)
        answers = {f"/tx/{ours.hash}/raw": raw, f"/tx/{ours.hash}/status": b'{"confirmed": false}'}
        desk.api.change = lambda path, reply: (200, answers[path]) if path in answers else reply
        assert (await desk.sight()).kind is SightKind.WAITING
        await desk.nodes.mine(LITECOIN.final_after)
        seen = await desk.sight()
        assert (seen.kind, seen.by, seen.final) == (SightKind.TAKEN, by, True)


async def test_nodes_that_take_minutes_are_not_waited_for(desk: Desk, database: Database) -> None:
    """As Bitcoin Core does on the main network, when it reads all outputs for an address."""
    await desk.nodes.pay(desk.key.address.text, BTC)
    sending: Any = desk.vault.transfers.families.of("bitcoin")
    sending._transfers._answer_seconds = 0.01
    scanning: Any = desk.chain

    async def for_ever(*_: object) -> None:
        await asyncio.Event().wait()

    scanning.unspent = for_ever
    async with unchanged(database):
        assert codes(await desk.prepare()) == [("PROVIDER_UNAVAILABLE", None)]


async def test_a_successor_that_a_node_makes_up_is_not_believed(database: Database, litecoin_url: str) -> None:
    """It exists and is final, and spends something else."""
    async with desk_on(litecoin_url, "both") as desk:
        await desk.nodes.pay(desk.key.address.text, BTC)
        another = await desk.nodes.pay(desk.friend.address.text, BTC, mine=LITECOIN.final_after)
        prepared = await desk.prepare()
        await desk.send(desk.key.sign(psbt_of(prepared)), preparedId=prepared["transaction"]["id"])
        hash_ = (await desk.sent()).hash

        def lying(path: str, reply: Reply) -> Reply:
            if "/outspend/" in path:
                return 200, orjson.dumps({"spent": True, "txid": another, "vin": 0})
            return (404, b"") if hash_ in path else reply

        desk.api.change = lying
        assert await desk.sight() == Sighting(SightKind.WAITING)
        await desk.nodes.mine()
