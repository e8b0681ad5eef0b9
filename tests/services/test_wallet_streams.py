"""What moves from and to wallets, told live: on a real chain, through forks, for several readers at once, and until it must end."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest

from core.bus import MemoryBus
from core.clock import SystemClock
from core.database import Database
from core.refusals import WalletRefused
from core.vocabulary import ChainFamily
from core.wallet_vocabulary import ChainTxStatus, TransferDirection, WalletErrorCode
from events.account import AuditAppended, account_topic
from integrations.chains.errors import Failure, ProviderFailed
from integrations.chains.evm.client import EvmClient
from integrations.chains.json_rpc import JsonRpc
from models import chain_transaction, wallet
from models.wallet import WalletDocument
from services import wallet_following
from services.chain_tracking import ChainTracking
from services.evm_transfers import EvmTransfers
from services.prepared_transactions import PreparedTransactions
from services.sending_evm import EvmSending
from services.sending_families import SendingFamilies, Signed
from services.signed_transactions import SignedEvm
from services.tokens import Tokens
from services.wallet_activity import WalletActivity
from services.wallet_following import ChainFollower
from services.wallet_streams import WalletMoved, WalletStreams
from tests.chains import anvil
from tests.evm import FRIEND, OWNER, STRANGER, calldata, catalogue_with, chains_of, deploy, mine, rpc, send, token
from tests.evm_nodes import TwistedNode, client_of_nodes
from tests.services.test_wallet_activity import signed

IN, OUT, SELF = TransferDirection.IN, TransferDirection.OUT, TransferDirection.SELF
S = ChainTxStatus
ANNA = "anna"


@dataclass
class Site:
    """Anvil, through a node that may be made silent; and what follows wallets on it, which looks again whenever it may."""

    client: EvmClient
    node: TwistedNode
    asked: Counter[str]
    bus: MemoryBus
    streams: WalletStreams
    tracking: ChainTracking

    def watch(self, wallet_id: str | None = "w1") -> AsyncGenerator[WalletMoved, None]:
        return self.streams.watch(ANNA, wallet_id)

    async def sent(self, made: SignedEvm) -> None:
        """FRIEND sends it from here."""
        spends = (str(made.nonce),)
        await self.tracking.begin("ethereum", Signed(made.hash, made.raw, made.sender, spends))
        await self.client.send_raw(made.raw)
        await self.tracking.was_sent("ethereum", made.hash, made.sender, of_swap=False)

    async def look(self, made: SignedEvm) -> ChainTxStatus:
        """What the worker does."""
        row = await chain_transaction.by_hash("ethereum", made.hash)
        assert row is not None
        return (await self.tracking.look(row)).track.status

    def changed(self) -> None:
        """The account's wallets are others now."""
        self.bus.publish(account_topic(ANNA), AuditAppended(ANNA, 1))


@pytest.fixture
async def site(database: Database) -> AsyncIterator[Site]:
    asked: Counter[str] = Counter()

    def count(method: str, _params: Sequence[object], answer: Any) -> Any:
        asked[method] += 1
        return answer

    async def pause(_seconds: float) -> None:
        await asyncio.sleep(0.005)

    async with anvil() as url:
        node = TwistedNode(JsonRpc(url), twist=count)
        client = client_of_nodes(node)
        known = catalogue_with()
        chains = chains_of(known, client)
        bus = MemoryBus()
        clock = SystemClock()
        tokens = Tokens(known, chains, clock)
        activity = WalletActivity(chains, tokens, clock)
        streams = WalletStreams(chains, tokens, activity, bus=bus, clock=clock, pause=pause)
        await give_wallet()
        sending = EvmSending(
            chains, tokens, EvmTransfers(chains, tokens, PreparedTransactions(chains, tokens, no_worth, clock))
        )
        families = SendingFamilies(known.chains, {ChainFamily.EVM: sending})
        yield Site(client, node, asked, bus, streams, ChainTracking(families, known.chains, bus, clock))
        await streams.close()
        await client.close()


def no_worth(_asset: str, _amount: Decimal) -> None:
    """Nothing is worth anything here."""


async def give_wallet(
    id_: str = "w1", address: str = FRIEND, slot: int = 0, family: ChainFamily = ChainFamily.EVM
) -> None:
    row = WalletDocument(id=id_, user_id=ANNA, slot=slot, family=family, address=address, linked_ms=slot + 1)
    assert await wallet.insert(row)


async def told(stream: AsyncGenerator[WalletMoved, None]) -> tuple[TransferDirection, int, ChainTxStatus, int]:
    async with asyncio.timeout(20):
        moved = (await anext(stream)).movement
    return moved.direction, moved.units, moved.status, moved.confirmations


async def ended(stream: AsyncGenerator[WalletMoved, None]) -> WalletErrorCode | None:
    """How the stream ends: None, by itself."""
    try:
        async with asyncio.timeout(20):
            async for _ in stream:
                pass
    except WalletRefused as refused:
        return refused.reason
    return None


