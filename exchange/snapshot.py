"""Durable state as chunks of bytes, and back: what a fold of the whole journal gives, without the journal.

Layout: a chunk is the JSON of `[kind, rows]`; kinds come in the order of `_RESTORE`, so that what a row names has been read before. Orders stand
in their order of acceptance; the queues of the books and of stops follow as ids in their order. What follows from orders (an account's open
ones, a level's lots, what ends when) is not written. Integers may be text, since they may pass 64 bits. A kind that has no rows has no chunk, so
that a kind may be added: snapshots that were written before it read as they did.
Invariant: the same state gives the same bytes, however it came to be.
"""

from collections.abc import Callable, Iterable, Iterator
from hashlib import sha256
from itertools import islice
from typing import Any

import orjson

from core.errors import InvariantBroken
from core.order_vocabulary import OrderGroupKind, OrderStatus
from core.vocabulary import MarketStatus, OrderSide
from events.journal import CancelTimerSet, GroupAccepted, MarketConfigured, OrderAccepted, OrderTriggered, Terms
from events.journal_codec import UnknownFormat, plain, reader
from exchange.accounts import Account, House, Withdrawal
from exchange.groups import Group
from exchange.market import Market
from exchange.order import Order
from exchange.state import State
from exchange.trailing import Trailing
from exchange.triggers import Triggers

FORMAT = 1
"""Rises when the layout changes; a snapshot of another format is not read, the journal is folded instead."""
Row = list[Any]


def chunks(state: State, *, size: int = 500) -> Iterator[bytes]:
    """Durable state in chunks of so many rows, each made when it is asked for. The state must stand still until the last one is made."""
    sections: dict[str, Iterator[Row]] = {
        "state": iter([_head(state)]),
        "market": map(_market, state.markets.values()),
        "account": map(_account, state.accounts.values()),
        "debt": (row for account in state.accounts.values() for row in _debts(account)),
        "withdrawal": ([each.id, each.account, each.asset, str(each.units)] for each in state.withdrawals.values()),
        "key": ([account_id, key, *state.accounts[account_id].keys[key]] for _, account_id, key in state.remembered),
        "group": map(_group, state.groups.values()),
        "order": (_order(state, order) for order in state.orders.values()),
        "resting": ([order.id] for order in _resting(state)),
        "waiting": ([order_id] for triggers in state.triggers.values() for order_id in triggers.waiting()),
    }
    for kind, rows in sections.items():
        while piece := list(islice(rows, size)):
            try:
                yield orjson.dumps([kind, piece])
            except TypeError:  # an integer of more than 64 bits
                yield orjson.dumps([kind, plain(piece)])


def restore(chunks: Iterable[bytes]) -> State:
    """The state that these chunks were made of.

    Raises:
        UnknownFormat: this is no snapshot that this version writes. Whether it is undamaged, its digest tells.
    """
    state = State()
    try:
        for chunk in chunks:
            kind, rows = orjson.loads(chunk)
            read = _RESTORE[kind]
            for row in rows:
                read(state, row)
    except (orjson.JSONDecodeError, InvariantBroken, LookupError, TypeError, ValueError) as error:
        raise UnknownFormat("the snapshot cannot be read") from error
    return state


def digest_of(chunks: Iterable[bytes]) -> str:
    """The SHA-256 of chunks."""
    found = sha256()
    for chunk in chunks:
        found.update(chunk)
    return found.hexdigest()


def digest(state: State) -> str:
    """What two states have in common only if they are the same: `digest_of` their chunks."""
    return digest_of(chunks(state))


def _head(state: State) -> Row:
    reserves = sorted(name for name in state.house if not isinstance(name, House))
    house = [
        [str(name), asset, str(units)]
        for name in (*House, *reserves)
        for asset, units in sorted(state.house[name].items())
        if units
    ]
    return [FORMAT, state.sequence, state.epoch, house]


def _restore_head(state: State, row: Row) -> None:
    written_in, state.sequence, state.epoch, house = row
    if written_in != FORMAT:
        raise UnknownFormat(f"the snapshot has format {written_in}; this version reads {FORMAT}")
    for name, asset, units in house:
        state.house_account(name)[asset] = int(units)


def _market(market: Market) -> Row:
    return [[*market.rules], market.status, market.last]


def _restore_market(state: State, row: Row) -> None:
    rules, status, last = row
    market = Market(_READ_RULES(["", *rules]))
    market.status, market.last = MarketStatus(status), int(last)
    state.markets[market.symbol] = market
    state.triggers[market.symbol], state.trailing[market.symbol] = Triggers(), Trailing()


def _account(account: Account) -> Row:
    balances = [
        [asset, str(balance.available), str(balance.held)]
        for asset, balance in sorted(account.balances.items())
        if balance.available or balance.held
    ]
    timers = [[timer.owner, timer.expires_ms, timer.symbols] for timer in account.timers.values()]
    fees = [account.maker_ppm, account.taker_ppm]
    return [account.id, account.sequence, account.frozen, account.forgot, fees, balances, timers]


