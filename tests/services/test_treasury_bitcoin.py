"""Coins on deposit addresses and cold wallets of a real UTXO node, moved by PSBTs that are signed offline with the seed."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from decimal import Decimal

import pytest
from embit.psbt import PSBT

from core.clock import SystemClock
from core.database import Database
from events.reserve import sums_of
from integrations.chains.bitcoin.keys import parse_deposit_account
from integrations.chains.bitcoin.psbt import build, read_prepared
from integrations.chains.bitcoin.transactions import TxOutput
from models import hot_wallet, treasury_export
from models.treasury_export import MoveEntry, TreasuryExportDocument
from services.chains import Chains, bitcoin_access
from services.reserves import Reserves
from services.treasury import MoveReport, MoveState, MoveWish, SweepWish, Treasury, TreasuryRefused
from services.treasury_bitcoin import BitcoinTreasury
from tests.bitcoin_deposits import BTC, BitcoinSite, opened
from tests.chains import LITECOIN
from tests.deposits import FINAL
from tests.integrations.chains.bitcoin.house import NETWORK, Key

D = Decimal
M = MoveState
HOT = "house:hot:bitcoin"
PATH = "m/84h/1h/7h"
VPUB = bytes.fromhex("045f1cf6")


@dataclass
class Desk:
    """A site with an operator's tools on it."""

    site: BitcoinSite
    treasury: Treasury
    reserves: Reserves

    async def settle(self) -> None:
        await self.site.nodes.mine(FINAL + 1)
        await self.site.run()

    async def beyond(self) -> Decimal | None:
        """What the wallets have on the chain beyond what the ledger says; read anew."""
        self.reserves._found._known.clear()
        booked = [D(self.site.reserve("BTC", name)).scaleb(-8) for name in ("house:cold:bitcoin", HOT)]
        return sums_of(await self.reserves.of_asset("BTC"), booked).beyond

    async def sweep(self, target: str, least: str = "0") -> TreasuryExportDocument:
        wish = SweepWish(target, frozenset(), D(least), None, 100)
        return (await self.treasury.sweep("bitcoin", wish))[0]

    async def broadcast(self, row: TreasuryExportDocument, text: str) -> MoveState:
        return (await self.report(row, text)).state

    async def report(self, row: TreasuryExportDocument, text: str) -> MoveReport:
        (found,) = await self.treasury.broadcast(row.id, {1: text}, patience_seconds=0)
        return found

    def signed(self, move: MoveEntry) -> str:
        """As a wallet does that has the seed: by what the PSBT says of where keys are found."""
        psbt = PSBT.from_base64(move.unsigned["psbt"])
        assert psbt.sign_with(self.site.root) == len(psbt.inputs)
        return str(psbt.to_base64())


def desk_of(site: BitcoinSite, *, told: bool = True) -> Desk:
    """`told`: the extended key says which master key it comes from."""
    account = site.root.derive(PATH).to_public().to_base58(version=VPUB)
    origin = f"[{site.root.my_fingerprint.hex()}/84h/1h/7h]" if told else ""
    keys, known = parse_deposit_account(origin + account, NETWORK), site.world.catalogue
    cold = {"bitcoin": [site.cold_key.address.text]}
    chain = BitcoinTreasury(site.client, LITECOIN, keys.account)
    clock = SystemClock()
    chains = Chains(known.chains, {"bitcoin": bitcoin_access(LITECOIN, site.client, clock)}, clock)
    treasury = Treasury(known.chains, {"bitcoin": chain}, cold, site.world.clock)
    return Desk(site, treasury, Reserves(chains, known, cold, clock))


@pytest.fixture(params=["core", "esplora"])
async def desk(request: pytest.FixtureRequest, database: Database, litecoin_url: str) -> AsyncIterator[Desk]:
    async with opened(litecoin_url, request.param) as site:
        await hot_wallet.note_address("bitcoin", site.hot_key.address.text)
        yield desk_of(site)


