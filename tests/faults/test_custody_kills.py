"""Withdrawals and deposits on a real chain while the processes that make them are killed: each is paid, or credited, once."""

import asyncio
import contextlib
import random
import signal
from decimal import Decimal
from pathlib import Path

import httpx
import pytest

from tests.faults.chain_gate import Hold
from tests.faults.custody_site import CustodySite, custody_site, units
from tests.faults.test_exchange_kills import chance
from tests.flows.servers import until
from tests.flows.traders import ledger_is_sound

__all__ = ["chance"]
ETH = 10**18
HOT_COINS = 100 * ETH


@pytest.mark.timeout(240)
async def test_killed_at_every_status_each_is_paid_and_credited_once(tmp_path: Path) -> None:
    async with custody_site(tmp_path) as site:
        await asked_while_the_exchange_dies(site)
        await site.asked("w2", "ETH", "1")
        await site.asked("w3", "USDC", "100")
        await site.kill("prices")
        await approved_and_held(site)
        await deposited(site)
        await signed_sent_and_confirmed(site)
        rows = [await site.settled(key) for key in ("w1", "w2", "w3")]
        assert [len({each["spends"] for each in row["attempts"]}) for row in rows] == [1, 1, 1]
        assert {row["spends"] for row in rows} == {"0", "1", "2"}
        assert await site.nonces() == (3, 3)
        coins, tokens = await site.paid()
        assert coins == units("1.5", 18) - sum(units(str(row["fee"]), 18) for row in rows if row["asset"] == "ETH")
        assert tokens == units("100", 6) - units(str(rows[2]["fee"]), 6)
        wanted = {"ETH": (Decimal("10.5"), Decimal(0)), "USDC": (Decimal(925), Decimal(0))}
        await until(site.ann.balances, lambda found: {asset: found[asset] for asset in wanted} == wanted)
        assert " 0 problems" in await ledger_is_sound(url=site.mongo_url)


async def approved_and_held(site: CustodySite) -> None:
    """Killed as soon as it may be paid, and as soon as it waits for the hot wallet's coins."""
    await site.confirm(1)
    await site.kill("withdrawals")
    await site.start("withdrawals")
    await site.comes_to("w1", "HELD")
    await site.kill("withdrawals")
    await site.fund_hot(HOT_COINS)
    await site.start("withdrawals")


async def deposited(site: CustodySite) -> None:
    """Killed when it is seen, while it is counted, and while nobody knows whether the ledger has it."""
    to = await site.deposit_address()
    await site.pay(to, tokens=25 * 10**6)
    await site.pay(to, wei=2 * ETH)
    await site.deposit_comes_to("ETH", status="SEEN")
    await site.kill("deposits")
    await site.start("deposits")
    await site.mine(5)
    await site.deposit_comes_to("ETH", status="CONFIRMING")
    await site.kill("deposits")
    site.running["exchange"].process.send_signal(signal.SIGSTOP)
    await site.mine(32)
    await site.start("deposits")
    await site.deposit_comes_to("USDC", ledger="CREDITING")
    await site.kill("deposits")
    site.running["exchange"].process.send_signal(signal.SIGCONT)
    await site.start("deposits")
    for asset in ("USDC", "ETH"):
        await site.deposit_comes_to(asset, status="CREDITED")


async def asked_while_the_exchange_dies(site: CustodySite) -> None:
    """The exchange is killed once the row is there whose funds it is to hold; the owner asks again."""
    asking = asyncio.create_task(site.ask("w1", "ETH", "0.5"))
    await until(lambda: site.withdrawal("w1"), bool)
    await site.kill("exchange")
    with contextlib.suppress(httpx.TransportError):
        await asking
    await site.start("exchange")
    await site.asked("w1", "ETH", "0.5")


async def signed_sent_and_confirmed(site: CustodySite) -> None:
    """Killed with signed bytes that nobody has, with bytes that the chain has, when that is recorded, and before it is settled."""
    for hold in Hold:
        site.gate.hold = hold
        if hold is Hold.BEFORE:
            await site.confirm(2)
            await site.confirm(3)
        await site.gate.held()
        await site.kill("withdrawals")
        await site.start("withdrawals")
    await site.comes_to("w2", "BROADCAST")
    await site.kill("withdrawals")
    await site.start("withdrawals")
    await site.comes_to("w3", "BROADCAST")
    await until(site.nonces, lambda found: found == (3, 3))
    await site.mine(32)
    await site.comes_to("w2", "CONFIRMED")
    await site.kill("withdrawals")
    await site.start("withdrawals")


@pytest.mark.soak
@pytest.mark.timeout(600)
async def test_killed_at_any_moment_each_is_paid_and_credited_once(tmp_path: Path, chance: random.Random) -> None:
    async with custody_site(tmp_path) as site:
        await site.fund_hot(HOT_COINS)
        keys = [f"w{number}" for number in range(1, 9)]
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(storm(site, chance))
            tasks.create_task(busy(site, keys, chance))
        rows = [await site.settled(key, mining=1) for key in keys]
        await until(lambda: credited(site), lambda count: count == len(keys), within=90)
        assert {row["spends"] for row in rows} == {str(nonce) for nonce in range(len(keys))}
        assert await site.nonces() == (len(keys), len(keys))
        paid = sum(units("0.1", 18) - units(str(row["fee"]), 18) for row in rows)
        assert await site.paid() == (paid, 0)
        wanted = (10 + len(keys) * (1 - Decimal("0.1")), Decimal(0))
        await until(site.ann.balances, lambda found: found["ETH"] == wanted)
        assert " 0 problems" in await ledger_is_sound(url=site.mongo_url)


async def storm(site: CustodySite, chance: random.Random) -> None:
    """Kills at any moment, also while something starts."""
    for _ in range(20):
        await asyncio.sleep(chance.random() * 6)
        name = chance.choice(("withdrawals", "deposits", "exchange"))
        await site.kill(name)
        await site.start(name)


async def busy(site: CustodySite, keys: list[str], chance: random.Random) -> None:
    """Withdrawals and deposits, and blocks in between."""
    to = await site.deposit_address()
    for number, key in enumerate(keys, start=1):
        await site.asked(key, "ETH", "0.1")
        await site.confirm(number)
        await site.pay(to, wei=ETH)
        await site.mine(chance.randint(1, 20))


async def credited(site: CustodySite) -> int:
    """How many deposits are in the balance, one block later."""
    await site.mine(1)
    found: int = await site.rows.deposits.count_documents({"status": "CREDITED"})
    return found
