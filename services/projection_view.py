"""What the journal means to those who read: the fold of its events into orders, fills, statements, logs and trades.

Pure: the same batches give the same changes, with the same numbers, however often and wherever they are folded. `ProjectionView` holds the
exchange's durable state and, beside it, what only readers need: how far each list of an account reaches, what its assets cost, and its volumes.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from core.order_vocabulary import Liquidity, OrderEventType, OrderStatus, TransactionKind
from core.vocabulary import MarketStatus, OrderSide
from events import journal
from events.trading import (
    BalanceState,
    FillState,
    GroupState,
    Logged,
    LoggedBalance,
    LoggedFill,
    LoggedOrder,
    OrderState,
    StatementLine,
)
from exchange.accounts import Account, House
from exchange.groups import Group
from exchange.order import Order
from exchange.state import State
from models.client_key import UsedKey
from services.cost_basis import Positions, apply_fill
from services.exchange_tape import ExchangeTrade
from services.fee_tiers import UnitVolumes, add_volume
from services.projection_funds import FundsFollower
from services.trading_states import TradingStates, amount, group_state

_ENDS = {
    OrderStatus.CANCELED: OrderEventType.CANCELED,
    OrderStatus.EXPIRED: OrderEventType.EXPIRED,
    OrderStatus.REJECTED: OrderEventType.REJECTED,
}


@dataclass(slots=True)
class Lists:
    """The highest number of each list of an account, and what else only its readers need."""

    orders: int = 0
    fills: int = 0
    lines: int = 0
    logged: int = 0
    positions: Positions = field(default_factory=dict)
    volumes: UnitVolumes = field(default_factory=dict)


@dataclass(slots=True)
class OpenOrder:
    """Of an open order: its number among the account's, and how many fills it has."""

    number: int
    fills: int = 0


@dataclass(slots=True)
class Changes:
    """What a batch changed. `placed` are the ids of the orders it accepted; `orders` the newest state of every order it
    touched, `numbers` their numbers. `since_ms` is the time of the first batch that was taken in. `fills` come with their number among the order's fills."""

    sequence: int = 0
    time_ms: int = 0
    since_ms: int = 0
    placed: dict[int, None] = field(default_factory=dict)
    numbers: dict[int, int] = field(default_factory=dict)
    orders: dict[int, OrderState] = field(default_factory=dict)
    groups: dict[int, GroupState] = field(default_factory=dict)
    fills: list[tuple[FillState, int]] = field(default_factory=list)
    lines: dict[str, list[StatementLine]] = field(default_factory=dict)
    logged: dict[str, list[Logged]] = field(default_factory=dict)
    accounts: dict[str, None] = field(default_factory=dict)
    keys: list[UsedKey] = field(default_factory=list)
    trades: list[ExchangeTrade] = field(default_factory=list)
    statuses: dict[str, MarketStatus] = field(default_factory=dict)

    def add(self, later: "Changes") -> None:
        """Take in what a later batch changed."""
        self.sequence, self.time_ms = later.sequence, later.time_ms
        self.placed |= later.placed
        self.numbers |= later.numbers
        self.orders |= later.orders
        self.groups |= later.groups
        self.fills += later.fills
        for account, lines in later.lines.items():
            self.lines.setdefault(account, []).extend(lines)
        for account, logged in later.logged.items():
            self.logged.setdefault(account, []).extend(logged)
        self.accounts |= later.accounts
        self.keys += later.keys
        self.trades += later.trades
        self.statuses |= later.statuses


