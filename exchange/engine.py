"""Decides what commands do. Everything it decides is an event that `State.evolve` lets happen at once; `take_events` hands them to the
journal. A refused command makes no event, changes nothing and uses up no key.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from core.order_vocabulary import OrderErrorCode, OrderStatus
from core.vocabulary import OrderSide
from events import commands, journal
from exchange.amendments import amendment
from exchange.house import Quotes
from exchange.keys import Keys, Used
from exchange.market import Market
from exchange.matching import Matcher
from exchange.order import Order
from exchange.placing import Desk
from exchange.references import References
from exchange.refusal import Refusal
from exchange.reply import Reply
from exchange.state import State
from exchange.treasury import Treasury
from exchange.walk import Offered
from exchange.watching import Watch
from exchange.words import CANCELED, HALTED, TRIGGER_PENDING

Code = OrderErrorCode
_BY_USER = Code.CANCELED_BY_USER


class Exchange:
    """The core: durable state, what is known of the references, and the events not taken yet."""

    def __init__(self, state: State | None = None) -> None:
        self.state = state or State()
        self._keys = Keys(self.state)
        self._matcher = Matcher(self.state, self._emit)
        self._watch = Watch(self.state, self._matcher, self._emit)
        self._desk = Desk(self.state, self._keys, self._matcher, self._watch, self._emit)
        self._treasury = Treasury(self.state, self._keys, self._emit)
        self._events: list[journal.Event] = []
        self._execute: dict[type, Callable[[Any, int], Reply]] = {
            commands.PlaceOrder: self._desk.place,
            commands.PlaceOco: self._desk.place_oco,
            commands.PlaceBracket: self._desk.place_bracket,
            commands.CancelGroup: self._cancel_group,
            commands.CancelOrder: self._cancel,
            commands.AmendOrder: self._amend,
            commands.CancelAll: self._cancel_all,
            commands.SetCancelTimer: self._set_cancel_timer,
            commands.MoveFunds: self._treasury.move_funds,
            commands.CreditDeposit: self._treasury.credit_deposit,
            commands.ReverseDeposit: self._treasury.reverse_deposit,
            commands.RepayDebt: self._treasury.repay_debt,
            commands.HoldWithdrawal: self._treasury.hold_withdrawal,
            commands.SettleWithdrawal: self._treasury.settle_withdrawal,
            commands.ReleaseWithdrawal: self._treasury.release_withdrawal,
            commands.MoveHouseFunds: self._treasury.move_house_funds,
            commands.FreezeAccount: self._freeze,
            commands.SetFeeTier: self._set_fee_tier,
            commands.ForgetKeys: self._forget_keys,
            commands.ConfigureMarket: self._configure_market,
            commands.SetMarketStatus: self._set_market_status,
            commands.ReferencePrice: self._reference_price,
            commands.ReferenceBook: self._reference_book,
            commands.ReferenceLost: self._reference_lost,
            commands.Advance: self._advance,
        }

    def execute(self, command: commands.Command, now_ms: int) -> Reply:
        """Do what is asked, or refuse it."""
        self._desk.now_ms = now_ms
        reply = self._execute[type(command)](command, now_ms)
        if self._matcher.filled or self._matcher.traded:
            self._follow_up(now_ms)
        return reply

    def _follow_up(self, now_ms: int) -> None:
        """Do what trades lead to: exits of what entries filled, and stops that a market's own trades fire, whose trades may lead to more."""
        self._desk.protect()
        traded = self._matcher.traded
        while traded:
            symbol = next(iter(traded))
            self._watch.own_trade(self.state.markets[symbol], traded.pop(symbol), now_ms)
            self._desk.protect()

    def take_events(self) -> list[journal.Event]:
        """What happened since the last call, in order."""
        events, self._events = self._events, []
        return events

    def quotes(self, symbol: str) -> Quotes | None:
        """What the house quotes in a market, if it ever did."""
        return self._matcher.quotes.get(symbol)

    def references(self, symbol: str) -> References:
        """What is known of a market's reference."""
        return self._watch.references(symbol)

    def offered(self, market: Market, side: OrderSide) -> Offered | None:
        """What the house offers to an order of this side; None: it never quoted in this market."""
        return self._matcher.offered(market, side)

    def lookups(self, command: commands.Command) -> tuple[tuple[str, str], ...]:
        """The account and key to look up in storage before this command is executed, and to `recall` if it is there."""
        return self._keys.lookups(command)

    def recall(self, found: Mapping[tuple[str, str], Used]) -> None:
        """Know these keys (by account and key: digest, and the sequence of what it made) from storage, instead of those of the last call."""
        self._keys.recall(found)

    def start_writer(self, epoch: int) -> None:
        """Let a new writer begin."""
        self._emit(journal.WriterStarted(epoch))

    def _emit(self, event: journal.Event) -> None:
        self.state.evolve(event)
        self._events.append(event)

    def _cancel_group(self, command: commands.CancelGroup, now_ms: int) -> Reply:  # noqa: ARG002
        account = self.state.accounts.get(command.account)
        used = self._keys.used(account, command.client_id) if account is not None and command.client_id else None
        group = self.state.groups.get(command.group if used is None else used[1])
        if group is None or group.account is not account:
            return Reply(Refusal(Code.UNKNOWN_ORDER if used is None else Code.ORDER_NOT_OPEN, "by"))
        if group.market.status is HALTED:
            return Reply(Refusal(Code.MARKET_HALTED, "by"))
        ended = [*group.legs, *([group.entry] if group.entry is not None else [])]
        self._matcher.end_group(group, Code.CANCELED_BY_USER)
        return Reply(made=group.id, ended=ended)

    def _cancel(self, command: commands.CancelOrder, now_ms: int) -> Reply:  # noqa: ARG002
        order = self._open_order(command)
        if isinstance(order, Refusal):
            return Reply(order)
        if order.market.status is HALTED:
            return Reply(Refusal(Code.MARKET_HALTED, "by"))
        self._matcher.end(order, CANCELED, _BY_USER)
        return Reply(None, order, order.id)

    def _open_order(self, command: commands.CancelOrder | commands.AmendOrder) -> Order | Refusal:
        """The order that is meant. Of an id that is not open the core cannot say whose it was: UNKNOWN_ORDER; of a key it can."""
        account = self.state.accounts.get(command.account)
        if account is None:
            return Refusal(Code.UNKNOWN_ORDER, "by")
        used = self._keys.used(account, command.client_id) if command.client_id else None
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
        others = (command.quantity, command.display_quantity, command.good_till_ms)
        if order.group is not None and any(change is not None for change in others):
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
            self._watch.references(symbol),
            now_ms,
            house=self._matcher.offered(order.market, order.terms.side),
            peak=peak,
        )
        if isinstance(event, Refusal):
            return Reply(event, order=order)
        self._emit(event)
        if not event.keeps_place and order.status is not TRIGGER_PENDING:
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
            and order.market.status is not HALTED
        ]
        for order in chosen:
            if order.id in self.state.orders:
                self._matcher.end(order, CANCELED, code)
        return chosen

    def _freeze(self, command: commands.FreezeAccount, now_ms: int) -> Reply:  # noqa: ARG002
        account = self.state.accounts.get(command.account)
        if (account is not None and account.frozen) is not command.frozen:
            self._emit(journal.AccountFrozen(*command))
        ended = list(account.open.values()) if account is not None and command.frozen else []
        for order in ended:
            if order.id in self.state.orders:
                self._matcher.end(order, CANCELED, Code.ACCOUNT_FROZEN)
        return Reply(ended=ended)

    def _set_fee_tier(self, command: commands.SetFeeTier, now_ms: int) -> Reply:  # noqa: ARG002
        self._emit(journal.FeeTierChanged(*command))
        return Reply()

    def _forget_keys(self, command: commands.ForgetKeys, now_ms: int) -> Reply:  # noqa: ARG002
        remembered = self.state.remembered
        if remembered and remembered[0][0] <= command.through:
            self._emit(journal.KeysForgotten(command.through))
        return Reply()

    def _configure_market(self, command: commands.ConfigureMarket, now_ms: int) -> Reply:  # noqa: ARG002
        rules = command.rules
        market = self.state.markets.get(rules.symbol)
        if market is not None and (market.tick, market.lot) != (rules.tick, rules.lot):
            waiting = len(self.state.triggers[rules.symbol]) + len(self.state.trailing[rules.symbol])
            if market.bids or market.asks or waiting:
                return Reply(Refusal(Code.TERMS_CONFLICT, "tickSize"))
            self._watch.lose(commands.ReferenceLost(rules.symbol))
        self._emit(rules)
        return Reply()

    def _set_market_status(self, command: commands.SetMarketStatus, now_ms: int) -> Reply:  # noqa: ARG002
        if command.symbol not in self.state.markets:
            return Reply(Refusal(Code.UNKNOWN_MARKET, "symbol"))
        self._emit(journal.MarketStatusChanged(*command))
        return Reply()

    def _reference_price(self, command: commands.ReferencePrice, now_ms: int) -> Reply:  # noqa: ARG002
        self._watch.price(command)
        return Reply()

    def _reference_book(self, command: commands.ReferenceBook, now_ms: int) -> Reply:  # noqa: ARG002
        self._watch.book(command)
        return Reply()

    def _reference_lost(self, command: commands.ReferenceLost, now_ms: int) -> Reply:  # noqa: ARG002
        self._watch.lose(command)
        return Reply()

    def _advance(self, command: commands.Advance, now_ms: int) -> Reply:  # noqa: ARG002
        ended: list[Order] = []
        expiring, timers = self.state.expiring, self.state.timers
        while expiring and expiring[0][0] <= now_ms:
            order = self.state.orders[expiring[0][1]]
            self._matcher.end(order, OrderStatus.EXPIRED, Code.EXPIRED)
            ended.append(order)
        while timers and timers[0][0] <= now_ms:
            _, account_id, owner = timers[0]
            timer = self.state.accounts[account_id].timers[owner]
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


def fold(events: Iterable[journal.Event], state: State | None = None) -> State:
    """The state that these events lead to."""
    state = state or State()
    for event in events:
        state.evolve(event)
    return state
