"""Coins that people deposited are moved on by keys that are offline: exported, signed with the seed, sent, and booked; on a real Ethereum node."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest
from eth_account import Account
from eth_account.signers.local import LocalAccount

from core.clock import SystemClock
from core.database import Database
from events.reserve import sums_of
from integrations.chains.errors import ChainUnavailable
from models import hot_wallet, treasury_export
from models.treasury_export import MoveEntry, TreasuryExportDocument
from services.reserves import Reserves
from services.treasury import MoveReport, MoveState, MoveWish, SweepWish, Treasury, TreasuryRefused
from services.treasury_evm import EvmTreasury, forms_on
from tests.chains import ANVIL_ADDRESSES, ANVIL_KEYS
from tests.deposits import ETH, FINAL, HOT, Site, opened
from tests.evm import calldata, chains_of, mine, rpc, send, token_balance

D = Decimal
M = MoveState
MNEMONIC = "test test test test test test test test test test test junk"
COLD, STRANGER = ANVIL_ADDRESSES[1], ANVIL_ADDRESSES[2]
HOT_ADDRESS = "0x1111111111111111111111111111111111111111"
SMALL = 3 * 10**17


def key_of(move: MoveEntry) -> LocalAccount:
    """What its owner signs with: the seed's key at the path that stands in the export, or the cold wallet's."""
    (path,) = move.paths
    if path is None:
        assert move.sources == (COLD,)
        cold: LocalAccount = Account.from_key(ANVIL_KEYS[1])
        return cold
    Account.enable_unaudited_hdwallet_features()
    found: LocalAccount = Account.from_mnemonic(MNEMONIC, account_path=path)
    return found


def signed(move: MoveEntry, *, key: LocalAccount | None = None, **changes: Any) -> str:
    numbers = {name: int(text, 16) for name, text in move.unsigned.items() if name not in {"to", "data", "type"}}
    fields: dict[str, Any] = {"type": 2, "to": move.unsigned["to"], "data": move.unsigned["data"], **numbers, **changes}
    return "0x" + bytes((key or key_of(move)).sign_transaction(fields).raw_transaction).hex()


@dataclass
class Desk:
    """A site with an operator's tools on it."""

    site: Site
    treasury: Treasury
    reserves: Reserves

    async def deposit(self, address: str, *, eth: int = 0, usdc: int = 0) -> None:
        if eth:
            await send(self.site.chain, address, value=eth)
        if usdc:
            await send(self.site.chain, self.site.usdc, calldata("transfer(address,uint256)", address, usdc))

    async def settle(self) -> None:
        """Blocks until nothing is open, read and booked."""
        await mine(self.site.chain, FINAL + 1)
        await self.site.run()

    async def beyond(self, asset: str) -> Decimal | None:
        """What the wallets have on the chain beyond what the ledger says; read anew."""
        self.reserves._found._known.clear()
        digits = 18 if asset == "ETH" else 6
        booked = [D(self.site.reserve(asset, name)).scaleb(-digits) for name in ("house:cold:ethereum", HOT)]
        return sums_of(await self.reserves.of_asset(asset), booked).beyond

    async def sweep(
        self, target: str = HOT_ADDRESS, assets: Sequence[str] = (), gas_from: str | None = COLD, least: str = "0"
    ) -> tuple[TreasuryExportDocument, Sequence[str]]:
        return await self.treasury.sweep("ethereum", SweepWish(target, frozenset(assets), D(least), gas_from, 100))

    async def move(self, amount: str, asset: str = "ETH", **changes: str) -> TreasuryExportDocument:
        wish = {"source": COLD, "target": HOT_ADDRESS, **changes}
        row, _ = await self.treasury.move("ethereum", MoveWish(wish["source"], wish["target"], asset, D(amount)))
        return row

    async def broadcast(self, row: TreasuryExportDocument, texts: Mapping[int, str]) -> list[MoveState]:
        return [each.state for each in await self.reports(row, texts)]

    async def reports(self, row: TreasuryExportDocument, texts: Mapping[int, str]) -> list[MoveReport]:
        return await self.treasury.broadcast(row.id, texts, patience_seconds=30)


