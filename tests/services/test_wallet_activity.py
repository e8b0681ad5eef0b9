"""Pages of what moved from and to a wallet, on a real chain."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
from eth_account import Account

from core.clock import SystemClock, to_datetime
from core.database import Database
from core.errors import InvalidInput
from core.paging import Page, PageRequest
from core.refusals import WalletRefused
from core.vocabulary import ChainFamily, TimeOrder
from core.wallet_vocabulary import ChainTxStatus, TransferDirection, WalletErrorCode
from events.token import TokenState
from events.wallet import WalletMovement
from integrations.chains.evm.activity import Movement
from integrations.chains.evm.client import EvmClient
from models import chain_transaction
from models.chain_transaction import ChainTransactionDocument, TrackEntry, chain_transaction_id
from services import wallet_activity
from services.chains import Chains
from services.signed_transactions import SignedEvm, read_signed
from services.tokens import Tokens
from services.wallet_activity import WalletActivity
from tests.chains import ANVIL_KEYS
from tests.evm import (
    CHAIN_ID,
    FRIEND,
    OWNER,
    STRANGER,
    calldata,
    catalogue_with,
    chains_of,
    client_of,
    deploy,
    local_chain,
    mine,
    rpc,
    send,
    token,
)
from tests.integrations.chains.test_evm import fake
from tests.integrations.chains.test_json_rpc import node

EVM = ChainFamily.EVM
NEWEST, OLDEST = TimeOrder.NEWEST_FIRST, TimeOrder.OLDEST_FIRST


@dataclass
class Wallet:
    """FRIEND's wallet on a chain of its own."""

    client: EvmClient
    activity: WalletActivity

    async def page(self, order: TimeOrder = NEWEST, **request: object) -> Page[WalletMovement]:
        return await self.activity.page(EVM, FRIEND, "ethereum", order, PageRequest(**request))  # type: ignore[arg-type]


def made(client: EvmClient, *tokens: TokenState, seconds: float = 30) -> WalletActivity:
    known = catalogue_with(*tokens)
    chains = chains_of(known, client)
    return WalletActivity(chains, Tokens(known, chains, SystemClock()), SystemClock(), answer_seconds=seconds)


@pytest.fixture
async def wallet(database: Database) -> AsyncIterator[Wallet]:
    async with local_chain() as client:
        yield Wallet(client, made(client))


def units(page: Page[WalletMovement]) -> list[int]:
    return [each.units for each in page.items]


async def test_what_moved_is_told_with_its_token_time_and_finality(wallet: Wallet) -> None:
    usdt = await token(wallet.client, "TST")
    await send(wallet.client, usdt, calldata("transfer(address,uint256)", FRIEND, 7))
    await send(wallet.client, OWNER, value=2, sender=FRIEND)
    await send(wallet.client, FRIEND, value=1, sender=FRIEND)
    page = await wallet.page()
    to_self, out, received = page.items
    assert [(each.direction, each.counterparty) for each in page.items] == [
        (TransferDirection.SELF, FRIEND),
        (TransferDirection.OUT, OWNER),
        (TransferDirection.IN, OWNER),
    ]
    assert [each.confirmations for each in page.items] == [1, 2, 3]
    assert [each.status for each in page.items] == [
        ChainTxStatus.CONFIRMED,
        ChainTxStatus.CONFIRMED,
        ChainTxStatus.FINAL,
    ]
    assert (received.token.symbol, received.token.decimals, received.token.contract) == ("TST", 6, usdt)
    assert out.token.contract is None
    block = await wallet.client.block(4)
    assert block is not None
    assert to_self.time_ms == block.time_ms
    assert not page.has_next


async def test_pages_fit_together_in_both_directions_while_the_chain_grows(wallet: Wallet) -> None:
    for amount in range(1, 8):
        await send(wallet.client, FRIEND, value=amount)
        await mine(wallet.client, 40)
    first = await wallet.page(first=3)
    assert (units(first), first.has_next, first.has_previous) == ([7, 6, 5], True, False)
    await send(wallet.client, FRIEND, value=8)
    after = str(first.items[-1].place)
    second = await wallet.page(first=3, after=after)
    assert (units(second), second.has_next, second.has_previous) == ([4, 3, 2], True, True)
    third = await wallet.page(first=3, after=str(second.items[-1].place))
    assert (units(third), third.has_next) == ([1], False)
    back = await wallet.page(last=2, before=str(third.items[0].place))
    assert units(back) == [3, 2]
    assert units(await wallet.page(OLDEST, first=2)) == [1, 2]
    assert units(await wallet.page(OLDEST, first=2, after=str(first.items[0].place))) == [8]


