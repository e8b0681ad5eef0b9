"""What people ask for: orders of every type around the present price, and everything else, drawn from a random source."""

import random

from core.order_vocabulary import OrderType, SelfTradePrevention, TimeInForce, TrailingUnit, TriggerSource
from core.vocabulary import OrderSide
from events.commands import (
    AmendOrder,
    CancelAll,
    CancelGroup,
    CancelOrder,
    Command,
    HoldWithdrawal,
    MoveFunds,
    OrderWish,
    PlaceBracket,
    PlaceOco,
    PlaceOrder,
    SetCancelTimer,
)
from events.journal import MarketConfigured
from exchange.accounts import House
from exchange.order import WITH_STOP
from tests.exchange.floor import EXACT, FUNDS, ROUNDING, SYMBOLS, wish

BUY, SELL = OrderSide.BUY, OrderSide.SELL
MARKETS = (EXACT, ROUNDING)
PRICES = {EXACT.symbol: 1_000, ROUNDING.symbol: 100_000}
"""In ticks, at first."""
_TYPES = {
    OrderType.LIMIT: 10,
    OrderType.MARKET: 4,
    OrderType.STOP_LOSS: 2,
    OrderType.STOP_LOSS_LIMIT: 2,
    OrderType.TAKE_PROFIT: 1,
    OrderType.TAKE_PROFIT_LIMIT: 1,
    OrderType.TRAILING_STOP: 3,
}