HOLDS_BUT_MOVES_NOTHING = "0x60003560e01c6370a08231146013576000" + "80fd5b631dcd650060005260206000f3"
"""A token that says 500 of everybody's balance and refuses all else, as one does that has blacklisted its holder."""


@pytest.fixture
async def desk(database: Database) -> AsyncIterator[Desk]:
    async with opened() as site:
        site.hot, site.cold = HOT_ADDRESS, frozenset({COLD})
        await hot_wallet.note_address("ethereum", HOT_ADDRESS)
        await rpc(site.chain, "anvil_setBalance", COLD, hex(10**18))
        known = site.world.catalogue
        entry, cold = known.chains["ethereum"], {"ethereum": [COLD]}
        chain = EvmTreasury(site.chain, entry, forms_on(list(known.assets.values()), "ethereum"))
        treasury = Treasury(known.chains, {"ethereum": chain}, cold, site.world.clock)
        reserves = Reserves(chains_of(known, site.chain), known, cold, SystemClock())
        yield Desk(site, treasury, reserves)
        await reserves.close()


async def test_deposits_are_swept_to_the_hot_wallet_and_ledger_and_chain_agree(desk: Desk) -> None:
    _, other = await desk.site.newcomer("ben@example.org")
    await desk.deposit(desk.site.address, eth=2 * ETH, usdc=500 * 10**6)
    await desk.deposit(other, usdc=300 * 10**6)
    await desk.settle()
    assert (await desk.beyond("ETH"), await desk.beyond("USDC")) == (D(1), D(0))
    row, notes = await desk.sweep()
    told = [(move.stage, move.asset, move.sources, move.target) for move in row.moves]
    assert (told, notes) == (
        [
            (1, "USDC", (desk.site.address,), HOT_ADDRESS),
            (1, "ETH", (desk.site.address,), HOT_ADDRESS),
            (1, "ETH", (COLD,), other),
            (2, "USDC", (other,), HOT_ADDRESS),
        ],
        [],
    )
    assert [move.paths for move in row.moves] == [("m/44'/60'/7'/0/0",)] * 2 + [(None,), ("m/44'/60'/7'/0/1",)]
    assert await desk.broadcast(row, {move.number: signed(move) for move in row.moves}) == [M.INCLUDED] * 4
    await desk.settle()
    assert desk.site.reserve("USDC", HOT) == 800 * 10**6
    assert desk.site.reserve("ETH", HOT) == int(row.moves[1].units)
    assert (await desk.beyond("ETH"), await desk.beyond("USDC")) == (D(1), D(0))
    house = desk.site.house.writer.exchange.state.house
    assert house["house:network-fees"]["ETH"] < 0
    assert await desk.broadcast(row, {}) == [M.INCLUDED] * 4


async def test_a_top_up_from_a_cold_wallet_is_booked_between_the_reserves(desk: Desk) -> None:
    await desk.deposit(desk.site.address, eth=2 * ETH)
    await desk.settle()
    row = await desk.move("0.5")
    assert await desk.broadcast(row, {1: signed(row.moves[0])}) == [M.INCLUDED]
    await desk.settle()
    assert desk.site.reserve("ETH", HOT) == ETH // 2
    assert await desk.beyond("ETH") == D(1)


TAMPERED: Mapping[str, dict[str, Any]] = {
    "another recipient": {"to": STRANGER},
    "more": {"value": 10**18},
    "another nonce": {"nonce": 7},
    "a call": {"data": "0x12"},
    "another chain": {"chainId": 1},
    "a fee beyond measure": {"maxFeePerGas": 10**13},
}


@pytest.mark.parametrize("how", TAMPERED)
async def test_what_is_not_what_was_exported_is_neither_stored_nor_sent(desk: Desk, how: str) -> None:
    row = await desk.move("0.5")
    with pytest.raises(TreasuryRefused, match="transaction 1: what was signed is not what was exported"):
        await desk.broadcast(row, {1: signed(row.moves[0], **TAMPERED[how])})
    assert await treasury_export.by_id(row.id) == row
    assert await desk.site.chain.nonce(COLD) == 0


