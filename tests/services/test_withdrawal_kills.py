"""A withdrawal whose process dies at any moment: the next process finishes it, and ledger and chain agree.

Every outside step of the worker (the ledger, the signer, the chain, the database) is counted, and the worker is killed at each of them in turn, once before and
once after it took effect.
"""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any, TypeVar

import pytest

from core.bus import MemoryBus
from core.database import Database
from core.wallet_vocabulary import WithdrawalStatus
from models import withdrawal
from services.withdrawal_rules import Wish
from services.withdrawals import Ref, Withdrawals
from tests.accounts import CLIENT, Person, World
from tests.custody import STRANGER, SmallChain, build_steps
from tests.trading_house import TradingHouse

D = Decimal
S = WithdrawalStatus
HOT = "house:hot:ethereum"
Done = TypeVar("Done")


class Killed(BaseException):
    """The process is gone."""


class Killer:
    """Kills at the n-th step, before or after it is done; None: never."""

    def __init__(self, at: int | None, *, after: bool) -> None:
        self.at = at
        self.after = after
        self.count = 0

    def wrap(self, what: Any, *names: str) -> Any:
        """The object, with these of its methods counted as steps."""
        killer = self

        class Watched:
            def __getattr__(self, name: str) -> Any:
                found = getattr(what, name)
                return killer.watched(found) if name in names else found

        return Watched()

    def watched(self, call: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def step(*args: Any, **kwargs: Any) -> Any:
            self.count += 1
            dies = self.count == self.at
            if dies and not self.after:
                raise Killed
            result = await call(*args, **kwargs)
            if dies:
                raise Killed
            return result

        return step

    @property
    def killed(self) -> bool:
        """Whether it did."""
        return self.at is not None and self.count >= self.at


@contextmanager
def cut(withdrawals: Withdrawals, killer: Killer) -> Iterator[None]:
    """While this lasts, what a request does outside is counted too: its row, the hold, the audit log, the statuses it comes to."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(withdrawals, "_gateway", killer.wrap(withdrawals._gateway, "ask"))
        patch.setattr(withdrawals, "_audit", killer.wrap(withdrawals._audit, "record"))
        patch.setattr(withdrawals, "_changes", killer.wrap(withdrawals._changes, "move"))
        patch.setattr("services.withdrawals.withdrawal", killer.wrap(withdrawal, "insert"))
        yield


async def asked_and_confirmed(world: World, person: Person, key: str, wish: Wish, killer: Killer | None = None) -> str:
    """Ask, and follow the link in the mail; what is killed on the way is asked again under the same key. The row's id."""
    withdrawals, killer = world.custody.withdrawals, killer or Killer(None, after=False)

    async def ask() -> str:
        return (await withdrawals.request(person.viewer, key, wish, CLIENT, proven)).row.id

    async def confirm() -> None:
        await withdrawals.confirm(token)

    row_id = await _lives_on(ask, withdrawals, killer)
    token = await world.token("confirm-withdrawal")
    await _lives_on(confirm, withdrawals, killer)
    return row_id


async def _lives_on(deed: Callable[[], Awaitable[Done]], withdrawals: Withdrawals, killer: Killer) -> Done:
    try:
        with cut(withdrawals, killer):
            return await deed()
    except Killed:
        return await deed()


class Site:
    """An account with ETH, an address in its book, and a chain."""

    def __init__(self) -> None:
        bus = MemoryBus()
        self.house = TradingHouse(bus=bus)
        self.world = World(gateway=self.house.gateway, bus=bus)
        self.house.clock = self.world.clock
        self.chain = SmallChain()

    async def person(self) -> Person:
        person = await self.world.signed_up("ann@example.org")
        await self.house.give(person.user_id, "ETH", 10 * 10**18)
        await self.house.projected()
        return person

    async def address(self, person: Person) -> str:
        entry = await self.world.custody.addresses.add(person.viewer, "ethereum", STRANGER, "cold", CLIENT)
        self.world.clock.advance(25 * 3600)
        return entry.id

    async def requested(self, person: Person, key: str = "w1") -> str:
        wish = Wish("ETH", "ethereum", await self.address(person), D(1))
        found = await self.world.custody.withdrawals.request(person.viewer, key, wish, CLIENT, proven)
        await self.house.projected()
        return found.row.id

    async def approved(self, person: Person) -> str:
        row_id = await self.requested(person)
        await self.world.custody.withdrawals.confirm(await self.world.token("confirm-withdrawal"))
        return row_id

    async def sent(self) -> tuple[Person, str, Any]:
        """Somebody's withdrawal that was promised, signed and sent, and the worker that did it."""
        person = await self.person()
        row_id = await self.approved(person)
        steps = self.steps()
        for _ in range(3):
            await steps.step(row_id)
        return person, row_id, steps

    def steps(self, killer: Killer | None = None) -> Any:
        """A new life of the worker."""
        watch = killer or Killer(None, after=False)
        world = self.world
        custody = world.custody
        steps = build_steps(
            custody,
            watch.wrap(self.chain, "promise", "sign", "send", "fate"),
            gateway=watch.wrap(self.house.gateway, "ask"),
            accounts=world.funds.accounts,
            catalogue=world.catalogue,
            clock=world.clock,
        )
        steps._changes = watch.wrap(custody.withdrawal_changes, "move", "note", "keep")
        return steps

    async def until_over(self, row_id: str, killer: Killer | None = None) -> bool:
        """Work, with blocks in between, until the withdrawal needs nothing more. False when the worker was killed on the way."""
        steps = self.steps(killer)
        try:
            for _ in range(60):
                await steps.step(row_id)
                await self.house.projected()
                row = await withdrawal.by_id(row_id)
                assert row is not None
                if row.due_ms is None:
                    return True
                self.chain.mine(8)
                self.world.clock.advance(61)
        except Killed:
            return False
        raise AssertionError(f"not over: {row}")

    async def books(self, account: str) -> tuple[Decimal, Decimal, int, int]:
        """Available and held of the account, and what the hot wallet and the network's fees are in the ledger."""
        await self.house.projected()
        state = self.house.writer.exchange.state
        funds = (await self.world.funds.accounts.read(account)).balances["ETH"]
        hot, fees = (state.house[name]["ETH"] if name in state.house else 0 for name in (HOT, "house:network-fees"))
        return funds.available, funds.held, hot, fees


async def proven() -> None:
    """The owner is there."""


@pytest.fixture
async def site(database: Database) -> Site:
    site = Site()
    await site.world.accounts.load()
    return site


async def test_from_the_mail_to_the_settled_ledger(site: Site) -> None:
    async with site.house.open():
        person = await site.person()
        row_id = await site.approved(person)
        assert await site.until_over(row_id)
        row = await withdrawal.by_id(row_id)
        assert row is not None
        seen = [step.status for step in row.timeline]
        assert seen == [S.AWAITING_CONFIRMATION, S.APPROVED, S.SIGNING, S.BROADCAST, S.CONFIRMED]
        assert list(site.chain.blocks) == [row.hash]
        available, held, hot, fees = await site.books(person.user_id)
        assert (available, held) == (D(9), D(0))
        paid = int((D(1) - row.fee) * 10**18)
        assert hot == paid + site.chain.base
        assert fees == -site.chain.base


@pytest.mark.parametrize("after", [True, pytest.param(False, marks=pytest.mark.soak)])
async def test_killed_at_any_step_it_is_paid_once(site: Site, after: bool) -> None:
    async with site.house.open():
        person = await site.person()
        entry = await site.address(person)
        at, before = 1, D(10)
        while True:
            wish, killer = Wish("ETH", "ethereum", entry, D("0.1")), Killer(at, after=after)
            row_id = await asked_and_confirmed(site.world, person, f"w{at}", wish)
            assert await site.until_over(row_id, killer) or await site.until_over(row_id)
            row = await withdrawal.by_id(row_id)
            assert row is not None
            assert row.status is S.CONFIRMED
            assert row.settled
            assert len({attempt.spends for attempt in row.attempts}) == 1
            assert sum(attempt.hash in site.chain.blocks for attempt in row.attempts) == 1
            available, held, hot, fees = await site.books(person.user_id)
            before -= D("0.1")
            assert (available, held) == (before, D(0))
            assert len(site.chain.blocks) == at
            assert hot == at * int((D("0.1") - row.fee) * 10**18) - fees
            if not killer.killed:
                break
            at += 1
        assert at > 10


async def test_the_chain_refuses_it_and_the_funds_come_back(site: Site) -> None:
    async with site.house.open():
        person = await site.person()
        row_id = await site.approved(person)
        site.chain.reverts = True
        assert await site.until_over(row_id)
        row = await withdrawal.by_id(row_id)
        assert row is not None
        assert (row.status, row.settled) == (S.FAILED, True)
        available, held, hot, fees = await site.books(person.user_id)
        assert (available, held) == (D(10), D(0))
        assert (hot, fees) == (site.chain.base, -site.chain.base)


async def test_what_the_chain_has_paid_after_all_is_not_given_back(site: Site) -> None:
    async with site.house.open():
        person, row_id, steps = await site.sent()
        site.chain.mine(70)
        site.chain.reverts = True
        site.world.clock.advance(6)
        await steps.step(row_id)
        site.chain.reverts = False
        await steps.step(row_id)
        row = await withdrawal.by_id(row_id)
        assert row is not None
        assert (row.status, row.settled, row.due_ms is None) == (S.FAILED, False, False)
        assert (await site.books(person.user_id))[:2] == (D(9), D(1))


async def test_what_the_chain_has_not_paid_any_more_is_not_settled_yet(site: Site) -> None:
    async with site.house.open():
        person, row_id, steps = await site.sent()
        site.chain.mine(70)
        site.world.clock.advance(6)
        await steps.step(row_id)
        site.chain.orphan()
        await steps.step(row_id)
        row = await withdrawal.by_id(row_id)
        assert row is not None
        assert (row.status, row.settled) == (S.CONFIRMED, False)
        assert (await site.books(person.user_id))[:2] == (D(9), D(1))
        assert await site.until_over(row_id)
        assert (await site.books(person.user_id))[:2] == (D(9), D(0))


async def test_one_that_is_stuck_is_replaced_by_a_dearer_one_that_spends_the_same(site: Site) -> None:
    async with site.house.open():
        _, row_id, steps = await site.sent()
        for _ in range(3):
            site.world.clock.advance(61)
            await steps.step(row_id)
        row = await withdrawal.by_id(row_id)
        assert row is not None
        assert [attempt.fee_units for attempt in row.attempts] == [10, 11, 12, 13]
        assert {attempt.spends for attempt in row.attempts} == {"0"}
        assert row.hash == "0x0-13"
        assert await site.until_over(row_id)
        assert list(site.chain.blocks) == ["0x0-13"]


async def test_a_reorg_takes_it_back_and_the_same_bytes_are_sent_again(site: Site) -> None:
    async with site.house.open():
        person, row_id, steps = await site.sent()
        site.chain.mine(40)
        for _ in range(2):
            site.world.clock.advance(6)
            await steps.step(row_id)
        row = await withdrawal.by_id(row_id)
        assert row is not None
        assert (row.status, row.settled) == (S.CONFIRMED, True)
        site.chain.orphan()
        assert await site.until_over(row_id)
        assert len(site.chain.signed) == 1
        assert len(site.chain.blocks) == 1
        assert (await site.books(person.user_id))[0] == D(9)


async def test_a_nonce_that_something_else_took_is_left_to_an_operator(site: Site) -> None:
    async with site.house.open():
        person = await site.person()
        row_id = await site.approved(person)
        steps = site.steps()
        for _ in range(2):
            await steps.step(row_id)
        site.chain.pool.clear()
        site.chain.next_nonce = 1
        for _ in range(3):
            await steps.step(row_id)
            site.world.clock.advance(61)
        row = await withdrawal.by_id(row_id)
        assert row is not None
        assert row.status is S.HELD
        assert "operator" in (row.reason or "")
        assert len(row.attempts) == 1
        assert (await site.books(person.user_id))[:2] == (D(9), D(1))


async def test_it_waits_for_what_speaks_against_it_and_goes_on_after(site: Site) -> None:
    async with site.house.open():
        person = await site.person()
        row_id = await site.approved(person)
        site.chain.funds = 0
        steps = site.steps()
        await steps.step(row_id)
        row = await withdrawal.by_id(row_id)
        assert row is not None
        assert (row.status, row.reason) == (S.HELD, "the hot wallet has too little of it now")
        site.chain.is_down = True
        site.world.clock.advance(31)
        await steps.step(row_id)
        row = await withdrawal.by_id(row_id)
        assert row is not None
        assert "no node of ethereum answers" in (row.reason or "")
        site.chain.is_down, site.chain.funds = False, 10**30
        site.world.clock.advance(31)
        assert await site.until_over(row_id)
        assert len(site.chain.blocks) == 1


async def test_a_canceled_one_gives_the_funds_back_once(site: Site) -> None:
    async with site.house.open():
        person = await site.person()
        row_id = await site.requested(person)
        assert (await site.books(person.user_id))[:2] == (D(9), D(1))
        await site.world.custody.withdrawals.cancel(person.viewer, Ref(id=row_id), CLIENT)
        assert not await site.until_over(row_id, Killer(1, after=True))
        assert await site.until_over(row_id)
        assert (await site.books(person.user_id))[:2] == (D(10), D(0))
        assert site.chain.signed == []


async def test_one_whose_hold_nobody_knows_is_finished_by_the_worker(site: Site) -> None:
    async with site.house.open():
        person = await site.person()
        entry = await site.address(person)
        wish = Wish("ETH", "ethereum", entry, D(1))
        custody = site.world.custody
        custody.withdrawals._gateway = Killer(1, after=True).wrap(site.house.gateway, "ask")
        with pytest.raises(Killed):
            await custody.withdrawals.request(person.viewer, "w1", wish, CLIENT, proven)
        custody.withdrawals._gateway = site.house.gateway
        row = await withdrawal.by_client_id(person.user_id, "w1")
        assert row is not None
        assert not row.asked
        assert await custody.withdrawals.own(person.user_id, Ref(client_id="w1")) is None
        site.world.clock.advance(31)
        await site.steps().step(row.id)
        found = await custody.withdrawals.own(person.user_id, Ref(client_id="w1"))
        assert found is not None
        assert found.status is S.AWAITING_CONFIRMATION
        again = await custody.withdrawals.request(person.viewer, "w1", wish, CLIENT, proven)
        assert again.replayed
        assert (await site.books(person.user_id))[:2] == (D(9), D(1))