class Wishes:
    """One person's. `prices` are the present ones; `orders` and `groups` are what the person has placed, newest last."""

    def __init__(self, account: str, randomness: random.Random, prices: dict[str, int]) -> None:
        self.account = account
        self.orders: list[int] = []
        self.groups: list[int] = []
        self.keys: list[str] = []
        self._random = randomness
        self._prices = prices

    def key(self) -> str:
        """A key that was not used yet."""
        self.keys.append(f"{self.account}-{len(self.keys)}")
        return self.keys[-1]

    def anything(self, now_ms: int) -> Command:
        """Something that this person might do now."""
        drawn = self._random.random()
        if drawn < 0.5:
            return self.order(now_ms)
        if drawn < 0.58:
            return self._oco()
        if drawn < 0.66:
            return self._bracket(now_ms)
        if drawn < 0.78:
            return self._cancel()
        if drawn < 0.87:
            return self._amend(now_ms)
        if drawn < 0.91:
            return self._withdraw()
        return self._other()

    def order(self, now_ms: int) -> PlaceOrder:
        """Place an order."""
        return self._placed(self.key(), self._wish(now_ms))

    def modest(self) -> PlaceOrder:
        """An order that nothing speaks against and that only rests."""
        price = self._prices[EXACT.symbol] * 9 // 10
        return self._placed(self.key(), wish(BUY, OrderType.LIMIT, lots=10, price=price))

    def again(self, command: Command, now_ms: int) -> Command | None:
        """The same key with other content, where there is a key."""
        if isinstance(command, PlaceOrder):
            return self._placed(command.client_id, self._wish(now_ms))
        if isinstance(command, MoveFunds):
            return self._moved(command.key, command.asset, command.units + 1)
        if isinstance(command, HoldWithdrawal):
            return self._held(command.key, command.asset, command.units + 1)
        return None

    def funds(self, asset: str, units: int) -> MoveFunds:
        """Test funds, or back with them."""
        return self._moved(self.key(), asset, units)

    def _placed(self, key: str, asked: OrderWish) -> PlaceOrder:
        return PlaceOrder(self.account, key, f"digest of {tuple(asked)}", asked)

    def _moved(self, key: str, asset: str, units: int) -> MoveFunds:
        return MoveFunds(self.account, House.TEST_FUNDS, asset, units, key, f"digest of {asset} {units}")

    def _withdraw(self) -> HoldWithdrawal:
        asset = self._random.choice(sorted(FUNDS))
        return self._held(self.key(), asset, FUNDS[asset] // self._random.choice((1, 10, 1_000, 10_000_000)))

    def _held(self, key: str, asset: str, units: int) -> HoldWithdrawal:
        return HoldWithdrawal(self.account, asset, units, key, f"digest of {asset} {units} going out")

    def _near(self, rules: MarketConfigured, per_mille: int = 8) -> int:
        price = self._prices[rules.symbol]
        return price + price * self._random.randint(-per_mille, per_mille) // 1_000

    def _lots(self) -> int:
        return self._random.choice((1, 2, 5, 10, 20, 40, self._random.randint(1, 400)))

    def _wish(self, now_ms: int) -> OrderWish:
        draw = self._random
        rules = draw.choice(MARKETS)
        kind = draw.choices(list(_TYPES), list(_TYPES.values()))[0]
        limit = kind is OrderType.LIMIT
        force = draw.choices(list(TimeInForce), (12, 2, 1, 2))[0] if "LIMIT" in kind else TimeInForce.GTC
        asked = wish(
            draw.choice((BUY, SELL)), kind, rules=rules, lots=self._lots(),
            price=self._near(rules) if "LIMIT" in kind else None,
            stop=self._near(rules) if kind in WITH_STOP else None,
            display=draw.randint(1, 10) if limit and draw.random() < 0.1 else None,
            post_only=limit and draw.random() < 0.1,
            self_trade=draw.choice(list(SelfTradePrevention)),
            time_in_force=force,
        )  # fmt: skip
        if force is TimeInForce.GTD:
            asked = asked._replace(good_till_ms=now_ms + draw.randint(100, 30_000))
        if kind is OrderType.MARKET and draw.random() < 0.3:
            asked = asked._replace(quantity=None, quote_quantity=draw.randint(1, 100) * 10**18)
        if kind in WITH_STOP and draw.random() < 0.3:
            asked = asked._replace(source=TriggerSource.MARK)
        return self._trailing(asked, rules) if kind is OrderType.TRAILING_STOP else asked

    def _trailing(self, asked: OrderWish, rules: MarketConfigured) -> OrderWish:
        draw = self._random
        if draw.random() < 0.5:
            asked = asked._replace(trail=draw.randint(1_000, 10_000), trail_unit=TrailingUnit.PERCENT)
        else:
            asked = asked._replace(trail=self._prices[rules.symbol] // 1_000 * draw.randint(1, 8) * rules.tick)
        if draw.random() < 0.3:
            asked = asked._replace(activation_price=self._near(rules) * rules.tick)
        return asked

    def _exits(self, rules: MarketConfigured, side: OrderSide, lots: int) -> tuple[OrderWish, OrderWish]:
        """A limit and a stop of this side, each on its side of the price."""
        price, far = self._prices[rules.symbol], self._random.randint(2, 8)
        up, down = price + price * far // 1_000, price - price * far // 1_000
        profit, stop = (up, down) if side is SELL else (down, up)
        taken = wish(side, OrderType.LIMIT, lots=lots, price=profit, rules=rules)
        if self._random.random() < 0.3 and side is SELL:
            trailing = wish(side, OrderType.TRAILING_STOP, lots=lots, rules=rules)
            return taken, trailing._replace(trail=5_000, trail_unit=TrailingUnit.PERCENT)
        return taken, wish(side, OrderType.STOP_LOSS, lots=lots, stop=stop, rules=rules)

    def _oco(self) -> PlaceOco:
        rules = self._random.choice(MARKETS)
        profit, stop = self._exits(rules, self._random.choice((BUY, SELL)), self._lots())
        return PlaceOco(self.account, self.key(), f"digest of {profit} {stop}", profit, stop)

    def _bracket(self, now_ms: int) -> PlaceBracket:
        entry = self._wish(now_ms)
        rules = EXACT if entry.symbol == EXACT.symbol else ROUNDING
        exits: tuple[OrderWish, ...] = self._exits(rules, SELL if entry.side is BUY else BUY, 1)
        if self._random.random() < 0.3:
            exits = exits[1:]
        return PlaceBracket(self.account, self.key(), f"digest of {entry} {exits}", entry, exits)

    def _cancel(self) -> Command:
        draw = self._random
        if self.groups and draw.random() < 0.3:
            return CancelGroup(self.account, draw.choice(self.groups[-6:]))
        if self.keys and draw.random() < 0.3:
            return CancelOrder(self.account, client_id=draw.choice(self.keys[-8:]))
        return CancelOrder(self.account, draw.choice(self.orders[-8:]) if self.orders else 1)

    def _amend(self, now_ms: int) -> Command:
        draw = self._random
        if not self.orders:
            return self.order(now_ms)
        rules = draw.choice(MARKETS)
        change = AmendOrder(self.account, draw.choice(self.orders[-6:]))
        drawn = draw.random()
        if drawn < 0.4:
            return change._replace(quantity=self._lots() * rules.lot)
        if drawn < 0.8:
            return change._replace(price=self._near(rules) * rules.tick)
        return change._replace(stop_price=self._near(rules) * rules.tick)

    def _other(self) -> Command:
        draw = self._random
        drawn = draw.random()
        if drawn < 0.25:
            return CancelAll(self.account, *draw.choice((((), ()), ((EXACT.symbol,), ()), ((), (BUY,)))))
        if drawn < 0.5:
            return SetCancelTimer(self.account, f"s{draw.randint(0, 1)}", draw.choice((0, 500, 3_000)), SYMBOLS[:1])
        asset = draw.choice(sorted(FUNDS))
        return self.funds(asset, draw.choice((1, -1)) * FUNDS[asset] // draw.choice((1, 100, 10_000)))