def _restore_account(state: State, row: Row) -> None:
    account_id, sequence, frozen, forgot, fees, balances, timers = row
    account = state.accounts[account_id] = Account(account_id)
    account.sequence, account.frozen, account.forgot = sequence, frozen, forgot
    account.maker_ppm, account.taker_ppm = fees
    for asset, available, held in balances:
        balance = account.balance(asset)
        balance.available, balance.held = int(available), int(held)
    for owner, expires_ms, symbols in timers:
        account.timers[owner] = CancelTimerSet(account_id, owner, expires_ms, tuple(symbols))
        state.timers.add((expires_ms, account_id, owner))


def _debts(account: Account) -> Iterator[Row]:
    return ([account.id, asset, str(units)] for asset, units in sorted(account.debts.items()))


def _restore_debt(state: State, row: Row) -> None:
    account_id, asset, units = row
    state.accounts[account_id].debts[asset] = int(units)


def _restore_withdrawal(state: State, row: Row) -> None:
    withdrawal_id, account_id, asset, units = row
    withdrawal = Withdrawal(withdrawal_id, account_id, asset, int(units))
    state.withdrawals[withdrawal_id] = state.accounts[account_id].withdrawals[withdrawal_id] = withdrawal


def _restore_key(state: State, row: Row) -> None:
    account_id, key, digest, made = row
    state.accounts[account_id].keys[key] = (digest, made)
    state.remembered.append((made, account_id, key))


def _group(group: Group) -> Row:
    exits = [[*terms] for terms in group.exits]
    return [
        group.account.id, group.market.symbol, group.client_id, group.kind, group.side, exits, group.entered, group.traded,
        group.id, group.created_ms, group.worst, str(group.hold), group.maker_ppm, group.taker_ppm, group.lots, group.unprotected,
        str(group.value), str(group.fee_value), str(group.quote), str(group.fees),
    ]  # fmt: skip


def _restore_group(state: State, row: Row) -> None:
    account_id, symbol, client_id, kind, side, exits, entered, traded, *counted = row
    group_id, created_ms, worst, hold, maker_ppm, taker_ppm, *sums = map(int, counted)
    accepted = GroupAccepted(
        account_id, symbol, client_id, "", OrderGroupKind(kind), OrderSide(side), worst, hold,
        tuple(_READ_TERMS(["", *terms]) for terms in exits), maker_ppm, taker_ppm, created_ms,
    )  # fmt: skip
    group = state.groups[group_id] = Group(group_id, state.accounts[account_id], state.markets[symbol], accepted)
    group.entered, group.traded = entered, traded
    group.lots, group.unprotected, group.value, group.fee_value, group.quote, group.fees = sums


def _order(state: State, order: Order) -> Row:
    peak = state.trailing[order.market.symbol].beside(order).peak(order) if order.follows else None
    return [
        order.account.id, order.market.symbol, order.client_id, [*order.terms], order.status,
        0 if order.group is None else order.group.id, order.shares, peak,
        None if order.trigger is None else [*order.trigger], order.id, order.created_ms, str(order.hold), order.maker_ppm, order.taker_ppm, order.sequence, order.lots, order.remaining, order.visible,
        order.price, str(order.value), str(order.fee_value), str(order.quote), str(order.fees),
    ]  # fmt: skip


def _restore_order(state: State, row: Row) -> None:
    account_id, symbol, client_id, terms, status, group_id, shares, peak, trigger, *counted = row
    order_id, created_ms, hold, maker_ppm, taker_ppm, *sums = map(int, counted)
    account, market, terms = state.accounts[account_id], state.markets[symbol], _READ_TERMS(["", *terms])
    accepted = OrderAccepted(account_id, symbol, client_id, "", terms, hold, maker_ppm, taker_ppm, group_id, created_ms)
    order = Order(order_id, account, market, accepted)
    order.trigger = None if trigger is None else _READ_TRIGGER(["", *trigger])
    order.sequence, order.lots, order.remaining, order.visible = sums[:4]
    order.price, order.value, order.fee_value, order.quote, order.fees = sums[4:]
    order.status, order.shares = OrderStatus(status), shares
    state.orders[order_id] = account.open[order_id] = order
    account.open_in[symbol] += 1
    if terms.expires_ms:
        state.expiring.add((terms.expires_ms, order_id))
    if peak is not None:
        order.follows = True
        state.trailing[symbol].beside(order).add(order, int(peak))
    if group_id:
        group = order.group = state.groups[group_id]
        if shares:
            group.legs.append(order)
        else:
            group.entry = order


def _resting(state: State) -> Iterator[Order]:
    """All that rest, in the order of their queues."""
    for market in state.markets.values():
        for side in (market.bids, market.asks):
            for level in side.levels():
                yield from level.orders()


def _restore_resting(state: State, row: Row) -> None:
    order = state.orders[row[0]]
    order.market.side(order.side).add(order)


def _restore_waiting(state: State, row: Row) -> None:
    order = state.orders[row[0]]
    state.triggers[order.market.symbol].add(order)


_READ_RULES = reader(MarketConfigured)
_READ_TERMS = reader(Terms)
_READ_TRIGGER = reader(OrderTriggered)
_RESTORE: dict[str, Callable[[State, Row], None]] = {
    "state": _restore_head,
    "market": _restore_market,
    "account": _restore_account,
    "debt": _restore_debt,
    "withdrawal": _restore_withdrawal,
    "key": _restore_key,
    "group": _restore_group,
    "order": _restore_order,
    "resting": _restore_resting,
    "waiting": _restore_waiting,
}
