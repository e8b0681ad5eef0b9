"""A transaction after it was sent: followed on a real node until it is final, replaced, dropped, or gone with its block."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from core.database import Database
from core.ids import key_in
from core.rate_limits import MemoryRateLimits
from graph.request import ALL_OPERATIONS, GraphQLRequest
from models import broadcast, chain_transaction, prepared_transaction
from models.base import stored
from models.broadcast import BroadcastDocument
from models.chain_transaction import ChainTransactionDocument
from services.broadcasts import BroadcastWish
from services.sending_evm import EvmSending
from services.signed_transactions import read_signed
from tests import components
from tests.account_life import proven
from tests.accounts import world
from tests.chains import anvil
from tests.core.test_bus import redis_bus
from tests.evm import FRIEND, OWNER, STRANGER, chains_of, client_of, mine, rpc, token, token_balance
from tests.evm import send as send_now
from tests.graph.test_transfers import Desk, desk_on, sign, warned

STATUS = "hash status confirmations required blockNumber error replacedBy { hash status }"
WATCH = f'subscription($hash: String!) {{ chainTransactionUpdated(chain: "ethereum", hash: $hash) {{ {STATUS} }} }}'
LOOK = f'query($hash: String!) {{ chainTransaction(chain: "ethereum", hash: $hash) {{ {STATUS} }} }}'


@pytest.fixture
async def desk(database: Database) -> AsyncIterator[Desk]:
    """A chain whose blocks are made by the test alone."""
    async with anvil() as url:
        client = client_of(url)
        try:
            async with desk_on(client) as made:
                await rpc(client, "evm_setAutomine", False)
                yield made
        finally:
            await client.close()


async def sent(desk: Desk, key: str = "b1", **fields: Any) -> str:
    """The hash of a transfer that waits for its block."""
    prepared = await desk.prepare()
    answer = await desk.send(sign(prepared, **fields), key=key, until_mined=False)
    assert answer["errors"] == []
    return str(answer["transaction"]["hash"])


async def work(desk: Desk, seconds: float = 20) -> None:
    """What the worker does, so much later."""
    desk.vault.clock.advance(seconds)
    tracking = desk.vault.transfers.tracking
    for chain, hash_ in await tracking.due(100):
        await tracking.step(chain, hash_)


async def row_of(hash_: str) -> ChainTransactionDocument:
    row = await chain_transaction.by_hash("ethereum", hash_)
    assert row is not None
    return row


async def status(hash_: str) -> tuple[str, int]:
    track = (await row_of(hash_)).track
    return track.status.value, track.confirmations


@asynccontextmanager
async def watching(desk: Desk, hash_: str) -> AsyncIterator[AsyncGenerator[Any, None]]:
    request = GraphQLRequest(WATCH, variables={"hash": hash_})
    stream: Any = desk.vault.pipeline.stream(request, desk.vault.caller(desk.person), allowed=ALL_OPERATIONS)
    try:
        yield stream
    finally:
        await stream.aclose()


async def told(stream: AsyncGenerator[Any, None]) -> dict[str, Any]:
    async with asyncio.timeout(10):
        body = (await anext(stream)).body
    assert "errors" not in body, body
    return dict(body["data"]["chainTransactionUpdated"])


async def test_a_transfer_is_told_from_pending_to_final(desk: Desk) -> None:
    hash_ = await sent(desk)
    async with watching(desk, hash_) as stream:
        first = await told(stream)
        assert (first["status"], first["confirmations"], first["required"]) == ("PENDING", 0, 3)
        seen = []
        for _ in range(3):
            await mine(desk.chain)
            await work(desk)
            state = await told(stream)
            seen.append((state["status"], state["confirmations"]))
        assert seen == [("CONFIRMED", 1), ("CONFIRMED", 2), ("FINAL", 3)]
        with pytest.raises(StopAsyncIteration):
            await told(stream)
    row = await row_of(hash_)
    assert (row.due_ms, row.track.over, row.version) == (None, True, 4)
    async with watching(desk, hash_) as late:
        assert (await told(late))["status"] == "FINAL"


async def test_tokens_go_all_the_way_too(desk: Desk) -> None:
    prepared = await desk.prepare(token="USDT", amount="2.5")
    answer = await desk.send(sign(prepared), preparedId=prepared["transaction"]["id"], until_mined=False)
    await mine(desk.chain)
    await work(desk)
    assert await status(answer["transaction"]["hash"]) == ("CONFIRMED", 1)
    await mine(desk.chain, 2)
    await work(desk)
    assert await status(answer["transaction"]["hash"]) == ("FINAL", 3)
    assert await token_balance(desk.chain, desk.contract, FRIEND) == 2_500_000


async def test_a_dearer_one_with_the_same_nonce_replaces_it(desk: Desk) -> None:
    prepared = await desk.prepare()
    fields = prepared["transaction"]["payload"]
    first = (await desk.send(sign(prepared), until_mined=False))["transaction"]["hash"]
    dearer = sign(
        prepared,
        maxFeePerGas=2 * int(fields["maxFeePerGas"], 16),
        maxPriorityFeePerGas=2 * int(fields["maxPriorityFeePerGas"], 16),
    )
    second = (await desk.send(dearer, key="b2", until_mined=False))["transaction"]["hash"]
    await mine(desk.chain)
    await work(desk)
    assert (await status(first), await status(second)) == (("REPLACED", 0), ("CONFIRMED", 1))
    answer = await desk.vault.data(LOOK, desk.person, hash=first)
    assert answer["chainTransaction"]["replacedBy"] == {"hash": second, "status": "CONFIRMED"}
    row = await row_of(first)
    assert (row.track.same, row.track.over) == (True, False)
    await mine(desk.chain, 2)
    await work(desk)
    assert ((await row_of(first)).track.over, await status(second)) == (True, ("FINAL", 3))


async def test_one_that_was_sent_elsewhere_and_does_something_else_replaces_it_long_ago(desk: Desk) -> None:
    hash_ = await sent(desk)
    await rpc(desk.chain, "anvil_dropTransaction", hash_)
    await rpc(desk.chain, "evm_setAutomine", True)
    other = await send_now(desk.chain, STRANGER, value=1)
    await mine(desk.chain, 300)
    await work(desk)
    row = await row_of(hash_)
    assert (row.track.status, row.track.replaced_by, row.track.same) == ("REPLACED", other.hash, False)
    assert row.track.over


async def test_a_dropped_one_is_sent_again(desk: Desk) -> None:
    hash_ = await sent(desk)
    await rpc(desk.chain, "anvil_dropTransaction", hash_)
    await work(desk)
    assert await status(hash_) == ("PENDING", 0)
    assert await desk.chain.transaction(hash_) is not None
    await mine(desk.chain)
    await work(desk)
    assert await status(hash_) == ("CONFIRMED", 1)


async def test_one_that_no_node_takes_again_is_dropped_and_may_come_back(desk: Desk) -> None:
    hash_ = await sent(desk)
    await rpc(desk.chain, "anvil_dropTransaction", hash_)
    await rpc(desk.chain, "anvil_setBalance", OWNER, "0x1")
    for _ in range(8):
        await work(desk, seconds=600)
    row = await row_of(hash_)
    assert (row.track.status, row.track.resends, row.track.over) == ("DROPPED", 5, False)
    await rpc(desk.chain, "anvil_setBalance", OWNER, hex(10**22))
    await rpc(desk.chain, "eth_sendRawTransaction", "0x" + row.raw.hex())
    await work(desk, seconds=600)
    assert await status(hash_) == ("PENDING", 0)
    await mine(desk.chain, 3)
    await work(desk, seconds=600)
    assert await status(hash_) == ("FINAL", 3)


async def test_one_whose_block_is_given_up_is_reverted_until_it_is_in_one_again(desk: Desk) -> None:
    hash_ = await sent(desk)
    await mine(desk.chain)
    await work(desk)
    async with watching(desk, hash_) as stream:
        assert (await told(stream))["status"] == "CONFIRMED"
        await rpc(desk.chain, "anvil_reorg", 1, [])
        await work(desk)
        reverted = await told(stream)
        assert (reverted["status"], reverted["confirmations"], reverted["blockNumber"]) == ("REVERTED", 0, None)
        await mine(desk.chain)
        await work(desk)
        assert (await told(stream))["status"] == "CONFIRMED"


async def test_one_that_fails_in_its_block_tells_why(desk: Desk) -> None:
    prepared = await desk.call("transferFrom", FRIEND, OWNER, "5")
    answer = await desk.send(sign(prepared), until_mined=False)
    await mine(desk.chain)
    await work(desk)
    hash_ = answer["transaction"]["hash"]
    found = (await desk.vault.data(LOOK, desk.person, hash=hash_))["chainTransaction"]
    assert (found["status"], found["error"]) == ("FAILED", "the contract refused the call: allowance too small")
    await mine(desk.chain, 2)
    await work(desk)
    row = await row_of(hash_)
    assert (row.track.status, row.track.over) == ("FAILED", True)


async def test_a_change_is_told_over_redis_to_whoever_watches_at_another_process(desk: Desk, tmp_path: Path) -> None:
    hash_ = await sent(desk)
    async with AsyncExitStack() as stack:
        _, url = await stack.enter_async_context(components.redis(tmp_path))
        worlds = []
        for bus in (redis_bus(url), redis_bus(url)):
            await bus.start()
            stack.push_async_callback(bus.close)
            options: dict[str, Any] = {
                "known": desk.vault.catalogue,
                "reached": lambda known, _: chains_of(known, desk.chain),
                "bus": bus,
            }
            worlds.append(await stack.enter_async_context(world(**options)))
        desk.vault = worlds[0]
        async with watching(desk, hash_) as stream:
            assert (await told(stream))["status"] == "PENDING"
            desk.vault = worlds[1]
            seen = []
            for _ in range(3):
                await mine(desk.chain)
                await work(desk)
                seen.append((await told(stream))["confirmations"])
            assert seen == [1, 2, 3]


async def test_what_was_sent_is_told_as_it_was_seen_last_while_no_node_answers(desk: Desk) -> None:
    signed = sign(await desk.prepare())
    hash_ = (await desk.send(signed, until_mined=False))["transaction"]["hash"]
    await mine(desk.chain)
    await work(desk)
    dead = client_of("http://127.0.0.1:1")
    async with world(known=desk.vault.catalogue, reached=lambda known, _: chains_of(known, dead)) as away:
        desk.vault = away
        again = await desk.send(signed)
        assert (again["errors"], again["replayed"], again["transaction"]["status"]) == ([], True, "CONFIRMED")
        assert (await away.data(LOOK, desk.person, hash=hash_))["chainTransaction"]["confirmations"] == 1
        await work(desk)
        assert await status(hash_) == ("CONFIRMED", 1)
    await dead.close()


async def test_ten_requests_at_once_send_one(desk: Desk) -> None:
    prepared = await desk.prepare()
    signed = sign(prepared)
    answers = await asyncio.gather(*(desk.send(signed, until_mined=False) for _ in range(10)))
    assert {(answer["transaction"]["hash"], len(answer["errors"])) for answer in answers} == {
        (read_signed(signed).hash, 0)
    }
    rows = await BroadcastDocument.find({"user_id": desk.person.user_id}).to_list()
    assert (len(rows), await desk.chain.nonce(OWNER, at="pending")) == (1, prepared["transaction"]["nonce"] + 1)


class Killed(BaseException):
    """The process is gone."""


STEPS: dict[str, tuple[Any, str]] = {
    "the key is stored": (broadcast, "insert"),
    "the transaction is stored": (chain_transaction, "insert"),
    "it goes to the nodes": (EvmSending, "send"),
    "it is noted that it was sent": (chain_transaction, "was_sent"),
    "it is noted under the key": (broadcast, "was_sent"),
}


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("step", STEPS)
async def test_the_server_may_die_at_any_step(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, step: str, after: bool
) -> None:
    """The same request goes on where the first one stopped; what was stored is sent by the worker when nobody comes back: one transaction each time."""
    prepared = await desk.prepare()
    signed = sign(prepared)
    place, name = STEPS[step]
    done = getattr(place, name)

    async def dies(*args: Any, **kwargs: Any) -> Any:
        if after:
            await done(*args, **kwargs)
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(place, name, dies)
        with pytest.raises(Killed):
            await desk.vault.transfers.broadcasts.send(
                desk.person.user_id,
                BroadcastWish("b1", "ethereum", signed, key_in(prepared["transaction"]["id"], "UnsignedTransaction")),
            )
    hash_ = read_signed(signed).hash
    if await chain_transaction.by_hash("ethereum", hash_) is not None:
        await work(desk)
        assert await desk.chain.transaction(hash_) is not None
    again = await desk.send(signed, preparedId=prepared["transaction"]["id"], until_mined=False)
    assert (again["errors"], again["transaction"]["hash"]) == ([], hash_)
    assert again["replayed"] is (step == "it is noted under the key" and after)
    await mine(desk.chain)
    await work(desk)
    assert await status(hash_) == ("CONFIRMED", 1)
    assert await desk.chain.nonce(OWNER) == prepared["transaction"]["nonce"] + 1
    assert (await desk.send(signed, preparedId=prepared["transaction"]["id"]))["replayed"]


async def test_what_the_worker_cannot_send_for_a_dead_server_is_forgotten(desk: Desk) -> None:
    hash_ = await sent(desk)
    begun = await row_of(hash_)
    await rpc(desk.chain, "anvil_dropTransaction", hash_)
    await rpc(desk.chain, "anvil_setBalance", OWNER, "0x1")
    await ChainTransactionDocument.get_pymongo_collection().replace_one(
        {"_id": begun.id}, stored(begun.model_copy(update={"sent_ms": None}))
    )
    await work(desk)
    assert await chain_transaction.by_hash("ethereum", hash_) is None


async def test_one_that_was_not_sent_from_here_is_asked_about(desk: Desk) -> None:
    hash_ = str(await rpc(desk.chain, "eth_sendTransaction", {"from": OWNER, "to": FRIEND, "value": "0x1"}))
    async with watching(desk, hash_) as stream:
        assert (await told(stream))["status"] == "PENDING"
        await mine(desk.chain, 3)
        final = await told(stream)
        assert (final["status"], final["confirmations"]) == ("FINAL", 3)
        with pytest.raises(StopAsyncIteration):
            await told(stream)
    assert await chain_transaction.by_hash("ethereum", hash_) is None


async def test_one_account_watches_ten_of_others_at_a_time(desk: Desk) -> None:
    hashes = [
        str(await rpc(desk.chain, "eth_sendTransaction", {"from": OWNER, "to": FRIEND, "value": hex(value)}))
        for value in range(11)
    ]
    watch = desk.vault.transfers.transactions.watch
    streams = [watch(desk.person.user_id, "ethereum", hash_) for hash_ in hashes]
    for stream in streams[:10]:
        assert (await anext(stream)).status == "PENDING"
    async with watching(desk, hashes[10]) as refused:
        (error,) = (await anext(refused)).body["errors"]
        assert error["extensions"]["code"] == "LIMIT_EXCEEDED"
    for stream in streams:
        await stream.aclose()
    async with watching(desk, hashes[10]) as free:
        assert (await told(free))["status"] == "PENDING"


async def test_tokens_with_words_of_bait_are_warned_of(desk: Desk) -> None:
    await rpc(desk.chain, "evm_setAutomine", True)
    bait = await token(desk.chain, symbol="Visit claim-usdt.com")
    assert "SPAM_TOKEN" in warned(await desk.prepare(token=bait, amount="1"))
    fake = await token(desk.chain, symbol="USDT")
    assert "SPAM_TOKEN" in warned(await desk.prepare(token=fake, amount="1"))
    assert "SPAM_TOKEN" not in warned(await desk.prepare(token=desk.contract, amount="1"))


async def test_whoever_asks_nodes_too_often_has_to_wait(database: Database) -> None:
    async with anvil() as url:
        client = client_of(url)
        async with desk_on(client) as desk:
            limits = MemoryRateLimits(desk.vault.clock)
            options: dict[str, Any] = {
                "known": desk.vault.catalogue,
                "reached": lambda known, _: chains_of(known, client),
            }
            async with world(limits=limits, **options) as strict:
                answers = [await strict.ask(LOOK, desk.person, hash="0x12") for _ in range(301)]
        await client.close()
    assert answers[299]["errors"][0]["extensions"]["code"] == "INVALID_INPUT"
    assert answers[300]["errors"][0]["extensions"]["code"] == "RATE_LIMITED"


async def test_a_deleted_account_leaves_nothing_of_what_it_sent(desk: Desk) -> None:
    prepared = await desk.prepare()
    answer = await desk.send(sign(prepared), preparedId=prepared["transaction"]["id"], until_mined=False)
    id_ = key_in(prepared["transaction"]["id"], "UnsignedTransaction") or ""
    assert await prepared_transaction.by_id(id_) is not None
    assert (await proven(desk.vault, "deleteAccount", desk.person))["errors"] == []
    assert await BroadcastDocument.find({"user_id": desk.person.user_id}).to_list() == []
    assert await prepared_transaction.by_id(id_) is None
    assert (await row_of(answer["transaction"]["hash"])).track.status == "PENDING"
