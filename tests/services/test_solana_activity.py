"""What moved from and to a wallet on Solana: coins and tokens by balances, in pages that leave nothing out."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

import pytest
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction

from core.clock import ManualClock
from core.database import Database
from core.errors import InvalidInput
from core.paging import Page, PageRequest
from core.refusals import WalletRefused
from core.vocabulary import ChainFamily, TimeOrder
from core.wallet_vocabulary import ChainNetwork, ChainTxStatus, TransferDirection
from events.token import TokenState
from events.wallet import WalletMovement
from integrations.chains.solana.addresses import TOKEN_2022_PROGRAM, TOKEN_PROGRAM
from integrations.chains.solana.instructions import Memo, SolTransfer, TokenTransfer, creation_of, encode
from services.catalogue import read_files
from services.chains import Chains, solana_access
from services.tokens import Tokens
from services.wallet_activity import WalletActivity
from tests.deposits_solana import client_of
from tests.solana_chain import SolanaChain
from tests.solana_node import SolanaNode, solana_node

SOL = 10**9
OWNER, FRIEND = Keypair(), Keypair()
IN, OUT = TransferDirection.IN, TransferDirection.OUT


def key(of: Keypair) -> str:
    return str(of.pubkey())


@dataclass
class Wallet:
    """OWNER's wallet with 100 SOL, and two tokens: `usdc` is vouched for, `other` is of Token-2022."""

    chain: SolanaChain
    node: SolanaNode
    activity: WalletActivity
    usdc: Keypair
    other: Keypair

    async def page(self, order: TimeOrder = TimeOrder.NEWEST_FIRST, **request: object) -> Page[WalletMovement]:
        self.chain.advance()
        asked = PageRequest(**request)  # type: ignore[arg-type]
        return await self.activity.page(ChainFamily.SOLANA, key(OWNER), "solana", order, asked)

    def sends(self, mint: Keypair, units: int, giver: Keypair, taker: Keypair) -> list[Instruction]:
        program = TOKEN_PROGRAM if mint is self.usdc else TOKEN_2022_PROGRAM
        opened = creation_of(key(giver), key(taker), key(mint), program)
        source = creation_of(key(giver), key(giver), key(mint), program).account
        moved = TokenTransfer(program, source, key(mint), opened.account, key(giver), units, 6)
        return [encode(opened), encode(moved)]


@pytest.fixture
async def wallet(database: Database) -> AsyncIterator[Wallet]:
    chain, clock = SolanaChain(), ManualClock()
    for who in (OWNER, FRIEND):
        chain.airdrop(who.pubkey(), 100 * SOL)
    usdc, other = chain.make_token(), chain.make_token(TOKEN_2022_PROGRAM)
    known = read_files(ChainNetwork.LOCAL)
    vouched = TokenState("solana", key(usdc), "USDC", "USD Coin", 6, "USDC")
    listed: dict[str | None, TokenState] = {None: known.tokens["solana"][None], key(usdc): vouched}
    known = replace(known, tokens={**known.tokens, "solana": listed})
    async with solana_node(chain) as node:
        client = client_of(chain, [node], clock)
        chains = Chains(known.chains, {"solana": solana_access(known.chains["solana"], client, clock)}, clock)
        yield Wallet(chain, node, WalletActivity(chains, Tokens(known, chains, clock), clock), usdc, other)
        await chains.close()


def told(page: Page[WalletMovement]) -> list[tuple[str, TransferDirection, int, str | None]]:
    return [(each.token.symbol, each.direction, each.units, each.counterparty) for each in page.items]


async def test_coins_and_tokens_come_and_go(wallet: Wallet) -> None:
    chain = wallet.chain
    chain.mint_to(OWNER.pubkey(), wallet.usdc, 50)
    chain.finalize()
    chain.run([encode(SolTransfer(key(OWNER), key(FRIEND), SOL))], OWNER)
    chain.run(wallet.sends(wallet.usdc, 20, OWNER, FRIEND), OWNER)
    chain.run(wallet.sends(wallet.usdc, 5, FRIEND, OWNER), FRIEND)
    page = await wallet.page()
    rent = chain.svm.minimum_balance_for_rent_exemption(165)
    faucet = key(chain.faucet)
    assert told(page) == [
        ("USDC", IN, 5, key(FRIEND)),
        ("SOL", OUT, rent, key(FRIEND)),
        ("USDC", OUT, 20, key(FRIEND)),
        ("SOL", OUT, SOL, key(FRIEND)),
        ("USDC", IN, 50, None),
        ("SOL", IN, 100 * SOL, faucet),
    ]
    assert [each.status for each in page.items] == [ChainTxStatus.CONFIRMED] * 4 + [ChainTxStatus.FINAL] * 2
    assert [each.confirmations for each in page.items[:4]] == [1, 2, 2, 3]
    assert all(each.confirmations >= 32 and each.time_ms for each in page.items[4:])
    assert (page.has_next, page.has_previous) == (False, False)


async def test_what_is_put_into_accounts_of_ones_own_does_not_move(wallet: Wallet) -> None:
    opened = creation_of(key(OWNER), key(OWNER), key(wallet.other), TOKEN_2022_PROGRAM)
    wallet.chain.run([encode(opened)], OWNER)
    wallet.chain.run([encode(SolTransfer(key(OWNER), key(OWNER), SOL)), encode(Memo("to myself"))], OWNER)
    closing = [
        AccountMeta(Pubkey.from_string(opened.account), is_signer=False, is_writable=True),
        AccountMeta(OWNER.pubkey(), is_signer=False, is_writable=True),
        AccountMeta(OWNER.pubkey(), is_signer=True, is_writable=False),
    ]
    wallet.chain.run([Instruction(Pubkey.from_string(TOKEN_2022_PROGRAM), bytes([9]), closing)], OWNER)
    assert [each.units for each in (await wallet.page()).items] == [100 * SOL]


