"""A process that is told of a Solana node and a deposit address takes deposits there: from the settings to the balance, by the real worker."""

import asyncio
from contextlib import AsyncExitStack, suppress

from solders.keypair import Keypair

from core.database import Database
from core.settings import Settings
from core.wallet_vocabulary import DepositStatus
from events.transfer import DepositState
from integrations.chains.solana.instructions import Memo, SolTransfer, encode
from models import deposit
from server.chains import open_chains
from server.custody import Custody, CustodyGround, open_custody
from services.viewer import Viewer
from tests.custody import SOLANA_HOUSE
from tests.deposits_solana import SOL, SolanaSite, opened
from workers.leased import run_all


async def test_from_the_settings_to_the_balance(database: Database) -> None:
    async with opened(nodes=2) as site, AsyncExitStack() as stack:
        custody = _process(site, stack)
        await deposit.ChainCursorDocument.find_one({"_id": "solana"}).delete()
        worker = asyncio.create_task(run_all(custody.workers["deposits"]))
        try:
            async with asyncio.timeout(30):
                viewer = site.person.viewer
                memo = await _memo(custody, viewer)
                sender = Keypair()
                site.chain.airdrop(sender.pubkey(), 10 * SOL)
                paid = encode(SolTransfer(str(sender.pubkey()), SOLANA_HOUSE, 2 * SOL))
                site.chain.run([paid, encode(Memo(memo))], sender)
                site.chain.finalize()
                states = custody.services.deposit_reads.watch(viewer.user_id)
                site.world.clock.advance(5)
                async for state in states:
                    if state.status is DepositStatus.CREDITED:
                        break
        finally:
            worker.cancel()
            with suppress(asyncio.CancelledError):
                await worker
        assert isinstance(state, DepositState)
        assert await site.funds() == 2
        assert await custody.services.addresses._is_ours("solana", SOLANA_HOUSE)


def _process(site: SolanaSite, stack: AsyncExitStack) -> Custody:
    """Custody as a process opens it, on the exchange of the site."""
    settings = Settings(
        _env_file=None,
        blockchain_network="local",
        solana_rpc_url=",".join(node.url for node in site.nodes),
        deposit_addresses=f"solana={SOLANA_HOUSE}",
    )
    world = site.world
    ground = CustodyGround(
        clock=world.clock,
        bus=world.bus,
        catalogue=world.catalogue,
        chains=open_chains(settings, world.catalogue, world.clock, stack),
        gateway=site.house.gateway,
        accounts=world.funds.accounts,
        marks=world.marks,
        valuation=world.funds.valuation,
        audit=world.accounts.audit,
        in_control=world.accounts.wallet_control.recheck_address,
        holder="this process",
    )
    return open_custody(settings, ground, stack)


async def _memo(custody: Custody, viewer: Viewer) -> str:
    """Once the worker has begun to read the chain."""
    while await deposit.cursor("solana") is None:
        await asyncio.sleep(0)
    place, _ = await custody.services.deposit_addresses.create(viewer, "solana")
    assert place.memo is not None
    return place.memo
