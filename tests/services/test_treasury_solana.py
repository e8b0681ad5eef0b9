"""A payment between the house's wallets on Solana: by a fresh blockhash, or by a nonce account that lets it wait."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from decimal import Decimal

import pytest
from solders.keypair import Keypair
from solders.message import from_bytes_versioned
from solders.transaction import VersionedTransaction

from core.clock import SystemClock
from core.database import Database
from core.wallet_vocabulary import ChainNetwork
from integrations.chains.solana.client import SolanaClient
from integrations.chains.solana.wire import from_base64, to_base64
from models import hot_wallet, treasury_export
from models.treasury_export import MoveEntry, TreasuryExportDocument
from services.catalogue import read_files
from services.treasury import MoveReport, MoveState, MoveWish, SweepWish, Treasury, TreasuryRefused
from services.treasury_evm import forms_on
from services.treasury_solana import SolanaTreasury
from tests.solana_chain import SolanaChain
from tests.solana_node import solana_node

D = Decimal
M = MoveState
SOL = 10**9
TOO_LATE = "its blockhash, or its nonce, is not valid any more; export again"


@dataclass
class Desk:
    """A cold wallet with 10 SOL, a hot one, and an operator's tools."""

    chain: SolanaChain
    treasury: Treasury
    cold: Keypair
    hot: Keypair
    shared: Keypair

    async def move(
        self, amount: str, nonce_account: str | None = None, source: Keypair | None = None
    ) -> TreasuryExportDocument:
        payer = source or self.cold
        wish = MoveWish(str(payer.pubkey()), str(self.hot.pubkey()), "SOL", D(amount), nonce_account)
        return (await self.treasury.move("solana", wish))[0]

    async def broadcast(self, row: TreasuryExportDocument, text: str) -> MoveState:
        return (await self.report(row, text)).state

    async def report(self, row: TreasuryExportDocument, text: str) -> MoveReport:
        (found,) = await self.treasury.broadcast(row.id, {1: text}, patience_seconds=0)
        return found

    def lamports(self, key: Keypair) -> int:
        account = self.chain.account(key.pubkey(), self.chain.tip.slot)
        return 0 if account is None else account.lamports


def signed(move: MoveEntry, key: Keypair) -> str:
    message = from_bytes_versioned(from_base64(move.unsigned["message"]))
    return to_base64(bytes(VersionedTransaction(message, [key])))


@pytest.fixture
async def desk(database: Database) -> AsyncIterator[Desk]:
    chain, hot, cold, shared = SolanaChain(), Keypair(), Keypair(), Keypair()
    chain.airdrop(cold.pubkey(), 10 * SOL)
    chain.airdrop(hot.pubkey(), SOL)
    chain.airdrop(shared.pubkey(), 5 * SOL)
    chain.finalize()
    await hot_wallet.note_address("solana", str(hot.pubkey()))
    known = read_files(ChainNetwork.LOCAL)
    async with solana_node(chain) as node:
        client = SolanaClient("solana", [("node-1", node.url)], genesis=chain.genesis, clock=SystemClock())
        forms = forms_on(list(known.assets.values()), "solana")
        tools = SolanaTreasury(client, known.chains["solana"], forms)
        cold_wallets = {"solana": [str(cold.pubkey())]}
        deposits = {"solana": (str(shared.pubkey()),)}
        treasury = Treasury(known.chains, {"solana": tools}, cold_wallets, SystemClock(), shared=deposits)
        yield Desk(chain, treasury, cold, hot, shared)
        await client.close()


async def test_a_top_up_is_sent_while_its_blockhash_lives(desk: Desk) -> None:
    row = await desk.move("2.5")
    (move,) = row.moves
    assert await desk.broadcast(row, signed(move, desk.cold)) in {M.SENT, M.INCLUDED}
    desk.chain.advance(2)
    assert await desk.broadcast(row, "") is M.INCLUDED
    assert desk.lamports(desk.hot) == SOL * 7 // 2
    assert desk.lamports(desk.cold) == SOL * 15 // 2 - int(move.fee)


async def test_what_people_deposited_is_moved_from_their_common_address(desk: Desk) -> None:
    row = await desk.move("4", source=desk.shared)
    await desk.broadcast(row, signed(row.moves[0], desk.shared))
    desk.chain.advance(2)
    assert await desk.broadcast(row, "") is M.INCLUDED
    assert (desk.lamports(desk.hot), desk.lamports(desk.shared)) == (5 * SOL, SOL - int(row.moves[0].fee))


async def test_one_that_comes_back_too_late_is_refused_by_name(desk: Desk) -> None:
    row = await desk.move("2.5")
    desk.chain.expire_blockhashes()
    report = await desk.report(row, signed(row.moves[0], desk.cold))
    assert (report.state, report.reason) == (M.REFUSED, TOO_LATE)
    assert desk.lamports(desk.hot) == SOL


async def test_by_a_nonce_account_it_may_come_back_a_day_later_and_once(desk: Desk) -> None:
    nonce = desk.chain.make_nonce(desk.cold.pubkey())
    row, again = await desk.move("2.5", nonce), await desk.move("1", nonce)
    (move,) = row.moves
    assert move.unsigned["nonceAccount"] == nonce
    desk.chain.expire_blockhashes()
    assert await desk.broadcast(row, signed(move, desk.cold)) in {M.SENT, M.INCLUDED}
    desk.chain.advance(2)
    assert await desk.broadcast(row, "") is M.INCLUDED
    assert desk.lamports(desk.hot) == SOL * 7 // 2
    report = await desk.report(again, signed(again.moves[0], desk.cold))
    assert (report.state, report.reason) == (M.REFUSED, TOO_LATE)
    assert desk.lamports(desk.hot) == SOL * 7 // 2


async def test_what_is_not_what_was_exported_is_neither_stored_nor_sent(desk: Desk) -> None:
    row, other = await desk.move("2.5"), await desk.move("9")
    (move,) = row.moves
    for text, words in (
        (signed(other.moves[0], desk.cold), "what was signed is not what was exported"),
        (move.unsigned["transaction"], "The signature of .* is missing or wrong"),
        ("AAAA", "it cannot be read"),
        ("!", "it cannot be read"),
    ):
        with pytest.raises(TreasuryRefused, match=words):
            await desk.broadcast(row, text)
    assert await treasury_export.by_id(row.id) == row
    assert desk.lamports(desk.hot) == SOL


async def test_what_cannot_be_moved(desk: Desk) -> None:
    hot, cold = str(desk.hot.pubkey()), str(desk.cold.pubkey())
    with pytest.raises(TreasuryRefused, match="use `treasury move`"):
        await desk.treasury.sweep("solana", SweepWish(hot, frozenset(), D(0), None, 10))
    strangers = desk.chain.make_nonce(Keypair().pubkey())
    for wish, words in (
        (MoveWish(cold, hot, "BTC", D(1)), "expected an asset of solana"),
        (MoveWish(cold, hot, "SOL", D("0.0000000001")), "expected an asset of solana"),
        (MoveWish(hot, cold, "SOL", D(1)), "whose key is offline"),
        (MoveWish(cold, str(Keypair().pubkey()), "SOL", D(1)), "neither the hot wallet nor a cold one"),
        (MoveWish(cold, hot, "SOL", D(1), hot), "is no nonce account"),
        (MoveWish(cold, hot, "SOL", D(1), strangers), "has no authority over the nonce account"),
    ):
        with pytest.raises(TreasuryRefused, match=words):
            await desk.treasury.move("solana", wish)