async def test_pages_leave_nothing_out_and_tell_nothing_twice(wallet: Wallet) -> None:
    """Also between rows of one transaction, and when the chain grows meanwhile; tokens come to accounts that nobody vouches for."""
    chain = wallet.chain
    chain.mint_to(FRIEND.pubkey(), wallet.other, 10**6, TOKEN_2022_PROGRAM)
    for number in range(1, 8):
        paid = encode(SolTransfer(key(FRIEND), key(OWNER), number))
        chain.run([paid, *wallet.sends(wallet.other, number, FRIEND, OWNER)], FRIEND)
        chain.run(wallet.sends(wallet.other, 100 + number, FRIEND, OWNER)[1:], FRIEND)
    everything = told(await wallet.page())
    assert len(everything) == 7 * 3 + 1
    for size in (1, 2, 5):
        found: list[tuple[str, TransferDirection, int, str | None]] = []
        cursor = None
        while True:
            page = await wallet.page(first=size, after=cursor)
            assert len(page.items) <= size
            found += told(page)
            if not page.has_next:
                break
            cursor = page.end or page.items[-1].cursor
            chain.run([encode(SolTransfer(key(FRIEND), key(Keypair()), SOL // 10))], FRIEND)
        assert found == everything
    assert everything[0][0] == key(wallet.other)[:4]


async def test_several_of_one_block_are_told_in_its_order(wallet: Wallet) -> None:
    chain = wallet.chain
    chain.mint_to(FRIEND.pubkey(), wallet.other, 10**6, TOKEN_2022_PROGRAM)
    chain.run(wallet.sends(wallet.other, 1, FRIEND, OWNER), FRIEND)
    first = chain.tip
    for number in range(2, 6):
        chain.run(wallet.sends(wallet.other, number, FRIEND, OWNER)[1:], FRIEND)
        chain.run([encode(SolTransfer(key(FRIEND), key(OWNER), number))], FRIEND)
    for block in chain.blocks[chain.blocks.index(first) + 1 :]:
        first.landed += block.landed
        block.landed = []
    expected = [(each, units) for units in (5, 4, 3, 2) for each in ("SOL", key(wallet.other)[:4])]
    found: list[tuple[str, int]] = []
    cursor = None
    while len(found) < len(expected):
        page = await wallet.page(first=3, after=cursor)
        found += [(each.token.symbol, each.units) for each in page.items]
        cursor = page.end or page.items[-1].cursor
    assert found[: len(expected)] == expected


async def test_what_failed_is_a_row_without_a_quantity_for_who_has_signed_it(wallet: Wallet) -> None:
    wallet.chain.hold()
    wallet.chain.accept(_too_much(wallet, OWNER, FRIEND))
    wallet.chain.accept(_too_much(wallet, FRIEND, OWNER))
    for giver, taker in ((OWNER, FRIEND), (FRIEND, OWNER)):
        wallet.chain.run([encode(SolTransfer(key(giver), key(taker), 60 * SOL))], giver)
    wallet.chain.release()
    for size in (5, 1):
        rows: list[WalletMovement] = []
        cursor = None
        while len(rows) < 4:
            page = await wallet.page(first=size, after=cursor)
            rows += page.items
            cursor = page.end or page.items[-1].cursor
        assert sorted((each.units, each.direction) for each in rows) == [
            (0, OUT),
            (60 * SOL, IN),
            (60 * SOL, OUT),
            (100 * SOL, IN),
        ]
        assert not page.has_next
    (failed,) = [each for each in rows if not each.units]
    assert (failed.status, failed.token.symbol, failed.counterparty) == (ChainTxStatus.FAILED, "SOL", None)
    wallet.chain.finalize()
    again = {each.hash: each for each in (await wallet.page()).items}[failed.hash]
    assert (again.status, again.confirmations >= 32) == (ChainTxStatus.FAILED, True)


async def test_many_that_move_nothing_end_a_page_early(wallet: Wallet) -> None:
    for number in range(100):
        wallet.chain.run([encode(Memo(f"{number}"))], OWNER)
    page = await wallet.page(first=1)
    assert (list(page.items), page.has_next) == ([], True)
    assert page.end is not None
    assert [each.units for each in (await wallet.page(first=1, after=page.end)).items] == [100 * SOL]


@pytest.mark.parametrize("request_", [{"last": 1}, {"before": "x"}, {"after": "here"}, {"after": "1" * 64 + "-1"}])
async def test_foreign_cursors_and_other_directions_are_refused(wallet: Wallet, request_: dict[str, str | int]) -> None:
    with pytest.raises(InvalidInput):
        await wallet.page(TimeOrder.NEWEST_FIRST, **request_)
    with pytest.raises(InvalidInput):
        await wallet.page(order=TimeOrder.OLDEST_FIRST)


async def test_a_node_that_is_away_is_said(wallet: Wallet) -> None:
    wallet.node.twist = lambda method, params, result: None
    with pytest.raises(WalletRefused):
        await wallet.page()


def _too_much(wallet: Wallet, giver: Keypair, taker: Keypair) -> VersionedTransaction:
    paid = encode(SolTransfer(key(giver), key(taker), 500 * SOL))
    message = MessageV0.try_compile(giver.pubkey(), [paid], [], wallet.chain.tip.hash)
    return VersionedTransaction(message, [giver])