async def test_a_strangers_signature_and_no_transaction_are_refused(desk: Desk) -> None:
    row = await desk.move("0.5")
    for text, words in (
        (signed(row.moves[0], key=Account.from_key(ANVIL_KEYS[2])), "from: "),
        ("0x00", "not taken here|no well-formed"),
        ("", "expected a signed transaction"),
    ):
        with pytest.raises(TreasuryRefused, match=words):
            await desk.broadcast(row, {1: text})
    with pytest.raises(TreasuryRefused, match="the export has no transaction 2"):
        await desk.broadcast(row, {2: signed(row.moves[0])})
    with pytest.raises(TreasuryRefused, match="no such export"):
        await desk.treasury.broadcast("unknown", {}, patience_seconds=0)
    assert await treasury_export.by_id(row.id) == row


async def test_one_wrong_signature_stops_all_of_the_file(desk: Desk) -> None:
    await desk.deposit(desk.site.address, eth=2 * ETH, usdc=500 * 10**6)
    row, _ = await desk.sweep()
    first, second = row.moves
    with pytest.raises(TreasuryRefused, match="transaction 2"):
        await desk.broadcast(row, {1: signed(first), 2: signed(second, to=STRANGER)})
    assert await desk.site.chain.nonce(desk.site.address) == 0


async def test_tokens_wait_for_the_coins_of_their_way(desk: Desk) -> None:
    await desk.deposit(desk.site.address, usdc=500 * 10**6)
    row, _ = await desk.sweep(assets=["USDC"])
    gas, tokens = row.moves
    assert await desk.broadcast(row, {tokens.number: signed(tokens)}) == [M.NOT_SIGNED, M.WAITS]
    assert await token_balance(desk.site.chain, desk.site.usdc, HOT_ADDRESS) == 0
    assert await desk.broadcast(row, {gas.number: signed(gas)}) == [M.INCLUDED, M.INCLUDED]
    assert await token_balance(desk.site.chain, desk.site.usdc, HOT_ADDRESS) == 500 * 10**6