async def test_every_movement_is_told_until_it_is_final(site: Site) -> None:
    usdt = await token(site.client)
    async with aclosing(site.watch()) as stream:
        await send(site.client, FRIEND, value=5)
        assert await told(stream) == (IN, 5, S.CONFIRMED, 1)
        await send(site.client, usdt, calldata("transfer(address,uint256)", FRIEND, 7))
        assert [await told(stream) for _ in range(2)] == [(IN, 5, S.CONFIRMED, 2), (IN, 7, S.CONFIRMED, 1)]
        await send(site.client, STRANGER, value=2, sender=FRIEND)
        assert [await told(stream) for _ in range(3)] == [
            (IN, 5, S.FINAL, 3),
            (IN, 7, S.CONFIRMED, 2),
            (OUT, 2, S.CONFIRMED, 1),
        ]
        await send(site.client, FRIEND, value=1, sender=FRIEND)
        assert [await told(stream) for _ in range(3)] == [
            (IN, 7, S.FINAL, 3),
            (OUT, 2, S.CONFIRMED, 2),
            (SELF, 1, S.CONFIRMED, 1),
        ]


async def test_what_is_not_final_yet_comes_first(site: Site) -> None:
    await send(site.client, FRIEND, value=1)
    await send(site.client, FRIEND, value=2)
    await send(site.client, FRIEND, value=3)
    async with aclosing(site.watch()) as stream:
        assert [await told(stream) for _ in range(2)] == [(IN, 2, S.CONFIRMED, 2), (IN, 3, S.CONFIRMED, 1)]


async def test_a_payment_that_was_refused_is_a_failure(site: Site) -> None:
    stubborn = await deploy(site.client, "Stubborn")
    async with aclosing(site.watch()) as stream:
        await send(site.client, stubborn, value=4, sender=FRIEND)
        assert await told(stream) == (OUT, 4, S.FAILED, 1)


async def test_what_was_reorganised_out_is_told_and_what_comes_back_too(site: Site) -> None:
    async with aclosing(site.watch()) as stream:
        first = await send(site.client, FRIEND, value=1)
        before = (await anext(stream)).movement
        await rpc(site.client, "anvil_reorg", 1, [])
        await mine(site.client)
        assert await told(stream) == (IN, 1, S.REVERTED, 0)
        await rpc(site.client, "anvil_reorg", 1, [[{"from": OWNER, "to": FRIEND, "value": "0x9"}, 0]])
        await mine(site.client)
        assert (await told(stream))[:2] == (IN, 9)
        assert before.hash == first.hash


async def test_readers_share_one_reading_which_ends_with_the_last(site: Site) -> None:
    await give_wallet("w2", STRANGER, 1)
    one, other, second = site.watch(), site.watch(None), site.watch("w2")
    waiting = [asyncio.create_task(told(each)) for each in (one, other, second)]
    follower = site.streams._followers["ethereum"]
    assert isinstance(follower, ChainFollower)
    async with asyncio.timeout(20):
        while sum(len(each.turns) for each in follower._addresses.values()) < 4:
            await asyncio.sleep(0.005)
    blocks = site.asked["eth_getLogs"]
    await send(site.client, FRIEND, value=5)
    assert await waiting[0] == await waiting[1] == (IN, 5, S.CONFIRMED, 1)
    assert site.asked["eth_getLogs"] == blocks + 2
    await send(site.client, STRANGER, value=6)
    assert await waiting[2] == (IN, 6, S.CONFIRMED, 1)
    assert site.asked["eth_getLogs"] == blocks + 4
    for stream in (one, other):
        await stream.aclose()
    assert set(follower._addresses) == {STRANGER}
    assert follower._task is not None
    await second.aclose()
    assert follower._task is None
    assert not follower._addresses


async def test_what_is_sent_from_here_is_told_from_pending_to_final(site: Site) -> None:
    await rpc(site.client, "evm_setAutomine", False)
    made = signed(0, 5)
    async with aclosing(site.watch()) as stream, aclosing(site.watch(None)) as other:
        waiting = asyncio.create_task(told(other))
        await asyncio.sleep(0)
        await site.sent(made)
        assert await told(stream) == await waiting == (OUT, 5, S.PENDING, 0)
        await mine(site.client)
        assert await site.look(made) is S.CONFIRMED
        assert await told(stream) == (OUT, 5, S.CONFIRMED, 1)
        await mine(site.client, 2)
        while (found := await told(stream))[2] is S.CONFIRMED:
            pass
        assert found == (OUT, 5, S.FINAL, 3)


