"""Bitcoin's nodes that lie, hide, lag or stand alone: nothing is credited or taken back on the word of one of them."""

from collections.abc import AsyncIterator
from pathlib import Path

import orjson
import pytest

from core.database import Database
from core.wallet_vocabulary import DepositStatus
from integrations.chains.bitcoin.coins import Coin
from integrations.chains.bitcoin.psbt import build
from integrations.chains.bitcoin.signed import read_signed
from integrations.chains.bitcoin.transactions import Outpoint, TxOutput
from integrations.chains.errors import ChainError, NodesContradict
from integrations.chains.json_rpc import JsonRpc
from models import deposit
from tests.bitcoin_deposits import BTC, BitcoinSite, opened
from tests.chains import litecoind
from tests.deposits import REQUIRED, D
from tests.esplora import Reply
from tests.integrations.chains.bitcoin.house import House

S = DepositStatus


@pytest.fixture
async def site(database: Database, litecoin_url: str) -> AsyncIterator[BitcoinSite]:
    async with opened(litecoin_url, "both") as made:
        yield made


async def test_an_amount_that_a_node_makes_up_is_found_out(site: BitcoinSite) -> None:
    """A block's bytes are those of its hash, or they are nobody's."""
    liar = site.over([], [site.api_url])
    await site.nodes.pay(site.address, BTC, mine=REQUIRED)
    script = await site.script(site.address)
    true = BTC.to_bytes(8, "little") + bytes([len(script)]) + script
    forged = (1_000 * BTC).to_bytes(8, "little") + true[8:]
    site.api.change = lambda path, reply: (reply[0], reply[1].replace(true, forged))
    with pytest.raises(ChainError, match="header"):
        await site.run(liar)
    assert await site.rows() == []
    await site.run()
    assert ((await site.row()).amount, (await site.row()).status) == (D(1), S.CONFIRMING)
    assert await site.funds() == (D(0), D(0))
    assert "another than the one asked for" in (await site.problem() or "")
    site.api.change = lambda path, reply: reply
    await site.run()
    assert await site.funds() == (D(1), D(0))
    await liar.close()


async def test_with_one_of_two_nodes_alone_nothing_is_credited(site: BitcoinSite) -> None:
    txid = await site.nodes.pay(site.address, BTC, mine=REQUIRED)
    site.api.change = lambda path, reply: (404, b"not found") if txid in path else reply
    await site.run()
    assert (await site.row()).status is S.CONFIRMING
    assert f"has {txid} in no block" in (await site.problem() or "")
    site.api.change = lambda path, reply: reply
    await site.run()
    assert (await site.row()).status is S.CREDITED
    assert await site.world.custody.deposit_reads.problem("bitcoin") is None


async def test_blocks_that_one_node_alone_has_confirm_nothing(site: BitcoinSite) -> None:
    await site.nodes.pay(site.address, BTC, mine=REQUIRED)
    shared = await site.nodes.call("getblockcount") - REQUIRED + 1

    def lags(path: str, reply: Reply) -> Reply:
        height = path.removeprefix("/block-height/")
        return (404, b"not found") if height.isdecimal() and int(height) > shared else reply

    site.api.change = lags
    await site.run()
    assert ((await site.row()).status, (await site.row()).confirmations) == (S.SEEN, 1)
    assert f"too few nodes of bitcoin have block {shared + 1}" in (await site.problem() or "")
    site.api.change = lambda path, reply: reply
    await site.run()
    assert await site.funds() == (D(1), D(0))


async def test_a_node_that_has_it_in_another_block_stops_the_credit(site: BitcoinSite) -> None:
    txid = await site.nodes.pay(site.address, BTC, mine=REQUIRED)

    def elsewhere(path: str, reply: Reply) -> Reply:
        if path != f"/tx/{txid}/status":
            return reply
        return reply[0], orjson.dumps(orjson.loads(reply[1]) | {"block_hash": "ab" * 32})

    site.api.change = elsewhere
    await site.run()
    assert (await site.row()).status is S.CONFIRMING
    assert "tells something else" in (await site.problem() or "")
    assert await site.funds() == (D(0), D(0))