async def test_what_was_stored_before_a_crash_is_sent_by_the_next_try(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = await desk.move("0.5")

    async def dies(self: EvmTreasury, raw: bytes) -> None:
        raise ChainUnavailable("ethereum", {})

    with monkeypatch.context() as patch:
        patch.setattr(EvmTreasury, "send", dies)
        with pytest.raises(ChainUnavailable):
            await desk.broadcast(row, {1: signed(row.moves[0])})
    assert await desk.broadcast(row, {}) == [M.INCLUDED]
    assert await desk.site.chain.balance(HOT_ADDRESS) == ETH // 2


async def test_a_nonce_that_was_used_otherwise_is_said(desk: Desk) -> None:
    first, second = await desk.move("0.1"), await desk.move("0.2")
    assert await desk.broadcast(first, {1: signed(first.moves[0])}) == [M.INCLUDED]
    (report,) = await desk.reports(second, {1: signed(second.moves[0])})
    assert (report.state, report.reason) == (M.REFUSED, "its nonce was used by another transaction; export again")
    assert await desk.site.chain.balance(HOT_ADDRESS) == ETH // 10


async def test_one_that_the_chain_refuses_holds_up_none_that_does_not_need_it(desk: Desk) -> None:
    _, other = await desk.site.newcomer("ben@example.org")
    _, third = await desk.site.newcomer("eve@example.org")
    await desk.deposit(desk.site.address, eth=2 * ETH)
    await desk.deposit(other, usdc=300 * 10**6)
    await desk.deposit(third, eth=ETH)
    row, _ = await desk.sweep()
    old, gas, fresh, tokens = row.moves
    assert (old.sources, fresh.sources, gas.target, tokens.sources) == ((desk.site.address,), (third,), other, (other,))
    await desk.site.chain.send_raw(bytes.fromhex(signed(old, to=STRANGER, value=1)[2:]))
    texts = {move.number: signed(move) for move in row.moves}
    assert await desk.broadcast(row, texts) == [M.REFUSED, M.INCLUDED, M.INCLUDED, M.INCLUDED]


async def test_what_fails_in_its_block_is_said(desk: Desk) -> None:
    await desk.deposit(desk.site.address, eth=2 * ETH, usdc=500 * 10**6)
    row, _ = await desk.sweep(assets=["USDC"])
    await rpc(desk.site.chain, "anvil_setCode", desk.site.usdc, "0xfe")
    for _ in range(2):
        assert await desk.broadcast(row, {1: signed(row.moves[0])}) == [M.FAILED]


async def test_what_lacks_coins_for_its_way_is_named_and_left(desk: Desk) -> None:
    _, other = await desk.site.newcomer("ben@example.org")
    await desk.deposit(desk.site.address, usdc=500 * 10**6)
    await desk.deposit(other, eth=SMALL)
    row, notes = await desk.sweep(gas_from=None)
    assert [(move.asset, move.sources) for move in row.moves] == [("ETH", (other,))]
    (note,) = notes
    assert note.startswith(f"{desk.site.address} lacks 0.0")
    with pytest.raises(TreasuryRefused, match=r"there is nothing to move; .* lacks"):
        await desk.sweep(assets=["USDC"], gas_from=None)


async def test_a_token_that_one_address_cannot_move_holds_up_nothing_else(desk: Desk) -> None:
    _, other = await desk.site.newcomer("ben@example.org")
    await desk.deposit(desk.site.address, eth=2 * ETH)
    await desk.deposit(other, eth=2 * ETH)
    await rpc(desk.site.chain, "anvil_setCode", desk.site.usdc, HOLDS_BUT_MOVES_NOTHING)
    row, notes = await desk.sweep()
    assert [move.asset for move in row.moves] == ["ETH", "ETH"]
    assert [note.split(" from ")[0] for note in notes] == ["USDC cannot be moved"] * 2


async def test_small_amounts_are_left_alone(desk: Desk) -> None:
    _, other = await desk.site.newcomer("ben@example.org")
    await desk.deposit(desk.site.address, eth=SMALL)
    await desk.deposit(other, eth=2 * ETH)
    row, _ = await desk.sweep(assets=["ETH"], least="1")
    assert [move.sources for move in row.moves] == [(other,)]


async def test_coins_go_from_offline_wallets_to_wallets_of_the_house_alone(desk: Desk) -> None:
    await desk.deposit(desk.site.address, eth=2 * ETH)
    with pytest.raises(TreasuryRefused, match="neither the hot wallet nor a cold one"):
        await desk.sweep(STRANGER)
    with pytest.raises(TreasuryRefused, match="neither the hot wallet nor a cold one"):
        await desk.move("0.1", target=desk.site.address)
    with pytest.raises(TreasuryRefused, match="no cold wallet of ethereum"):
        await desk.sweep(gas_from=STRANGER)
    for source in (HOT_ADDRESS, STRANGER):
        with pytest.raises(TreasuryRefused, match="whose key is offline"):
            await desk.move("0.1", source=source, target=COLD)
    for amount, asset in (("0", "ETH"), ("0.0000001", "USDC"), ("1", "BTC")):
        with pytest.raises(TreasuryRefused, match="expected an asset of ethereum and an amount"):
            await desk.move(amount, asset)
    with pytest.raises(TreasuryRefused, match="too little of it now"):
        await desk.move("5")
    with pytest.raises(TreasuryRefused, match=r"too little|cannot be moved"):
        await desk.move("5", "USDC")
    with pytest.raises(TreasuryRefused, match="one of these assets is not on ethereum"):
        await desk.sweep(assets=["ETH", "BTC"])
    with pytest.raises(TreasuryRefused, match="there is no chain mars with a node here"):
        await desk.treasury.sweep("mars", SweepWish(HOT_ADDRESS, frozenset(), D(0), None, 10))


async def test_a_wallet_that_is_no_longer_the_houses_gets_nothing(desk: Desk) -> None:
    row = await desk.move("0.5")
    await hot_wallet.note_address("ethereum", "0x2222222222222222222222222222222222222222")
    with pytest.raises(TreasuryRefused, match="no wallet of the house any more"):
        await desk.broadcast(row, {1: signed(row.moves[0])})
