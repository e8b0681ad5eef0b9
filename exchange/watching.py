"""What the reference says, and what follows from it: stops fire and trail, the house's quotes move."""

from core.order_vocabulary import OrderErrorCode, TriggerSource
from core.vocabulary import OrderSide, PriceSource
from events import commands, journal
from exchange.house import Quotes
from exchange.market import Market
from exchange.matching import Emit, Matcher
from exchange.order import Order
from exchange.references import Known, References
from exchange.state import State
from exchange.trailing import stop_of
from exchange.walk import shifted
from exchange.words import LAST, SELL, TRADING

Code = OrderErrorCode


class Watch:
    """Keeps what is known of every market's reference."""

    def __init__(self, state: State, matcher: Matcher, emit: Emit) -> None:
        self._state = state
        self._matcher = matcher
        self._emit = emit
        self._references: dict[str, References] = {}

    def references(self, symbol: str) -> References:
        """What is known of a market's reference."""
        references = self._references.get(symbol)
        if references is None:
            references = References(self._state.markets.get(symbol))
            if symbol in self._state.markets:
                self._references[symbol] = references
        return references

    def around(self, market: Market) -> int:
        """The price in ticks that limits are measured by: the last of the reference, the own last trade without one; 0: none."""
        references = self._references.get(market.symbol)
        return market.last if references is None or references.last is None else references.last.price

    def price(self, command: commands.ReferencePrice) -> None:
        """Take an accepted price: stops it reaches fire, those that trail follow it."""
        market = self._state.markets[command.symbol]
        source = TriggerSource.MARK if command.is_mark else TriggerSource.LAST
        known = Known(command.price // market.tick, command.source, command.time_ms)
        before = self.references(market.symbol).take(source, known)
        self._judge(market, source, known, before.price if before is not None else 0)

    def own_trade(self, market: Market, before: int, now_ms: int) -> None:
        """Judge a market that has no reference by its own last trade; `before` is the one before (in ticks, 0: none)."""
        if self.references(market.symbol).are_own():
            self._judge(market, LAST, Known(market.last, PriceSource.EXCHANGE, now_ms), before)

    def _judge(self, market: Market, source: TriggerSource, known: Known, before: int) -> None:
        if market.status is TRADING:
            for order in self._state.triggers[market.symbol].fired(source, known.price):
                if order.terms.trail:
                    self.follow(order, known)
                else:
                    self._trigger(order, known, before, order.terms.stop, 0)
            for side in OrderSide:
                self._trail(market, source, side, known, before)

    def follow(self, order: Order, known: Known | None) -> None:
        """Let a stop trail from this price on, unless it is over."""
        if known is not None and order.id in self._state.orders:
            self._emit(journal.TrailStarted(order.id, known.price, known.source, known.time_ms))

    def _trail(self, market: Market, source: TriggerSource, side: OrderSide, known: Known, before: int) -> None:
        """Move the stops that trail, then fire those that the price has come back to."""
        followers = self._state.trailing[market.symbol].of(source, side)
        if followers.is_high(known.price):
            self._emit(journal.ReferenceExtreme(market.symbol, source, side, known.price, known.source, known.time_ms))
        sign = 1 if side is SELL else -1
        for order, peak in followers.fired(known.price):
            stop = sign * stop_of(sign * peak, order.terms.trail, order.terms.trail_unit)
            self._trigger(order, known, before, stop, peak)

    def _trigger(self, order: Order, known: Known, before: int, stop: int, peak: int) -> None:
        """Let a stop become an order, unless another one's trades have ended it."""
        if order.id not in self._state.orders:
            return
        if order.shares and order.group is not None:
            self._matcher.end_group(order.group, Code.CANCELED_BY_GROUP, but=order)
        price = order.terms.price or shifted(stop, order.market.band_ppm, order.terms.side)
        self._emit(journal.OrderTriggered(order.id, price, known.price, before, peak, known.source, known.time_ms))
        self._matcher.activate(order)

    def book(self, command: commands.ReferenceBook) -> None:
        """Mirror the reference's book."""
        market = self._state.markets[command.symbol]
        quotes = self._matcher.quotes.get(market.symbol)
        if quotes is None:
            quotes = self._matcher.quotes[market.symbol] = Quotes()
        quotes.take(market, command)
        if market.status is TRADING:
            for side in OrderSide:
                self._matcher.move_through(market, quotes, side)

    def lose(self, command: commands.ReferenceLost) -> None:
        """Believe nothing of a market's reference until it speaks again."""
        self.references(command.symbol).lose()
        if command.symbol in self._matcher.quotes:
            self._matcher.quotes[command.symbol].clear()
