"""Thousands of payments that a stranger puts into one block: written once, and cheap from then on."""

from typing import Any

from core.database import Database
from core.wallet_vocabulary import DepositStatus
from models import deposit, transfer_event
from tests.deposits import FINAL, REQUIRED, USDC, D, Site, scripted
from tests.evm_nodes import OUTSIDER, Moved, ScriptedNode, Transaction

S = DepositStatus
DUST, MANY = 1, 25 * 10**6


def flood(site: Site, rows: int, units: int) -> Transaction:
    return Transaction("floods", USDC, logs=(Moved(USDC, OUTSIDER, site.address, units),) * rows)


async def logged(site: Site) -> int:
    return await transfer_event.newest(site.person.user_id)


async def test_what_is_too_small_is_written_once_and_not_followed(database: Database) -> None:
    node = ScriptedNode()
    async with scripted(node) as site:
        node.mine(flood(site, 300, DUST))
        await site.run()
        assert await deposit.open_of("ethereum") == []
        assert await logged(site) == 300
        node.mine(blocks=REQUIRED + FINAL)
        await site.run()
        assert {(row.status, row.confirmations, row.version) for row in await site.rows()} == {(S.BELOW_MINIMUM, 1, 1)}
        assert await logged(site) == 300
        assert await site.funds("USDC") == (D(0), D(0))


async def test_what_is_too_small_goes_with_its_block_and_comes_back_with_it(database: Database) -> None:
    node = ScriptedNode()
    async with scripted(node) as site:
        node.mine(flood(site, 2, DUST), blocks=2)
        await site.run()
        block = node.blocks[1]
        node.drop(2)
        node.mine(blocks=3, salt="another")
        await site.run()
        assert {(row.status, row.block) for row in await site.rows()} == {(S.ORPHANED, None)}
        node.drop(1)
        node.mine(*block.transactions, blocks=2, salt="again")
        await site.run()
        assert {(row.status, row.block, row.open) for row in await site.rows()} == {(S.BELOW_MINIMUM, 3, False)}


async def test_many_rows_are_counted_in_few_transactions_and_told_each(database: Database, monkeypatch: Any) -> None:
    node = ScriptedNode()
    async with scripted(node) as site:
        node.mine(flood(site, 450, MANY))
        await site.run()
        log: Any = site.world.custody.transfer_log
        commits, once = [], log._once

        async def counted(*args: Any) -> Any:
            commits.append(len(args[1]))
            return await once(*args)

        monkeypatch.setattr(log, "_once", counted)
        node.mine()
        await site.run()
        assert commits == [200, 200, 50]
        assert {(row.status, row.confirmations) for row in await site.rows()} == {(S.CONFIRMING, 2)}
        assert await site.told() == [(S.SEEN, 1)] * 450 + [(S.CONFIRMING, 2)] * 450
