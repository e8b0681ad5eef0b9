"""Durable state, and the one way it changes: `evolve`. Folding a journal through it gives what the writer had, bit for bit.

`evolve` never refuses: what an event says has been decided. What cannot be is a broken invariant and stops the exchange.
"""

from collections import defaultdict, deque
from collections.abc import Callable
from typing import Any

from sortedcontainers import SortedList

from core.errors import InvariantBroken
from core.order_vocabulary import OrderGroupKind
from events import journal
from exchange import transfers
from exchange.accounts import Account, House, HouseBalances, Withdrawal, is_house
from exchange.fills import finish, forget_if_over, set_aside, traded
from exchange.groups import Group
from exchange.market import Market
from exchange.order import TRIGGERED, Order
from exchange.trailing import Trailing
from exchange.triggers import Triggers, awaited
from exchange.words import BUY, LIMIT, OPEN, TRIGGER_PENDING


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
        self.withdrawals: dict[int, Withdrawal] = {}
        """Those that hold something, oldest first."""
        self.house: dict[str, HouseBalances] = {house: defaultdict(int) for house in House}
        self.expiring: SortedList[tuple[int, int]] = SortedList()
        """Times and open orders that end then, the next first."""
        self.timers: SortedList[tuple[int, str, str]] = SortedList()
        """Times, accounts and owners of cancel timers that are set, the next first."""
        self.remembered: deque[tuple[int, str, str]] = deque()
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

    def house_account(self, name: str) -> HouseBalances:
        """This account of the house; a reserve exists from its first event on. Raises InvariantBroken for a name that no such account has."""
        balances = self.house.get(name)
        if balances is None:
            if not is_house(name):
                raise InvariantBroken(f"the house has no account {name}")
            balances = self.house[name] = defaultdict(int)
        return balances

    def remember(self, account: Account, key: str, digest: str) -> None:
        """Let a client's key have led to this event."""
        account.keys[key] = (digest, self.sequence)
        self.remembered.append((self.sequence, account.id, key))

    def _writer_started(self, event: journal.WriterStarted) -> None:
        self.epoch = event.epoch

    def _keys_forgotten(self, event: journal.KeysForgotten) -> None:
        while self.remembered and self.remembered[0][0] <= event.through:
            _, account_id, key = self.remembered.popleft()
            account = self.accounts[account_id]
            del account.keys[key]
            account.forgot = True

    def _market_configured(self, event: journal.MarketConfigured) -> None:
        market = self.markets.get(event.symbol)
        if market is None:
            self.markets[event.symbol] = Market(event)
            self.triggers[event.symbol] = Triggers()
            self.trailing[event.symbol] = Trailing()
        else:
            market.last = market.last * market.tick // event.tick
            market.configure(event)

    def _market_status_changed(self, event: journal.MarketStatusChanged) -> None:
        self.markets[event.symbol].status = event.status

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
        before = account.timers.pop(event.owner, None)
        if before is not None:
            self.timers.remove((before.expires_ms, account.id, event.owner))
        if event.expires_ms:
            account.timers[event.owner] = event
            self.timers.add((event.expires_ms, account.id, event.owner))
        account.sequence = self.sequence

    def _group_accepted(self, event: journal.GroupAccepted) -> None:
        account, market = self.account(event.account), self.markets[event.symbol]
        group = self.groups[self.sequence] = Group(self.sequence, account, market, event)
        set_aside(group, event.hold)
        self.remember(account, event.client_id, event.digest)
        account.sequence = self.sequence

    def _group_grown(self, event: journal.GroupGrown) -> None:
        group = self.groups[event.group]
        group.account.sequence = self.sequence
        if not event.lots:
            group.unprotected = 0
            forget_if_over(self, group)
            return
        group.unprotected -= event.lots
        group.lots += event.lots
        group.hold += event.hold
        set_aside(group, event.hold)
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

    def _order_accepted(self, event: journal.OrderAccepted) -> None:
        account_id, symbol, client_id, digest, terms, hold, _, _, group, _ = event
        sequence, market = self.sequence, self.markets[symbol]
        account = self.accounts.get(account_id) or self.account(account_id)
        order = Order(sequence, account, market, event)
        if hold:
            set_aside(order, hold)
        self.orders[sequence] = account.open[sequence] = order
        account.open_in[symbol] += 1
        account.sequence = sequence
        if group:
            self._join(order, self.groups[group])
        else:
            account.keys[client_id] = (digest, sequence)
            self.remembered.append((sequence, account_id, client_id))
        if terms.expires_ms:
            self.expiring.add((terms.expires_ms, sequence))
        if order.rests and terms.type is LIMIT:
            (market.bids if order.side is BUY else market.asks).add(order)
        elif terms.type in TRIGGERED:
            order.status = TRIGGER_PENDING
            if awaited(terms):
                self.triggers[symbol].add(order)

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
        order.trigger = event
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
        if terms.expires_ms != order.terms.expires_ms:
            self.expiring.remove((order.terms.expires_ms, order.id))
            self.expiring.add((terms.expires_ms, order.id))
        order.remaining += terms.lots - order.lots
        order.lots, order.price, order.terms = terms.lots, terms.price, terms
        shown = min(terms.display or order.remaining, order.remaining)
        if level is not None and event.keeps_place:
            shown = min(order.visible, shown)
            level.visible += shown - order.visible
        order.visible = shown
        set_aside(order, event.hold - order.hold)
        order.hold = event.hold
        order.sequence = order.account.sequence = self.sequence
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
        order.reason = event.code
        order.sequence = order.account.sequence = self.sequence
        finish(self, order)


_EVOLVE: dict[type, Callable[[State, Any], None]] = {
    journal.WriterStarted: State._writer_started,
    journal.MarketConfigured: State._market_configured,
    journal.MarketStatusChanged: State._market_status_changed,
    journal.FundsMoved: transfers.funds_moved,
    journal.DepositCredited: transfers.deposit_credited,
    journal.DepositReversed: transfers.deposit_reversed,
    journal.DebtRepaid: transfers.debt_repaid,
    journal.WithdrawalHeld: transfers.withdrawal_held,
    journal.WithdrawalSettled: transfers.withdrawal_settled,
    journal.WithdrawalReleased: transfers.withdrawal_released,
    journal.HouseFundsMoved: transfers.house_funds_moved,
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
    journal.Traded: traded,
    journal.KeysForgotten: State._keys_forgotten,
}