async def test_what_takes_its_place_and_what_is_given_up_is_told(site: Site) -> None:
    await rpc(site.client, "evm_setAutomine", False)
    first, second = signed(0, 5), signed(0, 6, tip=10**10)
    async with aclosing(site.watch()) as stream:
        await site.sent(first)
        assert await told(stream) == (OUT, 5, S.PENDING, 0)
        await site.sent(second)
        assert await told(stream) == (OUT, 6, S.PENDING, 0)
        await mine(site.client)
        assert await told(stream) == (OUT, 6, S.CONFIRMED, 1)
        assert await site.look(first) is S.REPLACED
        assert await told(stream) == (OUT, 5, S.REPLACED, 0)
        assert await site.look(second) is S.CONFIRMED
        await rpc(site.client, "anvil_reorg", 1, [])
        await mine(site.client)
        assert await told(stream) == (OUT, 6, S.REVERTED, 0)
        assert await site.look(second) is S.REVERTED
        await mine(site.client)
        assert await told(stream) == (OUT, 6, S.CONFIRMED, 1)
    await mine(site.client, 3)
    assert (await site.look(first), await site.look(second)) == (S.REPLACED, S.FINAL)
    async with aclosing(site.watch()) as stream:
        await site.sent(signed(1, 7))
        assert await told(stream) == (OUT, 7, S.PENDING, 0), "what was over before is not told"


async def test_tokens_that_fail_to_move_are_told_by_what_was_found_out(site: Site) -> None:
    usdt = await token(site.client)
    made = signed(0, 0, usdt, calldata("transfer(address,uint256)", OWNER, 7))
    await rpc(site.client, "evm_setAutomine", False)
    async with aclosing(site.watch()) as stream:
        await site.sent(made)
        assert await told(stream) == (OUT, 7, S.PENDING, 0)
        await mine(site.client)
        assert await site.look(made) is S.FAILED
        assert (await told(stream))[:3] == (OUT, 7, S.FAILED)


async def test_unlinking_ends_the_stream_of_a_wallet_and_only_that(site: Site) -> None:
    await give_wallet("w2", STRANGER, 1)
    async with aclosing(site.watch()) as stream, aclosing(site.watch(None)) as both:
        await send(site.client, FRIEND, value=5)
        assert await told(stream) == await told(both) == (IN, 5, S.CONFIRMED, 1)
        await wallet.delete("w1", ANNA)
        site.changed()
        assert await ended(stream) is None
        await send(site.client, FRIEND, value=6)
        await send(site.client, STRANGER, value=7)
        while (found := await told(both))[1] == 5:
            pass
        assert found == (IN, 7, S.CONFIRMED, 1)


async def test_a_wallet_that_is_linked_meanwhile_is_followed(site: Site) -> None:
    async with aclosing(site.watch(None)) as stream:
        waiting = asyncio.create_task(told(stream))
        await asyncio.sleep(0)
        await give_wallet("w2", STRANGER, 1)
        site.changed()
        await send(site.client, STRANGER, value=7)
        assert await waiting == (IN, 7, S.CONFIRMED, 1)


@pytest.mark.parametrize("id_", ["w9", ""])
async def test_a_wallet_that_is_not_ones_own_is_unknown(site: Site, id_: str) -> None:
    assert await ended(site.watch(id_)) is WalletErrorCode.UNKNOWN_WALLET
    bitcoin = "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"
    await give_wallet("b1", bitcoin, 2, ChainFamily.BITCOIN)
    assert await ended(site.watch("b1")) is WalletErrorCode.PROVIDER_UNAVAILABLE


async def test_nodes_that_stay_silent_end_the_stream(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wallet_following, "SILENT_SECONDS", 0.05)
    async with aclosing(site.watch()) as stream:
        await send(site.client, FRIEND, value=5)
        assert await told(stream) == (IN, 5, S.CONFIRMED, 1)
        site.node.failure = ProviderFailed(Failure.TIMED_OUT, "did not answer in time")
        assert await ended(stream) is WalletErrorCode.PROVIDER_UNAVAILABLE
    assert await ended(site.watch()) is WalletErrorCode.PROVIDER_UNAVAILABLE
    site.node.failure = None
    async with aclosing(site.watch()) as stream:
        assert await told(stream) == (IN, 5, S.CONFIRMED, 1)


async def test_of_all_wallets_those_are_followed_that_can_be(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many others are followed already, by whomever."""
    monkeypatch.setattr(wallet_following, "MOST_ADDRESSES", 1)
    await give_wallet("w2", STRANGER, 1)
    async with aclosing(site.watch(None)) as both:
        await send(site.client, FRIEND, value=5)
        assert await told(both) == (IN, 5, S.CONFIRMED, 1)
        assert await ended(site.watch("w2")) is WalletErrorCode.LIMIT_EXCEEDED


async def test_so_much_and_no_more_is_followed(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wallet_following, "MOST_ADDRESSES", 1)
    monkeypatch.setattr(wallet_following, "MOST_ROWS", 1)
    await give_wallet("w2", STRANGER, 1)
    async with aclosing(site.watch()) as stream:
        await send(site.client, FRIEND, value=5)
        assert await told(stream) == (IN, 5, S.CONFIRMED, 1)
        assert await ended(site.watch("w2")) is WalletErrorCode.LIMIT_EXCEEDED
        await send(site.client, FRIEND, value=6)
        assert await ended(stream) is WalletErrorCode.LIMIT_EXCEEDED