async def test_deposits_are_swept_to_the_hot_wallet_and_ledger_and_chain_agree(desk: Desk) -> None:
    site = desk.site
    _, other = await site.newcomer("ben@example.org")
    for address, sats in ((site.address, BTC), (site.address, BTC // 4), (other, BTC // 2)):
        await site.nodes.pay(address, sats, mine=0)
    await desk.settle()
    assert await desk.beyond() == D(0)
    row = await desk.sweep(site.hot_key.address.text)
    (move,) = row.moves
    assert dict(zip(move.sources, move.paths, strict=True)) == {
        site.address: "m/84'/1'/7'/0/0",
        other: "m/84'/1'/7'/0/1",
    }
    assert int(move.units) + int(move.fee) == BTC * 7 // 4
    assert await desk.broadcast(row, desk.signed(move)) is M.SENT
    await desk.settle()
    assert await desk.broadcast(row, "") is M.INCLUDED
    assert site.reserve("BTC", HOT) == int(move.units)
    assert (site.reserve(), await desk.beyond()) == (0, D(0))
    assert site.house.writer.exchange.state.house["house:network-fees"]["BTC"] == -int(move.fee)


async def test_an_account_key_without_its_origin_is_signed_for_with_its_own_private_key(
    database: Database, litecoin_url: str
) -> None:
    async with opened(litecoin_url, "core") as site:
        desk = desk_of(site, told=False)
        await site.nodes.pay(site.address, BTC)
        row = await desk.sweep(site.cold_key.address.text)
        psbt = PSBT.from_base64(row.moves[0].unsigned["psbt"])
        assert psbt.sign_with(site.root.derive(PATH)) == 1
        assert await desk.broadcast(row, psbt.to_base64()) is M.SENT


async def test_a_top_up_from_a_cold_wallet_is_booked_between_the_reserves(desk: Desk) -> None:
    site = desk.site
    await site.nodes.pay(site.cold_key.address.text, BTC)
    await desk.settle()
    before, hot = await desk.beyond(), site.hot_key.address.text
    wish = MoveWish(site.cold_key.address.text, hot, "BTC", D("0.3"))
    row, _ = await desk.treasury.move("bitcoin", wish)
    (move,) = row.moves
    assert (move.paths, int(move.units)) == ((None,), BTC * 3 // 10)
    assert await desk.broadcast(row, site.cold_key.sign(move.unsigned["psbt"])) is M.SENT
    await desk.settle()
    assert site.reserve("BTC", HOT) == BTC * 3 // 10
    assert await desk.beyond() == before


async def test_what_is_not_what_was_exported_is_neither_stored_nor_sent(desk: Desk) -> None:
    site = desk.site
    await site.nodes.pay(site.cold_key.address.text, BTC)
    wish = MoveWish(site.cold_key.address.text, site.hot_key.address.text, "BTC", D("0.3"))
    row, _ = await desk.treasury.move("bitcoin", wish)
    (move,) = row.moves
    prepared, thief = read_prepared(move.unsigned["psbt"]), Key()
    outputs = [TxOutput(thief.script, each.sats) for each in prepared.tx.outputs]
    stolen = site.cold_key.sign(build(prepared.coins, outputs).psbt)
    coin = prepared.coins[0]
    dear = site.cold_key.sign(build([coin], [TxOutput(site.hot_key.script, BTC * 3 // 10)]).psbt)
    for text, words in (
        (stolen, "It would pay"),
        (dear, "It does not pay"),
        (move.unsigned["psbt"], "Input 1 is not signed"),
        ("cHNidP8BAA==", "it cannot be read"),
        ("00", "it cannot be read"),
    ):
        with pytest.raises(TreasuryRefused, match=words):
            await desk.broadcast(row, text)
    assert await treasury_export.by_id(row.id) == row
    assert await site.client.output(coin.outpoint) is not None


async def test_coins_that_were_spent_otherwise_are_said(desk: Desk) -> None:
    site = desk.site
    txid = await site.nodes.pay(site.cold_key.address.text, BTC)
    wish = MoveWish(site.cold_key.address.text, site.hot_key.address.text, "BTC", D("0.3"))
    row, _ = await desk.treasury.move("bitcoin", wish)
    await site.spend({site.cold_key: txid}, [(site.hot_key.address.text, BTC - 10_000)])
    report = await desk.report(row, site.cold_key.sign(row.moves[0].unsigned["psbt"]))
    assert (report.state, report.reason) == (M.REFUSED, "another transaction has spent its coins; export again")


async def test_what_cannot_be_moved(desk: Desk) -> None:
    site, hot = desk.site, desk.site.hot_key.address.text
    with pytest.raises(TreasuryRefused, match="cannot be swept now"):
        await desk.sweep(hot)
    await site.nodes.pay(site.address, BTC // 10)
    with pytest.raises(TreasuryRefused, match="cannot be swept now"):
        await desk.sweep(hot, least="0.2")
    with pytest.raises(TreasuryRefused, match="pays its own fee"):
        await desk.treasury.sweep("bitcoin", SweepWish(hot, frozenset({"ETH"}), D(0), None, 10))
    for wish, words in (
        (MoveWish(site.cold_key.address.text, hot, "BTC", D(1)), "cannot pay it now"),
        (MoveWish(site.cold_key.address.text, hot, "ETH", D(1)), "expected an amount of BTC"),
        (MoveWish(site.cold_key.address.text, hot, "BTC", D("0.000000001")), "expected an amount of BTC"),
        (MoveWish(site.hot_key.address.text, site.cold_key.address.text, "BTC", D(1)), "whose key is offline"),
        (MoveWish(site.cold_key.address.text, Key().address.text, "BTC", D(1)), "neither the hot wallet nor a cold"),
    ):
        with pytest.raises(TreasuryRefused, match=words):
            await desk.treasury.move("bitcoin", wish)