async def test_several_movements_of_one_block_are_all_on_some_page(wallet: Wallet) -> None:
    usdt = await token(wallet.client, "TST")
    await rpc(wallet.client, "evm_setAutomine", False)
    for amount in range(1, 6):
        for message in ({"value": hex(amount), "to": FRIEND}, _transfer(usdt, amount * 10)):
            await rpc(wallet.client, "eth_sendTransaction", {"from": OWNER, "gas": "0x30d40", **message})
    await mine(wallet.client)
    found: list[int] = []
    after = None
    while True:
        page = await wallet.page(first=3, after=after)
        found += units(page)
        if not page.has_next:
            break
        after = str(page.items[-1].place)
    assert sorted(found) == [1, 2, 3, 4, 5, 10, 20, 30, 40, 50]


def _transfer(contract: str, amount: int) -> dict[str, str]:
    return {"to": contract, "data": "0x" + calldata("transfer(address,uint256)", FRIEND, amount).hex()}


async def test_however_far_back_it_is_everything_is_reached(wallet: Wallet, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages that end before they are full have the cursor of where they ended."""
    monkeypatch.setattr(wallet_activity, "_FIRST_BLOCKS", 10)
    monkeypatch.setattr(wallet_activity, "_GROWTH", 1)
    monkeypatch.setattr(wallet_activity, "_MOST_RANGES", 2)
    await send(wallet.client, FRIEND, value=1)
    await mine(wallet.client, 95)
    await send(wallet.client, FRIEND, value=2)
    for order, wanted in ((NEWEST, [2, 1]), (OLDEST, [1, 2])):
        page, found, pages = await wallet.page(order), [], 1
        while True:
            found += units(page)
            if not page.has_next:
                break
            assert page.end is not None
            page, pages = await wallet.page(order, after=page.end), pages + 1
        assert (found, pages) == (wanted, 5)
        back: list[int] = []
        page = await wallet.page(order, last=5)
        while True:
            back = units(page) + back
            if not page.has_previous:
                break
            assert page.start is not None
            page = await wallet.page(order, last=5, before=page.start)
        assert back == wanted


async def test_a_movement_whose_block_was_given_up_is_gone_or_reverted(wallet: Wallet) -> None:
    await send(wallet.client, FRIEND, value=1)
    before = (await wallet.page()).items
    await mine(wallet.client)
    lost = await wallet.client.block(1)
    await rpc(wallet.client, "anvil_reorg", 2, [])
    block = await wallet.client.block(1)
    assert lost is not None
    assert block is not None
    assert block.hash != lost.hash
    assert units(await wallet.page()) == []
    moved = Movement(before[0].place, before[0].hash, lost.hash, OWNER, FRIEND, None, 1)
    known = catalogue_with()
    head = await wallet.client.block()
    assert head is not None
    told = await wallet.activity._told(wallet.client, known.chains["ethereum"], FRIEND, head, [moved])
    assert [(each.status, each.confirmations, each.time_ms) for each in told] == [(ChainTxStatus.REVERTED, 0, None)]


def signed(nonce: int, units: int, to: str = OWNER, data: bytes = b"", tip: int = 10**9) -> SignedEvm:
    """A transaction of FRIEND's."""
    made = Account.sign_transaction(
        {
            **{"chainId": CHAIN_ID, "nonce": nonce, "to": to, "value": units, "data": data, "gas": 100_000},
            **{"maxFeePerGas": 90 * 10**9 + 10 * tip, "maxPriorityFeePerGas": tip},
        },
        ANVIL_KEYS[1],
    )
    return read_signed("0x" + bytes(made.raw_transaction).hex())


async def sent(made: SignedEvm, created_ms: int, status: ChainTxStatus = ChainTxStatus.PENDING) -> None:
    """It was sent from here, and this was found out of it."""
    row = ChainTransactionDocument(
        id=chain_transaction_id("ethereum", made.hash),
        **{"chain": "ethereum", "hash": made.hash, "raw": made.raw, "sender": FRIEND, "spends": [str(made.nonce)]},
        track=TrackEntry(status=status),
        **{"created_ms": created_ms, "sent_ms": created_ms, "purge_at": to_datetime(created_ms)},
    )
    await ChainTransactionDocument.get_pymongo_collection().delete_one({"_id": row.id})
    assert await chain_transaction.insert(row)


async def test_what_was_sent_from_here_is_shown_before_it_is_in_a_block_and_after_it_was_given_up(
    database: Database,
) -> None:
    now_ms = SystemClock().now_ms()
    async with local_chain("--no-mining") as client:
        wallet = Wallet(client, made(client))
        await mine(client)
        first, second = signed(0, 5), signed(1, 0, STRANGER, calldata("transfer(address,uint256)", OWNER, 7))
        await sent(first, now_ms - 2)
        await sent(second, now_ms - 1, ChainTxStatus.DROPPED)
        await sent(signed(2, 8), now_ms, ChainTxStatus.FINAL)
        await sent(signed(3, 9), now_ms - 8 * 24 * 3_600_000)
        page = await wallet.page()
        assert [(each.hash, each.units, each.status, each.counterparty) for each in page.items] == [
            (second.hash, 7, ChainTxStatus.DROPPED, OWNER),
            (first.hash, 5, ChainTxStatus.PENDING, OWNER),
        ]
        assert [(each.token.contract, each.confirmations, each.time_ms) for each in page.items] == [
            (STRANGER, 0, None),
            (None, 0, None),
        ]
        one = await wallet.page(first=1)
        assert (units(one), one.has_next) == ([7], True)
        assert units(await wallet.page(first=1, after=str(one.items[0].place))) == [5]
        assert units(await wallet.page(OLDEST)) == [5, 7]
        await client.send_raw(first.raw)
        await mine(client)
        page = await wallet.page()
        assert [(each.units, each.status) for each in page.items] == [
            (7, ChainTxStatus.DROPPED),
            (5, ChainTxStatus.CONFIRMED),
        ]
        await rpc(client, "anvil_reorg", 1, [])
        await sent(first, now_ms - 2, ChainTxStatus.REVERTED)
        assert [(each.units, each.status) for each in (await wallet.page()).items] == [
            (7, ChainTxStatus.DROPPED),
            (5, ChainTxStatus.REVERTED),
        ]


async def test_what_was_sent_in_the_same_moment_is_walked_without_a_gap(database: Database) -> None:
    """Forty in one millisecond, also where others of them are over by the next page."""
    now_ms = SystemClock().now_ms()
    async with local_chain("--no-mining") as client:
        wallet = Wallet(client, made(client))
        await mine(client)
        by_hash = {each.hash: each for each in (signed(nonce, nonce + 1) for nonce in range(40))}
        for each in by_hash.values():
            await sent(each, now_ms)
        listed = [each.hash for each in (await wallet.page(first=50)).items]
        assert sorted(listed) == sorted(by_hash)
        walked: list[WalletMovement] = []
        while rows := (await wallet.page(first=1, after=str(walked[-1].place) if walked else None)).items:
            walked += rows
            if len(walked) == 15:
                for gone in (*listed[:15], *listed[30:]):
                    await sent(by_hash[gone], now_ms, ChainTxStatus.FINAL)
        assert [each.hash for each in walked] == listed[:30]


async def test_a_failed_payment_and_a_spam_token_are_said_to_be(wallet: Wallet) -> None:
    await send(wallet.client, await deploy(wallet.client, "Stubborn"), value=3, sender=FRIEND)
    bait = await token(wallet.client, "claim.com")
    await send(wallet.client, bait, calldata("transfer(address,uint256)", FRIEND, 1))
    spam, failed = (await wallet.page()).items
    assert (spam.token.symbol, spam.token.spam) == ("claim.com", True)
    assert (failed.status, failed.units) == (ChainTxStatus.FAILED, 3)


@pytest.mark.parametrize("cursor", ["x", "-1", "1.5", "9" * 17, ""])
async def test_a_foreign_cursor_is_refused(database: Database, cursor: str) -> None:
    async with node(fake()) as url:
        client = client_of(url)
        with pytest.raises(InvalidInput) as refused:
            await made(client).page(EVM, FRIEND, "ethereum", NEWEST, PageRequest(after=cursor))
        await client.close()
    assert refused.value.details["field"] == ["after"]


async def test_a_cursor_beyond_the_chain_finds_what_there_is(wallet: Wallet) -> None:
    await send(wallet.client, FRIEND, value=1)
    assert units(await wallet.page(after="9" * 15)) == [1]
    assert units(await wallet.page(before="9" * 15)) == []


async def test_a_chain_that_stalls_or_is_not_the_wallets_is_refused(database: Database) -> None:
    async with node(fake(), stall=True) as url:
        client = client_of(url)
        with pytest.raises(WalletRefused) as refused:
            await made(client, seconds=0.05).page(EVM, FRIEND, "ethereum", NEWEST, PageRequest())
        assert refused.value.reason is WalletErrorCode.PROVIDER_UNAVAILABLE
        await client.close()
    known = catalogue_with()
    chains = Chains(known.chains, {}, SystemClock())
    activity = WalletActivity(chains, Tokens(known, chains, SystemClock()), SystemClock())
    for family, chain, code in (
        (EVM, "dogecoin", WalletErrorCode.UNKNOWN_CHAIN),
        (EVM, "solana", WalletErrorCode.ADDRESS_WRONG_NETWORK),
        (EVM, "ethereum", WalletErrorCode.PROVIDER_UNAVAILABLE),
    ):
        with pytest.raises(WalletRefused) as refused:
            await activity.page(family, FRIEND, chain, NEWEST, PageRequest())
        assert (refused.value.reason, refused.value.field) == (code, ["chain"])
