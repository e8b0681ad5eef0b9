"""People who place orders without a pause while things are killed, and what must be true of their orders afterwards."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx

from tests.flows.traders import PLACE, PRICE, SYMBOL, Json, Trader

AT_ONCE = 4
"""Orders that each of them has on the way."""
MORE_SECONDS = 60.0
_CENTS = int(PRICE) * 100


@dataclass(frozen=True)
class Wish:
    """An order that was asked for, under its key."""

    trader: Trader
    key: str
    terms: Json

    async def ask(self) -> Json:
        """The whole answer. Raises httpx.TransportError."""
        return await self.trader.ask(PLACE, input={"clientOrderId": self.key, "order": self.terms})


@dataclass
class Load:
    """`acknowledged`: ids by wish; `unknown`: nobody said what became of them; `refused`: they changed nothing, as was said."""

    people: Sequence[Trader]
    chance: random.Random
    acknowledged: dict[str, tuple[Wish, str]] = field(default_factory=dict)
    unknown: list[Wish] = field(default_factory=list)
    refused: dict[str, Wish] = field(default_factory=dict)
    codes: Counter[str] = field(default_factory=Counter)
    _more: asyncio.Condition = field(default_factory=asyncio.Condition)
    _keys: int = 0
    _ended: bool = False

    def _wish(self, trader: Trader) -> Wish:
        """At one of a few prices, so that most of them meet another's."""
        self._keys += 1
        terms = {
            "symbol": SYMBOL,
            "side": self.chance.choice(("BUY", "SELL")),
            "type": "LIMIT",
            "quantity": f"0.00{self.chance.randint(20, 99)}",
            "price": f"{(_CENTS + self.chance.randint(-2, 2)) / 100:.2f}",
            "selfTradePrevention": "CANCEL_OLDEST",
        }
        return Wish(trader, f"{trader.email}-{self._keys}", terms)

    async def one(self, trader: Trader) -> None:
        """Ask for an order and note what became of it."""
        wish = self._wish(trader)
        try:
            body = await wish.ask()
        except (httpx.TransportError, ValueError) as error:
            self.unknown.append(wish)
            self.codes[type(error).__name__] += 1
            await asyncio.sleep(0.05)
            return
        if "errors" in body:
            self.unknown.append(wish)
            code = str(body["errors"][0]["extensions"]["code"])
        else:
            payload = body["data"]["placeOrder"]
            code = payload["errors"][0]["code"] if payload["errors"] else "ACKNOWLEDGED"
            if not payload["errors"]:
                self.acknowledged[wish.key] = (wish, payload["order"]["id"])
            elif code == "OUTCOME_UNKNOWN":
                self.unknown.append(wish)
            else:
                self.refused[wish.key] = wish
        self.codes[code] += 1
        async with self._more:
            self._more.notify_all()
        await asyncio.sleep(0 if code == "ACKNOWLEDGED" else 0.05)

    async def _go_on(self, trader: Trader) -> None:
        while not self._ended:
            await self.one(trader)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Everybody asks for one order after the other until the block ends; what is on the way then is waited for."""
        self._ended = False
        async with asyncio.TaskGroup() as group:
            for person in self.people:
                for _ in range(AT_ONCE):
                    group.create_task(self._go_on(person))
            try:
                yield
            finally:
                self._ended = True

    async def more(self, count: int) -> None:
        """Wait until so many more are acknowledged."""
        wanted = len(self.acknowledged) + count
        try:
            async with asyncio.timeout(MORE_SECONDS), self._more:
                await self._more.wait_for(lambda: len(self.acknowledged) >= wanted)
        except TimeoutError as late:
            raise AssertionError(f"{wanted - len(self.acknowledged)} of {count} did not come: {self.codes}") from late

    async def until_refused(self, *codes: str) -> str:
        """Wait until one more is refused by one of these codes; which."""
        before = Counter(self.codes)
        try:
            async with asyncio.timeout(MORE_SECONDS), self._more:
                await self._more.wait_for(lambda: any(self.codes[code] > before[code] for code in codes))
        except TimeoutError as late:
            raise AssertionError(f"none of {codes}: {self.codes - before}") from late
        return next(code for code in codes if self.codes[code] > before[code])

    async def check(self) -> None:
        """Everything that was acknowledged is there exactly once, and nothing that was refused. Unknown ones are settled by asking again."""
        await _several([self._is_kept(wish, made) for wish, made in self.acknowledged.values()])
        waiting, self.unknown = self.unknown, []
        await _several([self._settle(wish) for wish in waiting])
        for person in self.people:
            orders = await person.orders()
            keys = [order["clientOrderId"] for order in orders]
            twice = [key for key, count in Counter(keys).items() if count > 1]
            assert twice == []
            mine = {wish.key: made for wish, made in self.acknowledged.values() if wish.trader is person}
            assert {order["clientOrderId"]: order["id"] for order in orders} == mine
            assert not set(keys) & set(self.refused)

    async def _is_kept(self, wish: Wish, made: str) -> None:
        payload = await self._known(wish)
        assert (payload["errors"], payload["replayed"]) == ([], True), (wish, made, payload)
        assert payload["order"]["id"] == made, (wish, made, payload)

    async def _known(self, wish: Wish) -> Json:
        """What became of it, with the order where there is one. An order that cannot be read yet is no answer: then `staleSince` says so, and one asks again."""
        async with asyncio.timeout(MORE_SECONDS):
            while True:
                body = await wish.ask()
                assert "errors" not in body, (wish, body)
                payload: Json = body["data"]["placeOrder"]
                if payload["errors"] or payload["order"] is not None:
                    return payload
                assert "staleSince" in body["extensions"], (wish, body)

    async def _settle(self, wish: Wish) -> None:
        payload = await self._known(wish)
        if payload["errors"]:
            assert payload["errors"][0]["code"] in ("TOO_MANY_OPEN_ORDERS", "INSUFFICIENT_FUNDS"), (wish, payload)
            self.refused[wish.key] = wish
            return
        self.acknowledged[wish.key] = (wish, payload["order"]["id"])
        await self._is_kept(wish, payload["order"]["id"])


async def _several(checks: Sequence[object]) -> None:
    waiting = iter(checks)

    async def some() -> None:
        for check in waiting:
            await check  # type: ignore[misc]

    async with asyncio.TaskGroup() as group:
        for _ in range(8):
            group.create_task(some())


async def funded(people: Sequence[Trader]) -> None:
    """Enough to trade with for a test."""
    for person in people:
        await person.claim("USDT", "500000")
        await person.claim("BTC", "10")
