"""Deposits on a real Ethereum node: seen, counted, credited once, given back when their block goes; whatever nodes say and wherever the process dies."""

from collections.abc import AsyncIterator, Awaitable, Callable
from decimal import Decimal

import pytest

from core.database import Database
from core.wallet_vocabulary import DepositStatus
from events.commands import MoveFunds
from integrations.chains.errors import ChainError, NodesContradict
from tests.chains import ANVIL_ADDRESSES, anvil
from tests.deposits import ETH, Site, opened
from tests.evm import calldata, client_of, mine, rpc, send, token
from tests.services.test_withdrawal_kills import Killer

D = Decimal
S = DepositStatus


@pytest.fixture
async def site(database: Database) -> AsyncIterator[Site]:
    async with opened() as made:
        yield made


async def test_seen_counted_and_credited(site: Site) -> None:
    await send(site.chain, site.address, value=2 * ETH)
    await site.run()
    row = await site.row()
    assert (row.status, row.amount, row.confirmations) == (S.SEEN, D(2), 1)
    assert await site.funds() == (D(0), D(0))
    await mine(site.chain, 2)
    await site.run()
    assert (await site.row()).status is S.CONFIRMING
    await mine(site.chain, 1)
    await site.run()
    row = await site.row()
    assert (row.status, row.confirmations, row.open) == (S.CREDITED, 4, True)
    assert await site.funds() == (D(2), D(0))
    assert site.reserve() == 2 * ETH
    await mine(site.chain, 4)
    await site.run()
    assert not (await site.row()).open
    counted = [(S.CONFIRMING, confirmations) for confirmations in (2, 3, 4)]
    assert await site.told() == [(S.SEEN, 1), *counted, (S.CREDITED, 4)]


async def test_tokens_dust_and_what_is_not_ours(site: Site) -> None:
    await send(site.chain, site.usdc, calldata("transfer(address,uint256)", site.address, 25 * 10**6))
    await send(site.chain, site.usdc, calldata("transfer(address,uint256)", site.address, 10**6))
    await send(site.chain, site.usdc, calldata("transfer(address,uint256)", ANVIL_ADDRESSES[1], 10**6))
    await send(site.chain, site.address, value=10**14)
    worthless = await token(site.chain, "FAKE")
    await send(site.chain, worthless, calldata("transfer(address,uint256)", site.address, 10**9))
    await mine(site.chain, 8)
    await site.run()
    found = sorted((row.asset, row.amount, row.status) for row in await site.rows())
    assert found == [
        ("ETH", D("0.0001"), S.BELOW_MINIMUM),
        ("USDC", D(1), S.BELOW_MINIMUM),
        ("USDC", D(25), S.CREDITED),
    ]
    assert await site.funds("USDC") == (D(25), D(0))
    assert await site.funds() == (D(0), D(0))


async def test_an_address_is_found_however_new_and_is_nobody_elses(site: Site) -> None:
    bob, address = await site.newcomer("bob@example.org")
    assert address != site.address
    again, _ = await site.world.custody.deposit_addresses.create(bob.viewer, "ethereum")
    assert again.address == address
    await send(site.chain, address, value=ETH)
    await mine(site.chain, 3)
    await site.run()
    await site.house.projected()
    assert (await site.world.funds.accounts.read(bob.user_id)).balances["ETH"].available == 1
    assert await site.rows() == []


async def test_a_reorg_before_it_was_credited_leaves_nothing(site: Site) -> None:
    await send(site.chain, site.address, value=2 * ETH)
    await mine(site.chain, 2)
    await site.run()
    await rpc(site.chain, "anvil_reorg", 3, [])
    await site.run()
    row = await site.row()
    assert (row.status, row.confirmations, row.block) == (S.ORPHANED, 0, None)
    await mine(site.chain, 8)
    await site.run()
    assert (await site.row()).status is S.ORPHANED
    assert await site.funds() == (D(0), D(0))


async def test_a_reorg_after_it_was_credited_takes_it_back_and_leaves_a_debt(site: Site) -> None:
    await send(site.chain, site.address, value=2 * ETH)
    await mine(site.chain, 3)
    await site.run()
    assert await site.funds() == (D(2), D(0))
    await site.world.custody.deposits._gateway.ask(_spend(site.person.user_id, ETH))
    await rpc(site.chain, "anvil_reorg", 4, [])
    await mine(site.chain, 2)
    await site.run()
    assert (await site.row()).status is S.REVERSED
    assert await site.funds() == (D(0), D(1))
    assert site.reserve() == 0
    await send(site.chain, site.address, value=3 * ETH)
    await mine(site.chain, 3)
    await site.run()
    assert await site.funds() == (D(2), D(0))


async def test_the_same_transaction_in_another_block_is_credited_again_once(site: Site) -> None:
    await send(site.chain, site.address, value=2 * ETH)
    await mine(site.chain, 3)
    await site.run()
    first = await site.row()
    height = await site.chain.block()
    assert height is not None
    raw = await rpc(site.chain, "eth_getRawTransactionByHash", first.hash)
    await rpc(site.chain, "anvil_reorg", 4, [[raw, 1]])
    await mine(site.chain, 8)
    await site.run()
    row = await site.row()
    assert row.hash == first.hash
    assert row.block_hash != first.block_hash
    assert row.status is S.CREDITED
    assert await site.funds() == (D(2), D(0))
    assert site.reserve() == 2 * ETH


@pytest.mark.parametrize("after", [True, pytest.param(False, marks=pytest.mark.soak)])
async def test_killed_at_any_step_it_is_credited_once(site: Site, after: bool) -> None:
    at = 1
    while True:
        await send(site.chain, site.address, value=ETH)
        await mine(site.chain, 4)
        was_killed = not await site.run(killer=Killer(at, after=after))
        await site.run()
        assert await site.funds() == (D(at), D(0))
        assert site.reserve() == at * ETH
        if not was_killed:
            break
        at += 1
    assert at > 10


async def test_nodes_that_contradict_credit_nothing_until_they_agree(site: Site) -> None:
    async with anvil() as other_url:
        other = client_of(other_url)
        await mine(other, 100)
        both = client_of(site.url, other_url)
        await send(site.chain, site.address, value=2 * ETH)
        await mine(site.chain, 8)
        with pytest.raises(NodesContradict):
            await _until_raises(lambda: site.run(both))
        assert await site.funds() == (D(0), D(0))
        await both.close()
        await other.close()
    await site.run()
    assert await site.funds() == (D(2), D(0))


async def _until_raises(run: Callable[[], Awaitable[bool]]) -> None:
    """Blocks that both nodes have are taken in; at the first they do not share, the watcher cannot follow the one that is asked first."""
    for _ in range(3):
        await run()
    raise NodesContradict("nothing was credited while they differ")


async def test_a_node_that_was_set_back_takes_nothing_back(site: Site) -> None:
    await send(site.chain, site.address, value=2 * ETH)
    await mine(site.chain, 8)
    await site.run()
    assert await site.funds() == (D(2), D(0))
    async with anvil() as other_url:
        short = client_of(other_url)
        await site.run(short)
        assert await site.funds() == (D(2), D(0))
        assert (await site.row()).status is S.CREDITED
        await short.close()


async def test_a_chain_that_is_down_is_said_and_changes_nothing(site: Site) -> None:
    dead = client_of("http://127.0.0.1:1")
    with pytest.raises(ChainError):
        await site.run(dead)
    await dead.close()


def _spend(account: str, units: int) -> MoveFunds:
    return MoveFunds(account, "house:test-funds", "ETH", -units, "spent", "spent")