async def test_one_node_alone_takes_nothing_back(site: BitcoinSite) -> None:
    """One says that another block stands where ours was seen; the other does not answer."""
    await site.nodes.pay(site.address, BTC, mine=REQUIRED)
    await site.run()
    assert await site.funds() == (D(1), D(0))
    fork = await site.nodes.call("getblockhash", 50)
    cursor = await deposit.cursor("bitcoin")
    assert cursor is not None

    def forked(path: str, reply: Reply) -> Reply:
        if path == f"/block-height/{cursor.number}":
            return 200, str(fork).encode()
        if path == f"/block/{fork}":
            return reply[0], orjson.dumps(orjson.loads(reply[1]) | {"height": cursor.number})
        return reply

    site.api.change = forked
    half_dead = site.over(["http://u:p@127.0.0.1:1"], [site.api_url])
    with pytest.raises(NodesContradict):
        await site.run(half_dead)
    assert await site.funds() == (D(1), D(0))
    with pytest.raises(NodesContradict):
        await site.run()
    assert await site.funds() == (D(1), D(0))
    assert "different blocks" in (await site.problem() or "") or "contradict" in (await site.problem() or "")
    await half_dead.close()


async def test_a_node_with_a_shorter_chain_and_one_of_another_chain_change_nothing(
    site: BitcoinSite, tmp_path: Path
) -> None:
    await site.nodes.pay(site.address, BTC, mine=REQUIRED)
    await site.run()
    assert await site.funds() == (D(1), D(0))
    async with litecoind(tmp_path) as short_url:
        short = site.over([short_url], [])
        await site.run(short)
        assert "behind block" in (await site.problem() or "")
        assert ((await site.row()).status, await site.funds()) == (S.CREDITED, (D(1), D(0)))
        await short.close()
        rpc = JsonRpc(short_url)
        await House(rpc).mine(await site.nodes.call("getblockcount") + 5 - 101)
        await rpc.close()
        longer = site.over([short_url, site.url], [])
        with pytest.raises(NodesContradict):
            await site.run(longer)
        assert ((await site.row()).status, await site.funds()) == (S.CREDITED, (D(1), D(0)))
        await longer.close()
    await site.run()
    assert await site.world.custody.deposit_reads.problem("bitcoin") is None


async def test_a_chain_that_is_down_is_said_and_changes_nothing(site: BitcoinSite) -> None:
    dead = site.over(["http://u:p@127.0.0.1:1"], [])
    with pytest.raises(ChainError):
        await site.run(dead)
    await dead.close()
    assert await site.problem() is not None
    await site.run()
    assert await site.world.custody.deposit_reads.problem("bitcoin") is None


async def test_the_first_block_is_one_that_all_nodes_have(site: BitcoinSite) -> None:
    await deposit.ChainCursorDocument.find_one({"_id": "bitcoin"}).delete()
    await site.nodes.mine(3)
    height = await site.nodes.call("getblockcount")
    behind = await site.nodes.call("getblockhash", height - 2)
    site.api.change = lambda path, reply: (200, str(behind).encode()) if path == "/blocks/tip/hash" else reply
    await site.watch().step()
    cursor = await deposit.cursor("bitcoin")
    assert cursor is not None
    assert (cursor.number, cursor.hash) == (height - 2, behind)


async def test_a_node_without_an_index_credits_deposits_and_waits_where_the_house_spends(
    database: Database, tmp_path: Path
) -> None:
    async with litecoind(tmp_path, "-txindex=0") as url, opened(url, "core") as site:
        txid = await site.nodes.pay(site.address, BTC, mine=REQUIRED)
        await site.run()
        assert await site.funds() == (D(1), D(0))
        block = await site.nodes.call("getblockhash", await site.nodes.call("getblockcount") - REQUIRED + 1)
        found = await site.nodes.call("getrawtransaction", txid, True, block)
        coin = next(each for each in found["vout"] if each["value"] == 1)
        key = site.deposit_key()
        psbt = build([Coin(Outpoint(txid, coin["n"]), BTC, key.script)], [TxOutput(key.script, BTC - 3_000)]).psbt
        await site.nodes.call("sendrawtransaction", read_signed(key.sign(psbt)).raw.hex())
        await site.nodes.mine()
        with pytest.raises(ChainError, match="txindex"):
            await site.run()
        assert "txindex" in (await site.problem() or "")
        assert len(await site.rows()) == 1
