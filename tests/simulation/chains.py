"""What happens on chains: deposits come in and are taken back, withdrawals leave or do not, and the house moves its own funds.

Who watches a chain is a program as well: it asks again while it cannot know, now and then twice at once, and now and then with other content.
"""

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from events.commands import (
    Command,
    CreditDeposit,
    HoldWithdrawal,
    MoveHouseFunds,
    ReleaseWithdrawal,
    RepayDebt,
    ReverseDeposit,
    SettleWithdrawal,
)
from exchange.accounts import House, cold_reserve, hot_reserve
from exchange.state import State
from tests.exchange.floor import FUNDS
from tests.simulation.people import Attempt

if TYPE_CHECKING:
    from tests.simulation.world import World

CHAINS = ("ethereum", "bitcoin")


@dataclass(frozen=True, slots=True)
class Held:
    """A withdrawal that was acknowledged."""

    id: int
    account: str
    units: int


class Chains:
    """Everything that the watchers and signers of all chains ask for."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._random = world.random("chains")
        self._credited: list[CreditDeposit] = []
        self._held: list[Held] = []
        self._reversed: list[tuple[str, str]] = []
        self._seen = 0
        self._unanswered: list[Attempt] = []
        self._keys = 0

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as asking:
            while True:
                await asyncio.sleep(self._random.expovariate(1.5))
                self._look()
                asking.create_task(self._ask(self._command()))

    async def _ask(self, command: Command) -> None:
        draw, world = self._random, self._world
        commands = [command]
        if draw.random() < 0.2:
            commands.append(command if draw.random() < 0.6 else self._other(command))
        asked = [world.records.insist(world.gateway, each, draw.choice((1, 8, 30))) for each in commands]
        for attempt in await asyncio.gather(*asked):
            if isinstance(attempt.command, CreditDeposit) and attempt.answer is not None and attempt.code is None:
                self._credited.append(attempt.command)

    def _look(self) -> None:
        """Learn of withdrawals that people have asked for."""
        attempts = self._world.records.attempts
        new = [each for each in attempts[self._seen :] if isinstance(each.command, HoldWithdrawal)]
        self._seen = len(attempts)
        waiting, self._unanswered = [*self._unanswered, *new], []
        for attempt in waiting:
            if attempt.answer is None:
                self._unanswered.append(attempt)
            self._held += _held(attempt)

    def _command(self) -> Command:
        draw = self._random
        drawn = draw.random()
        if drawn < 0.3:
            return self._deposit()
        if drawn < 0.45 and self._credited:
            return self._spending(draw.choice(self._credited[-4:]))
        if drawn < 0.6 and self._credited:
            return self._reversal(self._credited.pop(-draw.randint(1, min(4, len(self._credited)))))
        if drawn < 0.7:
            return RepayDebt(*draw.choice(self._debtors() or [self._whose()]))
        if drawn < 0.9 and self._held:
            return self._ending(draw.choice(self._held[-12:]))
        source, target = draw.sample((hot_reserve(CHAINS[0]), cold_reserve(CHAINS[0]), House.NETWORK_FEES), 2)
        units = draw.randint(1, 10**6)
        return MoveHouseFunds(source, target, draw.choice(sorted(FUNDS)), units, self._key(), f"{source} {units}")

    def _deposit(self) -> CreditDeposit:
        draw = self._random
        account, asset = self._whose()
        units = FUNDS[asset] // draw.choice((1, 100, 10_000, 10_000_000))
        chain = hot_reserve(draw.choice(CHAINS))
        return CreditDeposit(account, asset, units, chain, self._key(), f"in {units}")

    def _spending(self, credited: CreditDeposit) -> HoldWithdrawal:
        """Somebody takes out what came in, and all else there is, before it turns out that it did not."""
        account, asset, units, _, _, _ = credited
        known = self._newest().accounts.get(account)
        if known is not None:
            units = max(1, known.balances[asset].available if asset in known.balances else 1)
        return HoldWithdrawal(account, asset, units, f"out-{self._random.getrandbits(40)}", f"out {units}")

    def _reversal(self, credited: CreditDeposit) -> ReverseDeposit:
        account, asset, units, house, key, _ = credited
        self._reversed.append((account, asset))
        return ReverseDeposit(account, asset, units, house, f"{key}:reversed", f"back {units}")

    def _ending(self, held: Held) -> SettleWithdrawal | ReleaseWithdrawal:
        draw, key = self._random, f"§withdrawal:{held.id}"
        if draw.random() < 0.6:
            fee = draw.choice((0, 1, held.units))
            return SettleWithdrawal(held.account, held.id, hot_reserve(CHAINS[0]), fee, key, f"settled {fee}")
        return ReleaseWithdrawal(held.account, held.id, key, "released")

    def _other(self, command: Command) -> Command:
        """The same key with other content, where there is one that is sound."""
        match command:
            case SettleWithdrawal():
                return ReleaseWithdrawal(command.account, command.withdrawal, command.key, "released")
            case ReleaseWithdrawal():
                house = hot_reserve(CHAINS[0])
                return SettleWithdrawal(command.account, command.withdrawal, house, 0, command.key, "settled 0")
            case CreditDeposit() | ReverseDeposit() | MoveHouseFunds():
                return command._replace(units=command.units + 1, digest=f"{command.digest} and one")
        return command

    def _newest(self) -> State:
        """What the newest writer knows, as somebody who looks at balances first."""
        writers = self._world.ground.writers
        return writers[-1].exchange.state if writers else State()

    def _debtors(self) -> list[tuple[str, str]]:
        """Accounts and assets of which something is owed and available."""
        return [
            (account.id, asset)
            for account in self._newest().accounts.values()
            for asset in account.debts
            if asset in account.balances and account.balances[asset].available
        ]

    def _whose(self) -> tuple[str, str]:
        """An account and an asset; often one that may owe of it."""
        draw = self._random
        if self._reversed and draw.random() < 0.6:
            return draw.choice(self._reversed[-5:])
        return draw.choice(self._world.people).wishes.account, draw.choice(sorted(FUNDS))

    def _key(self) -> str:
        self._keys += 1
        return f"§chain:{self._keys}"


def _held(attempt: Attempt) -> list[Held]:
    command, answer = attempt.command, attempt.answer
    if not isinstance(command, HoldWithdrawal) or answer is None or answer.refusal is not None:
        return []
    return [Held(answer.made, command.account, command.units)]
