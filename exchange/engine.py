"""Decides what commands do. Everything it decides is an event that `State.evolve` lets happen at once; `take_events` hands them to the
journal. A refused command makes no event, changes nothing and uses up no key.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from core.order_vocabulary import OrderErrorCode, OrderGroupKind, OrderStatus, TriggerSource
from core.vocabulary import MarketStatus, OrderSide, PriceSource
from events import commands, journal
from exchange.accounts import Account, House
from exchange.amendments import amendment
from exchange.checks import Admitted, admission, dearest, exits_of, fees_of, market_refusal, oco_hold, terms_of
from exchange.groups import Group
from exchange.house import Quotes
from exchange.market import Market
from exchange.matching import Matcher
from exchange.order import Order
from exchange.references import Known, References
from exchange.refusal import Refusal
from exchange.state import State, group_hold
from exchange.trailing import stop_of
from exchange.walk import shifted

Code = OrderErrorCode


@dataclass(slots=True)
class Reply:
    """What a command did. `order` is as it stood when the command ended; `made` is the sequence a used key led to."""

    refusal: Refusal | None = None
    order: Order | None = None
    made: int = 0
    replayed: bool = False
    ended: Sequence[Order] = ()


class Exchange:
    """The core: durable state, what is known of the references, and the events not taken yet."""

    def __init__(self, state: State | None = None) -> None:
        self.state = state or State()
        self.references: dict[str, References] = {}
        self._matcher = Matcher(self.state, self._emit)
        self._events: list[journal.Event] = []

    def execute(self, command: commands.Command, now_ms: int) -> Reply:
        """Do what is asked, or refuse it."""
        reply = _EXECUTE[type(command)](self, command, now_ms)
        if self._matcher.filled:
            self._protect()
        return reply

    def take_events(self) -> list[journal.Event]:
        """What happened since the last call, in order."""
        events, self._events = self._events, []
        return events

    def quotes(self, symbol: str) -> Quotes | None:
        """What the house quotes in a market, if it ever did."""
        return self._matcher.quotes.get(symbol)

    def start_writer(self, epoch: int) -> None:
        """Let a new writer begin."""
        self._emit(journal.WriterStarted(epoch))

    def _emit(self, event: journal.Event) -> None:
        self.state.evolve(event)
        self._events.append(event)

    def _place(self, command: commands.PlaceOrder, now_ms: int) -> Reply:
        met = self._meet(command, command.wish)
        if isinstance(met, Reply):
            return met
        account, market = met
        references = self._references(market.symbol)
        terms = terms_of(market, command.wish, references, now_ms)
        if isinstance(terms, Refusal):
            return Reply(terms)
        maker_ppm, taker_ppm = fees_of(account, market)
        admitted = admission(
            market,
            account,
            terms,
            command.wish,
            references=references,
            house=self._matcher.offered(market, terms.side),
            maker_ppm=maker_ppm,
            taker_ppm=taker_ppm,
        )
        if isinstance(admitted, Refusal):
            return Reply(admitted)
        order = self._accept(
            command.account, market, command.client_id, command.digest, admitted, fees=(maker_ppm, taker_ppm)
        )
        return Reply(order=order, made=order.id)

    def _meet(
        self, command: commands.PlaceOrder | commands.PlaceOco | commands.PlaceBracket, wish: commands.OrderWish
    ) -> Reply | tuple[Account, Market]:
        """The account and market of a wish, or what comes before a look at its terms: its key was used, or it may not be placed at all."""
        account = self.state.accounts.get(command.account) or Account(command.account)
        used = account.keys.get(command.client_id)
        if used is not None and used[0] == command.digest:
            return Reply(made=used[1], order=self.state.orders.get(used[1]), replayed=True)
        if account.frozen:
            return Reply(Refusal(Code.ACCOUNT_FROZEN))
        if not command.verified:
            return Reply(Refusal(Code.EMAIL_NOT_VERIFIED))
        if used is not None:
            field = "clientOrderId" if isinstance(command, commands.PlaceOrder) else "clientGroupId"
            return Reply(Refusal(Code.IDEMPOTENCY_MISMATCH, field))
        market = self.state.markets.get(wish.symbol)
        if market is None:
            return Reply(Refusal(Code.UNKNOWN_MARKET, "symbol"))
        refused = market_refusal(market, wish)
        return (account, market) if refused is None else Reply(refused)

    def _accept(
        self,
        account_id: str,
        market: Market,
        client_id: str,
        digest: str,
        admitted: Admitted,
        *,
        fees: tuple[int, int],
        group: int = 0,
    ) -> Order:
        """Let an order in, and let it trade or begin to follow a price."""
        terms = admitted.terms
        self._emit(
            journal.OrderAccepted(account_id, market.symbol, client_id, digest, terms, admitted.hold, *fees, group)
        )
        order = self.state.orders[self.state.sequence]
        if order.status is OrderStatus.OPEN:
            self._matcher.match(order)
        elif terms.trail and not terms.activation:
            newest = self._references(market.symbol).newest(terms.source)
            self._follow(order, newest or Known(market.last, PriceSource.EXCHANGE, 0))
        return order

    def _place_oco(self, command: commands.PlaceOco, now_ms: int) -> Reply:
        met = self._meet(command, command.profit)
        if isinstance(met, Reply):
            return met
        account, market = met
        exits = exits_of(market, (command.profit, command.stop), self._references(market.symbol), now_ms)
        if isinstance(exits, Refusal):
            return Reply(exits)
        fees = fees_of(account, market)
        house = self._matcher.offered(market, command.profit.side)
        hold = oco_hold(market, account, exits, house=house, most_ppm=max(fees))
        if isinstance(hold, Refusal):
            return Reply(hold)
        group = self._accept_group(command, market, OrderGroupKind.OCO, exits, hold=hold, fees=fees)
        self._open_exits(group)
        return Reply(made=group.id)

    def _place_bracket(self, command: commands.PlaceBracket, now_ms: int) -> Reply:
        met = self._meet(command, command.entry)
        if isinstance(met, Reply):
            return met
        account, market = met
        references = self._references(market.symbol)
        terms = terms_of(market, command.entry, references, now_ms)
        if isinstance(terms, Refusal):
            return Reply(terms)
        wishes = [exit_._replace(quantity=(market.max_lots or 10**12) * market.lot) for exit_ in command.exits]
        exits = exits_of(market, wishes, References(), now_ms)
        if isinstance(exits, Refusal):
            return Reply(exits)
        fees = fees_of(account, market)
        admitted = admission(
            market,
            account,
            terms,
            command.entry,
            references=references,
            house=self._matcher.offered(market, terms.side),
            maker_ppm=fees[0],
            taker_ppm=fees[1],
        )
        if isinstance(admitted, Refusal):
            return Reply(admitted)
        exits = tuple(exit_._replace(lots=0) for exit_ in exits)
        group = self._accept_group(command, market, OrderGroupKind.BRACKET, exits, hold=0, fees=fees)
        order = self._accept(
            command.account, market, f"{command.client_id}/entry", "", admitted, fees=fees, group=group.id
        )
        return Reply(order=order, made=group.id)

    def _accept_group(
        self,
        command: commands.PlaceOco | commands.PlaceBracket,
        market: Market,
        kind: OrderGroupKind,
        exits: tuple[journal.Terms, ...],
        *,
        hold: int,
        fees: tuple[int, int],
    ) -> Group:
        self._emit(
            journal.GroupAccepted(
                command.account,
                market.symbol,
                command.client_id,
                command.digest,
                kind,
                exits[0].side,
                dearest(market, exits),
                hold,
                exits,
                *fees,
            )
        )
        return self.state.groups[self.state.sequence]

    def _open_exits(self, group: Group) -> None:
        """Let the exits of a group in, each for all of its lots."""
        for number, terms in enumerate(group.exits, 1):
            if group.lots:
                self._accept(
                    group.account.id, group.market, f"{group.client_id}/exit-{number}", "",
                    Admitted(terms._replace(lots=group.lots), 0), fees=(group.maker_ppm, group.taker_ppm), group=group.id,
                )  # fmt: skip

    def _protect(self) -> None:
        """Open or enlarge the exits of brackets whose entry has filled."""
        filled = self._matcher.filled
        while filled:
            group = filled.pop(next(iter(filled)))
            lots, market = group.unprotected, group.market
            hold = group_hold(group, group.lots + lots) - group.hold
            asset = market.quote if group.side is OrderSide.BUY else market.base
            if group.account.balance(asset).available < hold:
                self._emit(journal.GroupGrown(group.id, 0, 0))
                continue
            begins = not group.legs
            self._emit(journal.GroupGrown(group.id, lots, hold))
            if begins:
                self._open_exits(group)
            for leg in list(group.legs):
                if leg.status is not OrderStatus.TRIGGER_PENDING and leg.id in self.state.orders:
                    self._matcher.match(leg)

    def _cancel_group(self, command: commands.CancelGroup, now_ms: int) -> Reply:  # noqa: ARG002
        account = self.state.accounts.get(command.account)
        used = account.keys.get(command.client_id) if account is not None and command.client_id else None
        group = self.state.groups.get(command.group if used is None else used[1])
        if group is None or group.account is not account:
            return Reply(Refusal(Code.UNKNOWN_ORDER if used is None else Code.ORDER_NOT_OPEN, "by"))
        if group.market.status is MarketStatus.HALTED:
            return Reply(Refusal(Code.MARKET_HALTED, "by"))
        ended = [*group.legs, *([group.entry] if group.entry is not None and group.entry_is_open else [])]
        self._matcher.end_group(group, Code.CANCELED_BY_USER)
        return Reply(made=group.id, ended=ended)

    def _cancel(self, command: commands.CancelOrder, now_ms: int) -> Reply:  # noqa: ARG002
        order = self._open_order(command)
        if isinstance(order, Refusal):
            return Reply(order)
        if order.market.status is MarketStatus.HALTED:
            return Reply(Refusal(Code.MARKET_HALTED, "by"))
        self._matcher.end(order, OrderStatus.CANCELED, Code.CANCELED_BY_USER)
        return Reply(order=order, made=order.id)

    def _open_order(self, command: commands.CancelOrder | commands.AmendOrder) -> Order | Refusal:
        """The order that is meant. Of an id that is not open the core cannot say whose it was: UNKNOWN_ORDER; of a key it can."""
        account = self.state.accounts.get(command.account)
        if account is None:
            return Refusal(Code.UNKNOWN_ORDER, "by")
        used = account.keys.get(command.client_id) if command.client_id else None
        order = account.open.get(command.order if used is None else used[1])
        if order is not None:
            return order
        return Refusal(Code.UNKNOWN_ORDER if used is None else Code.ORDER_NOT_OPEN, "by")

    def _amend(self, command: commands.AmendOrder, now_ms: int) -> Reply:
        account = self.state.accounts.get(command.account)
        if account is not None and account.frozen:
            return Reply(Refusal(Code.ACCOUNT_FROZEN))
        order = self._open_order(command)
        if isinstance(order, Refusal):
            return Reply(order)
        if order.group is not None:
            return Reply(Refusal(Code.TERMS_CONFLICT, "by"))
        if command.expected_sequence not in {None, order.sequence}:
            return Reply(
                Refusal(Code.ORDER_CHANGED, "expectedSequence", limit=order.sequence, actual=command.expected_sequence)
            )
        symbol = order.market.symbol
        peak = self.state.trailing[symbol].beside(order).peak(order) if order.follows else 0
        event = amendment(
            order,
            command,
            self._references(symbol),
            now_ms,
            house=self._matcher.offered(order.market, order.terms.side),
            peak=peak,
        )
        if isinstance(event, Refusal):
            return Reply(event)
        self._emit(event)
        if not event.keeps_place and order.status is not OrderStatus.TRIGGER_PENDING:
            self._matcher.match(order)
        return Reply(order=order, made=order.id)

    def _cancel_all(self, command: commands.CancelAll, now_ms: int) -> Reply:  # noqa: ARG002
        return Reply(ended=self._end_all(command.account, command.symbols, command.sides, Code.CANCELED_BY_USER))

    def _end_all(
        self, account_id: str, symbols: Collection[str], sides: Collection[OrderSide], code: OrderErrorCode
    ) -> list[Order]:
        """End the account's orders in these markets and of these sides (none named: all), except where the market is halted."""
        account = self.state.accounts.get(account_id)
        chosen = [
            order
            for order in (account.open.values() if account is not None else ())
            if (not symbols or order.market.symbol in symbols)
            and (not sides or order.terms.side in sides)
            and order.market.status is not MarketStatus.HALTED
        ]
        for order in chosen:
            if order.id in self.state.orders:
                self._matcher.end(order, OrderStatus.CANCELED, code)
        return chosen

    def _move_funds(self, command: commands.MoveFunds, now_ms: int) -> Reply:  # noqa: ARG002
        account = self.state.accounts.get(command.account) or Account(command.account)
        used = account.keys.get(command.key)
        if used is not None and used[0] == command.digest:
            return Reply(made=used[1], replayed=True)
        if account.frozen:
            return Reply(Refusal(Code.ACCOUNT_FROZEN))
        if used is not None:
            return Reply(Refusal(Code.IDEMPOTENCY_MISMATCH, "key"))
        balance = account.balances.get(command.asset)
        available = balance.available if balance is not None else 0
        if available + command.units < 0:
            return Reply(Refusal(Code.INSUFFICIENT_FUNDS, "amount", limit=available, actual=-command.units))
        House(command.house)
        self._emit(journal.FundsMoved(*command))
        return Reply(made=self.state.sequence)

    def _freeze(self, command: commands.FreezeAccount, now_ms: int) -> Reply:  # noqa: ARG002
        account = self.state.accounts.get(command.account)
        if (account is not None and account.frozen) is not command.frozen:
            self._emit(journal.AccountFrozen(*command))
        ended = list(account.open.values()) if account is not None and command.frozen else []
        for order in ended:
            if order.id in self.state.orders:
                self._matcher.end(order, OrderStatus.CANCELED, Code.ACCOUNT_FROZEN)
        return Reply(ended=ended)

    def _set_fee_tier(self, command: commands.SetFeeTier, now_ms: int) -> Reply:  # noqa: ARG002
        self._emit(journal.FeeTierChanged(*command))
        return Reply()

    def _configure_market(self, command: commands.ConfigureMarket, now_ms: int) -> Reply:  # noqa: ARG002
        rules = command.rules
        market = self.state.markets.get(rules.symbol)
        if market is not None and (market.tick, market.lot) != (rules.tick, rules.lot):
            waiting = len(self.state.triggers[rules.symbol]) + len(self.state.trailing[rules.symbol])
            if market.bids or market.asks or waiting:
                return Reply(Refusal(Code.TERMS_CONFLICT, "tickSize"))
        self._emit(rules)
        return Reply()

    def _set_market_status(self, command: commands.SetMarketStatus, now_ms: int) -> Reply:  # noqa: ARG002
        if command.symbol not in self.state.markets:
            return Reply(Refusal(Code.UNKNOWN_MARKET, "symbol"))
        self._emit(journal.MarketStatusChanged(*command))
        return Reply()

    def _reference_price(self, command: commands.ReferencePrice, now_ms: int) -> Reply:  # noqa: ARG002
        market = self.state.markets[command.symbol]
        source = TriggerSource.MARK if command.is_mark else TriggerSource.LAST
        known = Known(command.price // market.tick, command.source, command.time_ms)
        before = self._references(market.symbol).take(source, known)
        if market.status is MarketStatus.TRADING:
            for order in self.state.triggers[market.symbol].fired(source, known.price):
                if order.terms.trail:
                    self._follow(order, known)
                else:
                    self._trigger(order, known, before, order.terms.stop, 0)
            for side in OrderSide:
                self._trail(market, source, side, known, before)
        return Reply()

    def _follow(self, order: Order, known: Known | None) -> None:
        """Let a stop trail from this price on, unless it is over."""
        if known is not None and order.id in self.state.orders:
            self._emit(journal.TrailStarted(order.id, known.price, known.source, known.time_ms))

    def _trail(
        self, market: Market, source: TriggerSource, side: OrderSide, known: Known, before: Known | None
    ) -> None:
        """Move the stops that trail, then fire those that the price has come back to."""
        followers = self.state.trailing[market.symbol].of(source, side)
        if followers.is_high(known.price):
            self._emit(journal.ReferenceExtreme(market.symbol, source, side, known.price, known.source, known.time_ms))
        sign = 1 if side is OrderSide.SELL else -1
        for order, peak in followers.fired(known.price):
            stop = sign * stop_of(sign * peak, order.terms.trail, order.terms.trail_unit)
            self._trigger(order, known, before, stop, peak)

    def _trigger(self, order: Order, known: Known, before: Known | None, stop: int, peak: int) -> None:
        """Let a stop become an order, unless another one's trades have ended it."""
        if order.id not in self.state.orders:
            return
        if order.shares and order.group is not None:
            self._matcher.end_group(order.group, Code.CANCELED_BY_GROUP, but=order)
        price = order.terms.price or shifted(stop, order.market.band_ppm, order.terms.side)
        self._emit(
            journal.OrderTriggered(
                order.id, price, known.price, before.price if before else 0, peak, known.source, known.time_ms
            )
        )
        self._matcher.match(order)

    def _reference_book(self, command: commands.ReferenceBook, now_ms: int) -> Reply:  # noqa: ARG002
        market = self.state.markets[command.symbol]
        quotes = self._matcher.quotes.get(market.symbol)
        if quotes is None:
            quotes = self._matcher.quotes[market.symbol] = Quotes()
        quotes.take(market, command)
        if market.status is MarketStatus.TRADING:
            for side in OrderSide:
                self._matcher.move_through(market, quotes, side)
        return Reply()

    def _reference_lost(self, command: commands.ReferenceLost, now_ms: int) -> Reply:  # noqa: ARG002
        self._references(command.symbol).lose()
        if command.symbol in self._matcher.quotes:
            self._matcher.quotes[command.symbol].clear()
        return Reply()

    def _advance(self, command: commands.Advance, now_ms: int) -> Reply:  # noqa: ARG002
        expiring, ended = self.state.expiring, []
        while expiring and expiring[0][0] <= now_ms:
            _, order_id = heapq.heappop(expiring)
            order = self.state.orders.get(order_id)
            if order is not None and 0 < order.terms.expires_ms <= now_ms:
                self._matcher.end(order, OrderStatus.EXPIRED, Code.EXPIRED)
                ended.append(order)
        timers = self.state.timers
        while timers and timers[0][0] <= now_ms:
            expires_ms, account_id, owner = heapq.heappop(timers)
            timer = self.state.accounts[account_id].timers.get(owner)
            if timer is not None and timer.expires_ms == expires_ms:
                ended += self._end_all(account_id, timer.symbols, (), Code.CANCELED_BY_TIMER)
                self._emit(timer._replace(expires_ms=0))
        return Reply(ended=ended)

    def _set_cancel_timer(self, command: commands.SetCancelTimer, now_ms: int) -> Reply:
        unknown = [symbol for symbol in command.symbols if symbol not in self.state.markets]
        if unknown:
            return Reply(Refusal(Code.UNKNOWN_MARKET, "symbols"))
        expires_ms = now_ms + command.timeout_ms if command.timeout_ms else 0
        account = self.state.accounts.get(command.account)
        if expires_ms or (account is not None and command.owner in account.timers):
            self._emit(journal.CancelTimerSet(command.account, command.owner, expires_ms, command.symbols))
        return Reply()

    def _references(self, symbol: str) -> References:
        references = self.references.get(symbol)
        if references is None:
            references = self.references[symbol] = References()
        return references


def fold(events: Iterable[journal.Event], state: State | None = None) -> State:
    """The state that these events lead to."""
    state = state or State()
    for event in events:
        state.evolve(event)
    return state


_EXECUTE: dict[type, Callable[[Exchange, Any, int], Reply]] = {
    commands.PlaceOrder: Exchange._place,
    commands.PlaceOco: Exchange._place_oco,
    commands.PlaceBracket: Exchange._place_bracket,
    commands.CancelGroup: Exchange._cancel_group,
    commands.CancelOrder: Exchange._cancel,
    commands.AmendOrder: Exchange._amend,
    commands.CancelAll: Exchange._cancel_all,
    commands.SetCancelTimer: Exchange._set_cancel_timer,
    commands.MoveFunds: Exchange._move_funds,
    commands.FreezeAccount: Exchange._freeze,
    commands.SetFeeTier: Exchange._set_fee_tier,
    commands.ConfigureMarket: Exchange._configure_market,
    commands.SetMarketStatus: Exchange._set_market_status,
    commands.ReferencePrice: Exchange._reference_price,
    commands.ReferenceBook: Exchange._reference_book,
    commands.ReferenceLost: Exchange._reference_lost,
    commands.Advance: Exchange._advance,
}
