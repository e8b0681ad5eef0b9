"""What comes to the exchange from elsewhere: the references' prices and books, and what operators do."""

import asyncio
from typing import TYPE_CHECKING

from core.vocabulary import MarketStatus, PriceSource
from events.commands import (
    Command,
    FreezeAccount,
    ReferenceBook,
    ReferenceLost,
    ReferencePrice,
    SetFeeTier,
    SetMarketStatus,
)
from events.journal import MarketConfigured
from exchange.market import ATTO
from tests.exchange.floor import SYMBOLS
from tests.simulation.wishes import MARKETS

if TYPE_CHECKING:
    from tests.simulation.world import World


class References:
    """A walk of prices, told to every process that may write."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._random = world.random("references")
        self.is_silent = False

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(self._random.uniform(0.05, 0.4))
            told = [command for rules in MARKETS for command in self._news(rules)]
            if self.is_silent:
                continue
            for process in self._world.processes.values():
                process.references.tell(told)

    def _news(self, rules: MarketConfigured) -> list[Command]:
        draw, symbol = self._random, rules.symbol
        drawn = draw.random()
        if drawn < 0.02:
            return [ReferenceLost(symbol)]
        if drawn < 0.5:
            step = draw.choice((1, 1, 1, 4)) * draw.randint(-2, 2)
            self._world.prices[symbol] = max(100, self._world.prices[symbol] * (1_000 + step) // 1_000)
            price, now_ms = self._world.prices[symbol] * rules.tick, self._world.clock.now_ms()
            last = ReferencePrice(symbol, price, PriceSource.KRAKEN, now_ms)
            return [last, last._replace(is_mark=True)] if drawn < 0.4 else [last]
        return [self._book(rules)] if drawn < 0.7 else []

    def _book(self, rules: MarketConfigured) -> ReferenceBook:
        draw, price = self._random, self._world.prices[rules.symbol]
        away = [1 + price * (1 + place) // 1_000 for place in range(3)]
        bids = tuple(((price - step) * rules.tick, draw.randint(0, 60) * rules.lot) for step in away)
        asks = tuple(((price + step) * rules.tick, draw.randint(0, 60) * rules.lot) for step in away)
        limit = 3_000 * rules.lot * 10**rules.base_scale // ATTO
        return ReferenceBook(rules.symbol, bids, asks, draw.random() < 0.7, inventory_limit=limit)


class Operators:
    """They halt markets and let them go on, freeze accounts and set fees."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._random = world.random("operators")

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(self._random.expovariate(1 / 8))
            command = self._command()
            await self._world.records.insist(self._world.gateway, command, 3)
            if isinstance(command, FreezeAccount) or self._random.random() < 0.7:
                await asyncio.sleep(self._random.random() * 2)
                await self._world.records.insist(self._world.gateway, _undone(command), 30)

    def _command(self) -> Command:
        draw = self._random
        account = draw.choice(self._world.people).wishes.account
        drawn = draw.random()
        if drawn < 0.4:
            return SetMarketStatus(draw.choice(SYMBOLS), draw.choice(list(MarketStatus)), "a test")
        if drawn < 0.8:
            return FreezeAccount(account, True)
        return SetFeeTier(account, draw.randint(0, 1_000), draw.randint(0, 2_000))


def _undone(command: Command) -> Command:
    if isinstance(command, SetMarketStatus):
        return command._replace(status=MarketStatus.TRADING)
    return command._replace(frozen=False) if isinstance(command, FreezeAccount) else command