class ProjectionView:
    """The follower's knowledge. `scales` are the digits of every asset's units; `cash` are the assets that are their own value."""

    def __init__(self, scales: Mapping[str, int], cash: Collection[str]) -> None:
        self.state = State()
        self.lists: dict[str, Lists] = {}
        self.trades: dict[str, int] = {}
        self.open_orders: dict[int, OpenOrder] = {}
        self.group_orders: dict[int, tuple[int, ...]] = {}
        """The orders of groups that live."""
        self.scales = scales
        self.cash = cash
        self._states = TradingStates()
        self._changes = Changes()
        self._balances: dict[tuple[str, str], None] = {}
        self._groups: dict[int, Group] = {}
        self._follow: dict[type, Callable[[Any], None]] = {
            **FundsFollower(self).follows(),
            journal.AccountFrozen: self._touched,
            journal.FeeTierChanged: self._touched,
            journal.CancelTimerSet: self._touched,
            journal.GroupAccepted: self._group_accepted,
            journal.GroupGrown: self._group_grown,
            journal.OrderAccepted: self._order_accepted,
            journal.Traded: self._traded,
            journal.OrderEnded: self._order_ended,
            journal.OrderTriggered: self._order_triggered,
            journal.OrderAmended: self._order_amended,
            journal.TrailStarted: self._trail_started,
            journal.MarketStatusChanged: self._market_status_changed,
        }

    def apply(self, events: Iterable[journal.Event], time_ms: int) -> Changes:
        """Let a batch have happened."""
        self._changes = changes = Changes(time_ms=time_ms, since_ms=time_ms)
        for event in events:
            follow = self._follow.get(type(event))
            if follow is None:
                self.state.evolve(event)
            else:
                follow(event)
        for account, asset in self._balances:
            state = self._balance(account, asset)
            self._log(account, lambda number, state=state: LoggedBalance(number, state))  # type: ignore[misc]
        for group in self._groups.values():
            self._settle(group)
        self._balances, self._groups = {}, {}
        changes.sequence = self.state.sequence
        return changes

    def lists_of(self, account: str) -> Lists:
        """Those of an account, empty at first."""
        lists = self.lists.get(account)
        if lists is None:
            lists = self.lists[account] = Lists()
        return lists

    def _balance(self, account: str, asset: str) -> BalanceState:
        owner, scale = self.state.accounts[account], self.scales[asset]
        balance = owner.balance(asset)
        return BalanceState(
            account,
            asset,
            amount(balance.available, scale),
            amount(balance.held, scale),
            self._changes.time_ms,
            self.state.sequence,
            amount(owner.debts.get(asset, 0), scale),
        )

    def _log(self, account: str, make: Callable[[int], Logged]) -> None:
        lists = self.lists_of(account)
        lists.logged += 1
        self._changes.logged.setdefault(account, []).append(make(lists.logged))

    def _touch(self, account: Account) -> None:
        self._changes.accounts[account.id] = None

    def _order(self, order: Order) -> OrderState:
        """Note an order that changed."""
        state = self._changes.orders[order.id] = self._states.order(order, self._changes.time_ms)
        self._changes.numbers[order.id] = self.open_orders[order.id].number
        account = order.account
        self._touch(account)
        market = order.market
        self._balances[account.id, market.quote if order.side is OrderSide.BUY else market.base] = None
        if order.group is not None:
            self._groups[order.group.id] = order.group
        return state

    def _log_order(self, order: Order, change: OrderEventType, *, lots: int = 0, price: int = 0) -> OrderState:
        """Note and log an order that changed; lots and ticks of what happened, where it has any."""
        state, scales = self._order(order), self._states.scales(order.market)
        quantity = scales.quantity(lots) if lots else None
        at = scales.price(price) if price else None
        self._log(order.account.id, lambda number: LoggedOrder(number, change, state, quantity, at))
        return state

    def _touched(self, event: journal.AccountFrozen | journal.FeeTierChanged | journal.CancelTimerSet) -> None:
        self.state.evolve(event)
        self._changes.accounts[event.account] = None

    def _market_status_changed(self, event: journal.MarketStatusChanged) -> None:
        self.state.evolve(event)
        self._changes.statuses[event.symbol] = event.status

    def balance_moved(self, account: str, asset: str) -> None:
        """Note a balance that changed."""
        self._changes.accounts[account] = None
        self._balances[account, asset] = None

    def house_moved(self, house: str) -> None:
        """Note an account of the house that changed."""
        self._changes.accounts[house] = None

    def used(self, account: str, key: str, digest: str) -> None:
        """Note what the last event used a key for."""
        self._changes.keys.append(UsedKey(account, key, digest, self.state.sequence))

    def total(self, account: Account, asset: str) -> int:
        """What an account has of an asset now, in units."""
        balance = account.balance(asset)
        return balance.available + balance.held

    def line(
        self,
        account: Account,
        kind: TransactionKind,
        asset: str,
        units: int,
        after: int,
        *,
        order: Order | None = None,
        fill: int | None = None,
        transfer: str | None = None,
    ) -> None:
        """Add a line to an account's statement, after which it has so many units."""
        lists, scale = self.lists_of(account.id), self.scales[asset]
        lists.lines += 1
        self._changes.lines.setdefault(account.id, []).append(
            StatementLine(
                lists.lines,
                self.state.sequence,
                kind,
                asset,
                amount(units, scale),
                amount(after, scale),
                None if order is None else order.market.symbol,
                fill,
                None if order is None else order.id,
                self._changes.time_ms,
                transfer,
            )
        )

    def _group_accepted(self, event: journal.GroupAccepted) -> None:
        self.state.evolve(event)
        group = self.state.groups[self.state.sequence]
        self.group_orders[group.id] = ()
        self._groups[group.id] = group
        self._touch(group.account)
        self._balances[group.account.id, self._paid_in(group)] = None
        self.used(event.account, event.client_id, event.digest)

    def _paid_in(self, group: Group) -> str:
        return group.market.quote if group.side is OrderSide.BUY else group.market.base

    def _group_grown(self, event: journal.GroupGrown) -> None:
        group = self.state.groups[event.group]
        self.state.evolve(event)
        self._groups[group.id] = group
        self._balances[group.account.id, self._paid_in(group)] = None
        self._touch(group.account)
        if event.lots:
            for leg in group.legs:
                self._log_order(leg, OrderEventType.AMENDED)

    def _settle(self, group: Group) -> None:
        """Note the state of a group that something happened to."""
        lives = group.id in self.state.groups
        orders = self.group_orders.get(group.id, ())
        self._changes.groups[group.id] = group_state(group, orders, lives=lives, sequence=self.state.sequence)
        if not lives:
            self.group_orders.pop(group.id, None)

    def _order_accepted(self, event: journal.OrderAccepted) -> None:
        self.state.evolve(event)
        order = self.state.orders[self.state.sequence]
        lists = self.lists_of(event.account)
        lists.orders += 1
        self._changes.placed[order.id] = None
        self.open_orders[order.id] = OpenOrder(lists.orders)
        if order.group is None:
            self.used(event.account, event.client_id, event.digest)
        else:
            self.group_orders[order.group.id] += (order.id,)
        self._log_order(order, OrderEventType.ACCEPTED)

    def _order_ended(self, event: journal.OrderEnded) -> None:
        order = self.state.orders[event.order]
        self.state.evolve(event)
        self._log_order(order, _ENDS[event.status])
        del self.open_orders[order.id]

    def _order_triggered(self, event: journal.OrderTriggered) -> None:
        self.state.evolve(event)
        self._log_order(self.state.orders[event.order], OrderEventType.TRIGGERED, price=event.trigger_price)

    def _trail_started(self, event: journal.TrailStarted) -> None:
        self.state.evolve(event)
        self._log_order(self.state.orders[event.order], OrderEventType.TRAIL_MOVED, price=event.price)

    def _order_amended(self, event: journal.OrderAmended) -> None:
        self.state.evolve(event)
        order = self.state.orders[event.order]
        self._log_order(order, OrderEventType.AMENDED, lots=order.lots, price=order.terms.price)

    def _traded(self, event: journal.Traded) -> None:
        orders = self.state.orders
        maker, taker = orders.get(event.maker), orders.get(event.taker)
        self.state.evolve(event)
        trade = self.trades[event.symbol] = self.trades.get(event.symbol, 0) + 1
        market = self.state.markets[event.symbol]
        scales = self._states.scales(market)
        self._changes.trades.append(
            ExchangeTrade(
                event.symbol,
                trade,
                scales.price(event.price),
                scales.quantity(event.lots),
                event.taker_side,
                self._changes.time_ms,
            )
        )
        for order, liquidity in ((maker, Liquidity.MAKER), (taker, Liquidity.TAKER)):
            if order is not None:
                self._fill(order, event, trade, liquidity)
        for house in (House.FEES, House.ROUNDING, *([House.INVENTORY] if maker is None or taker is None else [])):
            self._changes.accounts[house.value] = None

    def _fill(self, order: Order, event: journal.Traded, trade: int, liquidity: Liquidity) -> None:
        market, account = order.market, order.account
        scales, lists = self._states.scales(market), self.lists_of(account.id)
        buys = order.side is OrderSide.BUY
        units = event.lots * market.lot_units
        quote_units = event.paid if buys else event.earned
        fee_units = event.maker_fee if liquidity is Liquidity.MAKER else event.taker_fee
        fill_id = 2 * self.state.sequence + (liquidity is Liquidity.TAKER)
        lists.fills += 1
        known = self.open_orders[order.id]
        known.fills += 1
        fill = FillState(
            fill_id, lists.fills, account.id, order.id, trade, market.symbol, order.side, scales.price(event.price),
            scales.quantity(event.lots), scales.quoted(quote_units), scales.quoted(fee_units), market.quote, liquidity,
            self._changes.time_ms, self.state.sequence,
        )  # fmt: skip
        self._changes.fills.append((fill, known.fills))
        self._post(
            order, fill_id, base=units if buys else -units, quote=-quote_units if buys else quote_units, fee=fee_units
        )
        apply_fill(
            lists.positions, side=order.side, base=market.base, quote=market.quote, base_units=units,
            quote_units=quote_units, fee_units=fee_units, cash=self.cash,
        )  # fmt: skip
        add_volume(lists.volumes, time_ms=self._changes.time_ms, quote=market.quote, quote_units=quote_units)
        self._balances[account.id, market.base] = self._balances[account.id, market.quote] = None
        self._log_order(order, OrderEventType.FILLED, lots=event.lots, price=event.price)
        self._log(account.id, lambda number: LoggedFill(number, fill))
        if order.group is not None and order.shares:
            for leg in order.group.legs:
                if leg is not order:
                    self._log_order(leg, OrderEventType.AMENDED)
        if order.id not in self.state.orders:
            del self.open_orders[order.id]

    def _post(self, order: Order, fill: int, *, base: int, quote: int, fee: int) -> None:
        """The lines of a fill: what was bought or sold, what was paid or earned, and the fee."""
        account, market = order.account, order.market
        total = self.total(account, market.quote)
        self.line(
            account, TransactionKind.TRADE, market.base, base, self.total(account, market.base), order=order, fill=fill
        )
        self.line(account, TransactionKind.TRADE, market.quote, quote, total + fee, order=order, fill=fill)
        if fee:
            self.line(account, TransactionKind.FEE, market.quote, -fee, total, order=order, fill=fill)
