"""What the house moves between its own wallets on Solana, and what that costs, is booked; it is nobody's deposit."""

from collections.abc import AsyncIterator

import pytest
from solders.keypair import Keypair
from solders.message import MessageV0
from solders.transaction import VersionedTransaction

from core.database import Database
from models import house_transfer, unclaimed_deposit, withdrawal
from models.withdrawal import AttemptEntry
from services.withdrawal_rules import Wish
from tests.accounts import CLIENT
from tests.deposits_solana import COLD, HOT, HOT_RESERVE, HOUSE, SOL, D, SolanaSite, key, opened
from tests.services.test_withdrawal_kills import proven

FEE = 5_000
RENT = 2_039_280
"""Of a token account of SPL Token; one of Token-2022 that is opened at its associated place is some bytes longer."""


@pytest.fixture
async def site(database: Database) -> AsyncIterator[SolanaSite]:
    async with opened() as made:
        for wallet in (HOUSE, HOT, COLD):
            made.chain.airdrop(wallet.pubkey(), 100 * SOL)
        made.chain.mint_to(HOUSE.pubkey(), made.usdc, 50 * 10**6)
        made.chain.finalize()
        await made.run()
        made.hot, made.cold = key(HOT), frozenset({key(COLD)})
        made.chain.advance(200)
        yield made


async def settled(site: SolanaSite) -> None:
    site.chain.finalize()
    await site.run()
    assert await house_transfer.open_of("solana") == []


async def test_a_top_up_moves_between_the_reserves_with_its_fee_and_rent(site: SolanaSite) -> None:
    site.pay(site.sol(SOL, HOT, by=HOUSE), *site.tokens(site.usdc, 5 * 10**6, HOT, by=HOUSE), by=HOUSE)
    await settled(site)
    assert site.reserve(account=HOT_RESERVE) == SOL
    assert site.reserve() == -SOL - FEE - RENT
    assert (site.reserve("USDC", HOT_RESERVE), site.reserve("USDC")) == (5 * 10**6, -5 * 10**6)
    assert await site.rows() == []
    again = site.watch()
    assert not await again.step()
    assert site.reserve(account=HOT_RESERVE) == SOL


async def test_from_hot_to_cold_and_between_cold_wallets(site: SolanaSite) -> None:
    site.pay(site.sol(3 * SOL, COLD, by=HOT), by=HOT)
    site.pay(site.sol(2 * SOL, HOUSE, by=COLD), by=COLD)
    await settled(site)
    assert site.reserve(account=HOT_RESERVE) == -3 * SOL - FEE
    assert site.reserve() == 3 * SOL - FEE
    assert await site.rows() == []


async def test_what_fails_costs_its_fee(site: SolanaSite) -> None:
    site.chain.hold()
    site.chain.accept(_all_of(site, HOT))
    site.chain.run([site.sol(SOL, HOUSE, by=HOT)], HOT)
    site.chain.release()
    await settled(site)
    assert site.reserve(account=HOT_RESERVE) == -SOL - 2 * FEE
    assert site.reserve() == SOL


async def test_what_goes_out_or_comes_in_from_strangers_is_left_to_an_operator(site: SolanaSite) -> None:
    """The fee is known, and booked."""
    site.pay(site.sol(SOL, Keypair(), by=HOT), by=HOT)
    site.pay(site.sol(SOL, HOT))
    await settled(site)
    assert site.reserve(account=HOT_RESERVE) == -FEE
    assert await site.rows() == []


async def test_a_payout_is_booked_with_its_withdrawal_and_not_here(site: SolanaSite) -> None:
    stranger = Keypair()
    paid = site.pay(site.sol(SOL, stranger, by=HOT), *site.tokens(site.usdc, 0, stranger, by=HOT)[:1], by=HOT)
    back = site.pay(site.sol(2 * SOL, HOUSE, by=HOT), memo=site.memo, by=HOT)
    await _signed(site, paid, back)
    await settled(site)
    assert site.reserve(account=HOT_RESERVE) == 0
    assert (await site.funds(), site.reserve()) == (D(2), 2 * SOL), "a payout to somebody's memo is their deposit"
    assert await unclaimed_deposit.seen_between(site.world.clock.now_ms(), 2**53, dust=False) == []


async def _signed(site: SolanaSite, *hashes: str) -> None:
    """A withdrawal of somebody's, for which these were signed."""
    bob, _ = await site.newcomer("bob@example.org")
    await site.house.give(bob.user_id, "SOL", 10 * SOL)
    await site.house.projected()
    entry = await site.world.custody.addresses.add(bob.viewer, "solana", key(Keypair()), "mine", CLIENT)
    site.world.clock.advance(25 * 3600)
    wish = Wish("SOL", "solana", entry.id, D(1))
    row = (await site.world.custody.withdrawals.request(bob.viewer, "w1", wish, CLIENT, proven)).row
    attempts = [AttemptEntry(hash=hash_, raw=b"", spends="0", fee_units=1, terms={}, signed_ms=1) for hash_ in hashes]
    assert await withdrawal.replace(withdrawal.changed(row, {"attempts": tuple(attempts), "hash": hashes[-1]}))


def _all_of(site: SolanaSite, payer: Keypair) -> VersionedTransaction:
    """A payment of so much that another one before it makes fail."""

    paid = site.sol(100 * SOL - 2 * FEE, HOUSE, by=payer)
    message = MessageV0.try_compile(payer.pubkey(), [paid], [], site.chain.tip.hash)
    return VersionedTransaction(message, [payer])
