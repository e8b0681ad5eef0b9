"""Durable state, and the one way it changes: `evolve`. Folding a journal through it gives what the writer had, bit for bit.

`evolve` never refuses: what an event says has been decided. What cannot be is a broken invariant and stops the exchange.
"""

import heapq
from collections import defaultdict, deque
from collections.abc import Callable
from typing import Any

from core.errors import InvariantBroken
from core.order_vocabulary import OrderGroupKind
from events import journal
from exchange.accounts import Account, House, HouseBalances
from exchange.groups import Group
from exchange.holds import group_hold, hold_needed
from exchange.market import Market
from exchange.order import TRIGGERED, Order
from exchange.trailing import Trailing
from exchange.triggers import Triggers, awaited
from exchange.words import BUY, FILLED, OPEN, PARTIALLY_FILLED, TRIGGER_PENDING


class State:
    """`sequence` is that of the last event, `epoch` that of the writer who appends."""

    def __init__(self) -> None:
        self.sequence = 0
        self.epoch = 0
        self.accounts: dict[str, Account] = {}
        self.markets: dict[str, Market] = {}
        self.triggers: dict[str, Triggers] = {}
        self.trailing: dict[str, Trailing] = {}
        self.orders: dict[int, Order] = {}
        self.groups: dict[int, Group] = {}
        self.house: dict[House, HouseBalances] = {house: defaultdict(int) for house in House}
        self.expiring: list[tuple[int, int]] = []
        """A heap of times and orders; those that ended before, or are to end at another time, are passed over."""
        self.timers: list[tuple[int, str, str]] = []
        """A heap of times, accounts and owners; those that were set again are passed over."""

        self.remembered: deque[tuple[int, Account, str]] = deque()
        """The keys that accounts remember, oldest first: what a key led to, whose it is, and the key."""

    def evolve(self, event: journal.Event) -> None:
        """Let an event have happened."""
        self.sequence += 1
        _EVOLVE[type(event)](self, event)

    def account(self, account_id: str) -> Account:
        """This account, which exists from its first event on."""
        account = self.accounts.get(account_id)
        if account is None:
            account = self.accounts[account_id] = Account(account_id)
        return account

    def _remember(self, account: Account, key: str, digest: str) -> None:
        """Let a client's key have led to this event."""
        account.keys[key] = (digest, self.sequence)
        self.remembered.append((self.sequence, account, key))

    def _writer_started(self, event: journal.WriterStarted) -> None:
        self.epoch = event.epoch

    def _keys_forgotten(self, event: journal.KeysForgotten) -> None:
        while self.remembered and self.remembered[0][0] <= event.through:
            _, account, key = self.remembered.popleft()
            del account.keys[key]
            account.forgot = True

    def _market_configured(self, event: journal.MarketConfigured) -> None:
        market = self.markets.get(event.symbol)
        if market is None:
            self.markets[event.symbol] = Market(event)
            self.triggers[event.symbol] = Triggers()
            self.trailing[event.symbol] = Trailing()
        else:
            market.configure(event)

    def _market_status_changed(self, event: journal.MarketStatusChanged) -> None:
        self.markets[event.symbol].status = event.status

    def _funds_moved(self, event: journal.FundsMoved) -> None:
        account = self.account(event.account)
        balance = account.balance(event.asset)
        balance.available += event.units
        self.house[House(event.house)][event.asset] -= event.units
        if balance.available < 0:
            raise InvariantBroken(f"{account.id} would have less than nothing of {event.asset}")
        self._remember(account, event.key, event.digest)
        account.sequence = self.sequence

    def _account_frozen(self, event: journal.AccountFrozen) -> None:
        account = self.account(event.account)
        account.frozen = event.frozen
        account.sequence = self.sequence

    def _fee_tier_changed(self, event: journal.FeeTierChanged) -> None:
        account = self.account(event.account)
        account.maker_ppm, account.taker_ppm = event.maker_ppm, event.taker_ppm
        account.sequence = self.sequence

    def _cancel_timer_set(self, event: journal.CancelTimerSet) -> None:
        account = self.account(event.account)
        if event.expires_ms:
            account.timers[event.owner] = event
            heapq.heappush(self.timers, (event.expires_ms, event.account, event.owner))
        else:
            account.timers.pop(event.owner, None)
        account.sequence = self.sequence

    def _group_accepted(self, event: journal.GroupAccepted) -> None:
        account, market = self.account(event.account), self.markets[event.symbol]
        group = self.groups[self.sequence] = Group(self.sequence, account, market, event)
        self._set_aside(group, event.hold)
        self._remember(account, event.client_id, event.digest)
        account.sequence = self.sequence

    def _group_grown(self, event: journal.GroupGrown) -> None:
        group = self.groups[event.group]
        group.account.sequence = self.sequence
        if not event.lots:
            group.unprotected = 0
            self._forget_if_over(group)
            return
        group.unprotected -= event.lots
        group.lots += event.lots
        group.hold += event.hold
        self._set_aside(group, event.hold)
        for leg in group.legs:
            leg.lots += event.lots
            leg.remaining += event.lots
            if leg.level is not None:
                side = leg.market.side(leg.side)
                side.remove(leg)
                leg.visible = leg.remaining
                side.add(leg)
            else:
                leg.visible = leg.remaining
            leg.sequence = self.sequence

    def _set_aside(self, holder: Order | Group, units: int) -> None:
        """Hold so many units more (negative: fewer) for an order or a group."""
        market = holder.market
        balance = holder.account.balance(market.quote if holder.side is BUY else market.base)
        balance.available -= units
        balance.held += units
        if balance.available < 0:
            raise InvariantBroken(f"{holder.account.id} would hold more than there is")

    def _order_accepted(self, event: journal.OrderAccepted) -> None:
        account_id, symbol, client_id, digest, terms, hold, maker_ppm, taker_ppm, group = event
        account, market = self.account(account_id), self.markets[symbol]
        order = Order(
            self.sequence, account, market, client_id, terms, hold=hold, maker_ppm=maker_ppm, taker_ppm=taker_ppm
        )
        if hold:
            self._set_aside(order, hold)
        self.orders[order.id] = account.open[order.id] = order
        account.open_in[symbol] = account.open_in.get(symbol, 0) + 1
        if group:
            self._join(order, self.groups[group])
        else:
            self._remember(account, client_id, digest)
        account.sequence = self.sequence
        if terms.expires_ms:
            heapq.heappush(self.expiring, (terms.expires_ms, order.id))
        if terms.type in TRIGGERED:
            order.status = TRIGGER_PENDING
            if awaited(terms):
                self.triggers[symbol].add(order)
        elif order.rests:
            (market.bids if order.side is BUY else market.asks).add(order)

    def _join(self, order: Order, group: Group) -> None:
        """Let an order be a bracket's entry, which comes first and holds for itself, or an exit."""
        order.group = group
        if group.kind is OrderGroupKind.BRACKET and not group.entered:
            group.entry, group.entered = order, True
        else:
            group.legs.append(order)
            order.shares = True

    def _trail_started(self, event: journal.TrailStarted) -> None:
        order = self.orders[event.order]
        self._wait_no_longer(order)
        order.follows = True
        self.trailing[order.market.symbol].beside(order).add(order, event.price)
        order.sequence = order.account.sequence = self.sequence

    def _reference_extreme(self, event: journal.ReferenceExtreme) -> None:
        self.trailing[event.symbol].of(event.trigger_source, event.side).rise(event.price)

    def _wait_no_longer(self, order: Order) -> None:
        """Take an order out of where it waits for a price."""
        symbol = order.market.symbol
        if order.follows:
            self.trailing[symbol].beside(order).remove(order)
            order.follows = False
        elif awaited(order.terms):
            self.triggers[symbol].remove(order)

    def _order_triggered(self, event: journal.OrderTriggered) -> None:
        order = self.orders[event.order]
        self._wait_no_longer(order)
        order.status = OPEN
        order.price = event.price
        order.sequence = order.account.sequence = self.sequence
        if order.rests:
            order.market.side(order.terms.side).add(order)

    def _order_amended(self, event: journal.OrderAmended) -> None:
        order, terms = self.orders[event.order], event.terms
        level, side = order.level, order.market.side(terms.side)
        waits = order.status is TRIGGER_PENDING
        followers = self.trailing[order.market.symbol].beside(order)
        peak = followers.peak(order) if order.follows else 0
        if waits:
            self._wait_no_longer(order)
        elif not event.keeps_place:
            side.remove(order)
        order.remaining += terms.lots - order.lots
        order.lots, order.price, order.terms = terms.lots, terms.price, terms
        shown = min(terms.display or order.remaining, order.remaining)
        if level is not None and event.keeps_place:
            shown = min(order.visible, shown)
            level.visible += shown - order.visible
        order.visible = shown
        self._set_aside(order, event.hold - order.hold)
        order.hold = event.hold
        order.sequence = order.account.sequence = self.sequence
        if terms.expires_ms:
            heapq.heappush(self.expiring, (terms.expires_ms, order.id))
        if peak:
            order.follows = True
            followers.add(order, peak)
        elif waits:
            self.triggers[order.market.symbol].add(order)
        elif not event.keeps_place:
            side.add(order)

    def _order_ended(self, event: journal.OrderEnded) -> None:
        order = self.orders[event.order]
        if order.status is TRIGGER_PENDING:
            self._wait_no_longer(order)
        order.status = event.status
        order.sequence = order.account.sequence = self.sequence
        self._finish(order)

    def _traded(self, event: journal.Traded) -> None:
        market = self.markets[event.symbol]
        market.last = event.price
        buys = event.taker_side is BUY
        buyer, seller = (event.taker, event.maker) if buys else (event.maker, event.taker)
        buyer_fee, seller_fee = (event.taker_fee, event.maker_fee) if buys else (event.maker_fee, event.taker_fee)
        value = event.price * event.lots
        if buyer:
            order = self.orders[buyer]
            self._count_fill(order, value, event.lots, buyer_fee, taker=buys)
            self._pay(order, event.paid, buyer_fee)
            order.account.balance(market.base).available += event.lots * market.lot_units
            self._settle(order)
        else:
            self._move_inventory(market, event.lots * market.lot_units, -event.paid)
        if seller:
            order = self.orders[seller]
            self._count_fill(order, value, event.lots, seller_fee, taker=not buys)
            order.quote += event.earned
            units = event.lots * market.lot_units
            (order if not order.shares or order.group is None else order.group).hold -= units
            order.account.balance(market.base).held -= units
            order.account.balance(market.quote).available += event.earned - seller_fee
            self._settle(order)
        else:
            self._move_inventory(market, -event.lots * market.lot_units, event.earned)
        self.house[House.FEES][market.quote] += buyer_fee + seller_fee
        self.house[House.ROUNDING][market.quote] += event.paid - event.earned

    def _move_inventory(self, market: Market, base_units: int, quote_units: int) -> None:
        inventory = self.house[House.INVENTORY]
        inventory[market.base] += base_units
        inventory[market.quote] += quote_units

    def _count_fill(self, order: Order, value: int, lots: int, fee: int, *, taker: bool) -> None:
        order.value += value
        order.fee_value += value * (order.taker_ppm if taker else order.maker_ppm)
        order.fees += fee
        order.remaining -= lots
        if order.group is not None and not order.shares:
            order.group.unprotected += lots
        elif order.group is not None:
            self._count_for_group(order, order.group, value, lots, fee, taker=taker)
        order.status = PARTIALLY_FILLED
        order.sequence = order.account.sequence = self.sequence
        level = order.level
        if level is not None:
            shown = min(order.visible, order.remaining) if taker else order.visible - lots
            level.visible += shown - order.visible
            order.visible = shown

    def _count_for_group(self, order: Order, group: Group, value: int, lots: int, fee: int, *, taker: bool) -> None:
        """What one exit fills the others lose; one that has nothing left is ended by the next event."""
        group.value += value
        group.fee_value += value * (order.taker_ppm if taker else order.maker_ppm)
        group.fees += fee
        group.lots -= lots
        for leg in group.legs:
            if leg is not order:
                leg.lots -= lots
                leg.remaining -= lots
                leg.visible = leg.remaining
                leg.sequence = self.sequence

    def _pay(self, order: Order, paid: int, fee: int) -> None:
        """Take what a fill costs from the hold, and release what the rest no longer needs."""
        order.quote += paid
        if order.shares and order.group is not None:
            self._pay_for_group(order.group, paid, fee)
            return
        before, left = order.hold, order.hold - paid - fee
        order.hold = left if order.at_any_price else hold_needed(order, order.price, order.remaining)
        balance = order.account.balance(order.market.quote)
        balance.held += order.hold - before
        balance.available += left - order.hold
        if left < order.hold:
            raise InvariantBroken(f"order {order.id} paid more than it held")

    def _pay_for_group(self, group: Group, paid: int, fee: int) -> None:
        group.quote += paid
        before, left = group.hold, group.hold - paid - fee
        group.hold = group_hold(group, group.lots)
        balance = group.account.balance(group.market.quote)
        balance.held += group.hold - before
        balance.available += left - group.hold
        if left < group.hold:
            raise InvariantBroken(f"group {group.id} paid more than it held")

    def _settle(self, order: Order) -> None:
        """Let a filled order end, and an iceberg show its next part at the end of the queue."""
        if order.remaining == 0:
            order.status = FILLED
            self._finish(order)
        elif order.level is not None and order.visible == 0:
            side = order.market.side(order.terms.side)
            side.remove(order)
            order.visible = min(order.terms.display, order.remaining)
            side.add(order)

    def _finish(self, order: Order) -> None:
        market, account = order.market, order.account
        market.side(order.terms.side).remove(order)
        balance = account.balance(market.quote if order.terms.side is BUY else market.base)
        balance.held -= order.hold
        balance.available += order.hold
        order.hold = 0
        if order.group is not None:
            self._leave(order, order.group)
        account.open_in[market.symbol] -= 1
        del self.orders[order.id], account.open[order.id]

    def _leave(self, order: Order, group: Group) -> None:
        """Let an ended order belong to its group no longer; what is held for exits is released with the last of them."""
        if order.shares:
            group.legs.remove(order)
        else:
            group.entry = None
        if not group.legs and group.hold:
            self._set_aside(group, -group.hold)
            group.hold = 0
        if not group.legs:
            group.lots = 0
        self._forget_if_over(group)

    def _forget_if_over(self, group: Group) -> None:
        if not group.legs and group.entry is None and not group.unprotected:
            del self.groups[group.id]


_EVOLVE: dict[type, Callable[[State, Any], None]] = {
    journal.WriterStarted: State._writer_started,
    journal.MarketConfigured: State._market_configured,
    journal.MarketStatusChanged: State._market_status_changed,
    journal.FundsMoved: State._funds_moved,
    journal.AccountFrozen: State._account_frozen,
    journal.FeeTierChanged: State._fee_tier_changed,
    journal.CancelTimerSet: State._cancel_timer_set,
    journal.GroupAccepted: State._group_accepted,
    journal.GroupGrown: State._group_grown,
    journal.OrderAccepted: State._order_accepted,
    journal.OrderTriggered: State._order_triggered,
    journal.TrailStarted: State._trail_started,
    journal.ReferenceExtreme: State._reference_extreme,
    journal.OrderAmended: State._order_amended,
    journal.OrderEnded: State._order_ended,
    journal.Traded: State._traded,
    journal.KeysForgotten: State._keys_forgotten,
}
