"""Whatever is asked of the exchange: money is kept, the book is in order, and its journal says everything."""

from collections import defaultdict
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from core.order_vocabulary import OrderStatus, OrderType, SelfTradePrevention, TimeInForce
from core.vocabulary import MarketStatus, OrderSide, PriceSource
from events.commands import (
    Advance,
    AmendOrder,
    CancelAll,
    CancelGroup,
    CancelOrder,
    Command,
    ConfigureMarket,
    CreditDeposit,
    ForgetKeys,
    FreezeAccount,
    HoldWithdrawal,
    MoveFunds,
    MoveHouseFunds,
    OrderWish,
    PlaceBracket,
    PlaceOco,
    PlaceOrder,
    ReferenceBook,
    ReferenceLost,
    ReferencePrice,
    ReleaseWithdrawal,
    RepayDebt,
    ReverseDeposit,
    SetCancelTimer,
    SetFeeTier,
    SetMarketStatus,
    SettleWithdrawal,
)
from events.journal import Traded
from events.journal_codec import FORMAT, decode, encode
from exchange.accounts import House, cold_reserve, hot_reserve
from exchange.engine import Exchange, fold
from exchange.market import ATTO
from exchange.order import WITH_STOP
from exchange.snapshot import digest
from exchange.state import State
from tests.exchange.floor import BUY, EXACT, FUNDS, ROUNDING, SYMBOLS, Floor, wish
from tests.exchange.obvious import ObviousBook

PEOPLE = ("ann", "bob", "cat")
sides = st.sampled_from(OrderSide)
people = st.sampled_from(PEOPLE)


@st.composite
def wishes(draw: st.DrawFn) -> OrderWish:
    rules = draw(st.sampled_from((EXACT, ROUNDING)))
    kind = draw(st.sampled_from(OrderType))
    prices = st.one_of(st.integers(95, 105), st.integers(0, 10**12))
    lots = st.one_of(st.integers(1, 40), st.integers(0, 10**12))
    drawn = wish(
        draw(sides), kind, rules=rules,
        lots=draw(st.one_of(st.none(), lots)) if kind is OrderType.MARKET else draw(lots),
        price=draw(prices) if "LIMIT" in kind else None,
        stop=draw(prices) if kind in WITH_STOP else None,
        display=draw(st.one_of(st.none(), st.integers(1, 10))) if kind is OrderType.LIMIT else None,
        trail=draw(st.integers(1, 10)) if kind is OrderType.TRAILING_STOP else None,
        activation=draw(st.one_of(st.none(), st.integers(90, 110))) if kind is OrderType.TRAILING_STOP else None,
        time_in_force=draw(st.sampled_from(TimeInForce)),
        post_only=draw(st.booleans()) if kind is OrderType.LIMIT else False,
        self_trade=draw(st.sampled_from(SelfTradePrevention)),
    )  # fmt: skip
    if drawn.quantity is None:
        drawn = drawn._replace(quote_quantity=draw(st.integers(0, 10**22)))
    if drawn.time_in_force is TimeInForce.GTD:
        drawn = drawn._replace(good_till_ms=draw(st.integers(1, 200)) + 1_700_000_000_000)
    return drawn


near = st.integers(90, 110)
small = st.one_of(st.none(), st.integers(1, 110))
mirrored = st.lists(st.tuples(st.integers(90, 110), st.integers(0, 30)), max_size=4)
keys = st.one_of(st.none(), st.integers(0, 3))
amounts = st.tuples(st.sampled_from(sorted(FUNDS)), st.one_of(st.integers(-1, 100), st.integers(1, 10**22)))
HOUSES = (hot_reserve("ethereum"), cold_reserve("ethereum"), House.NETWORK_FEES, House.FEES)
actions = st.one_of(
    st.tuples(st.just("place"), people, keys, wishes()),
    st.tuples(st.just("cancel"), people, st.integers(0, 60), st.none()),
    st.tuples(st.just("oco"), people, sides, st.tuples(near, near, st.integers(1, 40))),
    st.tuples(st.just("bracket"), people, wishes(), st.tuples(near, near, st.booleans())),
    st.tuples(st.just("cancel group"), people, st.integers(0, 60), st.none()),
    st.tuples(st.just("amend"), people, st.integers(0, 60), st.tuples(small, small, small, small)),
    st.tuples(st.just("cancel all"), people, st.none(), sides),
    st.tuples(st.just("price"), st.sampled_from((EXACT, ROUNDING)), st.integers(90, 110), st.booleans()),
    st.tuples(st.just("book"), st.sampled_from((EXACT, ROUNDING)), st.tuples(mirrored, mirrored), st.booleans()),
    st.tuples(st.just("lost"), st.sampled_from(SYMBOLS), st.none(), st.none()),
    st.tuples(st.just("status"), st.sampled_from(SYMBOLS), st.sampled_from(MarketStatus), st.none()),
    st.tuples(st.just("freeze"), people, st.booleans(), st.none()),
    st.tuples(st.just("tier"), people, st.integers(0, 2000), st.integers(0, 2000)),
    st.tuples(st.just("withdraw"), people, st.sampled_from(sorted(FUNDS)), st.integers(1, 10**22)),
    st.tuples(st.just("deposit"), people, amounts, st.integers(0, 5)),
    st.tuples(st.just("reversal"), people, amounts, st.integers(0, 5)),
    st.tuples(st.just("repay"), people, st.sampled_from(sorted(FUNDS)), st.none()),
    st.tuples(st.just("hold"), people, amounts, st.integers(0, 5)),
    st.tuples(st.just("end"), st.integers(0, 3), st.booleans(), st.sampled_from((0, 1, 10**9))),
    st.tuples(st.just("house funds"), st.permutations(HOUSES), amounts, st.integers(0, 5)),
    st.tuples(st.just("timer"), people, st.integers(0, 60), st.sampled_from(((), (EXACT.symbol,)))),
    st.tuples(st.just("rules"), st.sampled_from((EXACT, ROUNDING)), st.booleans(), st.none()),
    st.tuples(st.just("forget"), st.integers(0, 80), st.none(), st.none()),
    st.tuples(st.just("later"), st.integers(1, 100), st.none(), st.none()),
)


@dataclass
class Script:
    """Turns actions into commands."""

    floor: Floor

    def command(self, action: tuple[Any, ...]) -> Command:
        kind, a, b, c = action
        match kind:
            case "place":
                key = self.floor.key() if b is None else f"again-{b}"
                return PlaceOrder(a, key, f"digest of {c}", c)
            case "cancel":
                return CancelOrder(a, order=b)
            case "cancel all":
                return CancelAll(a, sides=(c,))
            case "amend":
                order = self.floor.exchange.state.orders.get(b)
                rules = ROUNDING if order is not None and order.market.symbol == ROUNDING.symbol else EXACT
                scales = (rules.lot, rules.tick, rules.tick, rules.lot)
                return AmendOrder(
                    a, b, "", *[None if n is None else n * scale for n, scale in zip(c, scales, strict=True)]
                )
            case "oco":
                profit, stop, lots = c
                key = self.floor.key()
                return PlaceOco(
                    a,
                    key,
                    key,
                    wish(b, OrderType.LIMIT, lots=lots, price=profit),
                    wish(b, OrderType.STOP_LOSS, lots=lots, stop=stop),
                )
            case "bracket":
                key = self.floor.key()
                return PlaceBracket(a, key, key, b, self.exits(b, *c))
            case "cancel group":
                return CancelGroup(a, b)
            case "withdraw":
                key = self.floor.key()
                return MoveFunds(a, House.TEST_FUNDS, b, -c, key, key)
        return self.funds(kind, a, b, c) or self.other(kind, a, b, c)

    def funds(self, kind: str, a: Any, b: Any, c: Any) -> Command | None:
        """What happens on chains; few keys, so that some are used again."""
        if kind == "repay":
            return RepayDebt(a, b)
        if kind == "end":
            return self.ending(a, b, c)
        if kind not in {"deposit", "reversal", "hold", "house funds"}:
            return None
        asset, units = b
        match kind:
            case "deposit":
                return CreditDeposit(a, asset, units, HOUSES[0], f"§in-{c}", f"{b}")
            case "reversal":
                return ReverseDeposit(a, asset, units, HOUSES[0], f"§back-{c}", f"{b}")
            case "hold":
                return HoldWithdrawal(a, asset, units, f"again-{c}", f"{b}")
        return MoveHouseFunds(a[0], a[1], asset, units, f"§moved-{c}", f"{a} {b}")

    def ending(self, place: int, settles: bool, fee: int) -> Command:
        """Settle or release the open withdrawal at this place, or one that there is not."""
        withdrawals = list(self.floor.exchange.state.withdrawals.values())
        which = withdrawals[place].id if place < len(withdrawals) else place
        who = withdrawals[place].account if place < len(withdrawals) else "ann"
        if settles:
            return SettleWithdrawal(who, which, HOUSES[0], fee, f"§end-{which}", "settled")
        return ReleaseWithdrawal(who, which, f"§end-{which}", "released")

    def exits(self, entry: OrderWish, profit: int, stop: int, both: bool) -> tuple[OrderWish, ...]:
        side = OrderSide.SELL if entry.side is OrderSide.BUY else OrderSide.BUY
        rules = EXACT if entry.symbol == EXACT.symbol else ROUNDING
        taken = wish(side, OrderType.LIMIT, price=profit, rules=rules)
        trails = side is OrderSide.SELL and stop % 3 == 0
        stopped = (
            wish(side, OrderType.TRAILING_STOP, trail=1 + profit % 9, rules=rules)
            if trails
            else wish(side, OrderType.STOP_LOSS, stop=stop, rules=rules)
        )
        return (taken, stopped) if both else (stopped,)

    def other(self, kind: str, a: Any, b: Any, c: Any) -> Command:
        match kind:
            case "price":
                return ReferencePrice(a.symbol, b * a.tick, PriceSource.KRAKEN, self.floor.now_ms, is_mark=c)
            case "book":
                bids, asks = (tuple((price * a.tick, lots * a.lot) for price, lots in levels) for levels in b)
                return ReferenceBook(a.symbol, bids, asks, c, inventory_limit=50 * a.lot * 10**a.base_scale // ATTO)
            case "lost":
                return ReferenceLost(a)
            case "status":
                return SetMarketStatus(a, b, "a test")
            case "freeze":
                return FreezeAccount(a, b)
            case "timer":
                return SetCancelTimer(a, "session", b, c)
            case "rules":
                return ConfigureMarket(a._replace(has_reference=b))
            case "forget":
                return ForgetKeys(a)
            case "tier":
                return SetFeeTier(a, b, c)
        self.floor.now_ms += a
        return Advance()


def check_money(state: State) -> None:
    """Each asset sums to zero, nobody has or owes less than nothing, what is held is what open orders and withdrawals hold, and what is owed
    is what the house has lost."""
    sums: dict[str, int] = defaultdict(int)
    owed: dict[str, int] = defaultdict(int)
    open_ones = [each for account in state.accounts.values() for each in account.withdrawals.values()]
    assert sorted(open_ones, key=lambda each: each.id) == list(state.withdrawals.values())
    for balances in state.house.values():
        for asset, units in balances.items():
            sums[asset] += units
    for account in state.accounts.values():
        assert not (account.frozen and account.open)
        held: dict[str, int] = defaultdict(int)
        for order in account.open.values():
            assert order.hold >= 0
            assert not order.shares or not order.hold
            held[order.market.quote if order.terms.side is BUY else order.market.base] += order.hold
        for group in state.groups.values():
            if group.account is account:
                assert all(leg.remaining == group.lots for leg in group.legs)
                held[group.market.quote if group.side is BUY else group.market.base] += group.hold
        for withdrawal in account.withdrawals.values():
            assert withdrawal.units > 0
            held[withdrawal.asset] += withdrawal.units
        for asset, debt in account.debts.items():
            assert debt > 0
            owed[asset] += debt
        assert {asset for asset, units in held.items() if units} <= set(account.balances)
        for asset, balance in account.balances.items():
            assert balance.available >= 0
            assert balance.held == held[asset]
            sums[asset] += balance.available + balance.held
    assert not any(sums.values()), sums
    lost = state.house[House.CHAIN_LOSS]
    assert all(lost.get(asset, 0) == -owed[asset] for asset in {*owed, *lost}), (owed, lost)
    assert state.house[House.ROUNDING]["USDT"] == 0
    assert state.house[House.ROUNDING]["USD"] >= 0


def check_groups(state: State) -> None:
    """Every group has open orders, and whatever an entry filled has been looked at."""
    for group in state.groups.values():
        assert group.legs or group.entry
        assert not group.unprotected
        assert {leg.group for leg in group.legs} <= {group}


def check_times(state: State) -> None:
    """What ends at a time is known in its order, and nothing else."""
    expiring = [(order.terms.expires_ms, order.id) for order in state.orders.values() if order.terms.expires_ms]
    assert list(state.expiring) == sorted(expiring)
    timers = [
        (timer.expires_ms, account.id, owner)
        for account in state.accounts.values()
        for owner, timer in account.timers.items()
    ]
    assert list(state.timers) == sorted(timers)


def check_books(state: State) -> None:
    """No side reaches the other, levels are sorted and add up, and every open order is where it belongs."""
    for market in state.markets.values():
        bids, asks = list(market.bids.levels()), list(market.asks.levels())
        assert [level.price for level in bids] == sorted({level.price for level in bids}, reverse=True)
        assert [level.price for level in asks] == sorted({level.price for level in asks})
        assert (market.bids.best, market.asks.best) == (bids[0] if bids else None, asks[0] if asks else None)
        assert not bids or not asks or bids[0].price < asks[0].price
        resting = [order for level in (*bids, *asks) for order in level.orders()]
        assert all(level.visible == sum(order.visible for order in level.orders()) for level in (*bids, *asks))
        assert all(0 < order.visible <= order.remaining <= order.lots for order in resting)
        waiting = set(state.triggers[market.symbol].waiting()) | set(state.trailing[market.symbol].peaks())
        mine = {order.id for order in state.orders.values() if order.market is market}
        assert {order.id for order in resting} | waiting == mine
        assert not {order.id for order in resting} & waiting


@given(st.lists(actions, max_size=60))
@settings(max_examples=150, deadline=None)
def test_whatever_happens_money_is_kept_and_the_journal_tells_it_all(script: list[tuple[Any, ...]]) -> None:
    floor = Floor(*PEOPLE)
    exchange, translate = floor.exchange, Script(floor)
    for action in script:
        command = translate.command(action)
        before = digest(exchange.state)
        reply = exchange.execute(command, floor.now_ms)
        new = floor.collect()
        if reply.refusal is not None or reply.replayed:
            assert new == []
        if not new:
            assert digest(exchange.state) == before
        check_money(exchange.state)
        check_books(exchange.state)
        check_times(exchange.state)
        check_groups(exchange.state)
    stored = decode(encode(floor.events), written_in=FORMAT)
    assert stored == floor.events
    assert digest(fold(stored)) == digest(exchange.state)


@given(st.lists(st.tuples(people, sides, st.integers(95, 105), st.integers(1, 30), st.sampled_from(["GTC", "IOC"]),
                          st.integers(0, 8), st.sampled_from(SelfTradePrevention), st.integers(-4, 40)), max_size=80))  # fmt: skip
@settings(max_examples=150, deadline=None)
def test_the_obvious_matcher_agrees(script: list[tuple[Any, ...]]) -> None:
    floor, book = Floor(*PEOPLE), ObviousBook()
    names: dict[int, str] = {}
    traded: list[tuple[str, str, int, int]] = []
    for number, (owner, side, price, lots, force, display, prevention, cancels) in enumerate(script):
        if cancels in range(number):
            reply = floor.exchange.execute(CancelOrder(owner, client_id=f"order-{cancels}"), floor.now_ms)
            floor.collect()
            book.cancel(f"order-{cancels}", owner)
            assert reply.refusal is None or reply.refusal.code in {"UNKNOWN_ORDER", "ORDER_NOT_OPEN"}
            continue
        name = f"order-{number}"
        shown = display if force == "GTC" and 0 < display <= lots else None
        before = len(floor.events)
        reply = floor.place(
            owner,
            wish(side, OrderType.LIMIT, lots=lots, price=price, display=shown, time_in_force=TimeInForce(force),
                 self_trade=prevention),
            name,
        )  # fmt: skip
        if reply.refusal is not None:
            assert reply.refusal.code == "NOTIONAL_TOO_SMALL"
            continue
        names[reply.made] = name
        book.limit(name, owner, side, price, lots, rests=force == "GTC", display=shown or 0, prevention=prevention)
        traded += [
            (names[event.maker], names[event.taker], event.price, event.lots)
            for event in floor.events[before:]
            if isinstance(event, Traded)
        ]
        assert traded == book.trades
    state = floor.exchange.state
    market = state.markets[EXACT.symbol]
    for side, levels in ((OrderSide.BUY, market.bids), (OrderSide.SELL, market.asks)):
        ours = [
            (names[order.id], order.price, order.remaining, order.visible)
            for level in levels.levels()
            for order in level.orders()
        ]
        sign = -1 if side is OrderSide.BUY else 1
        theirs = sorted(
            (order for order in book.resting if order.side is side), key=lambda order: (sign * order.price, order.place)
        )
        assert ours == [(order.name, order.price, order.left, order.shown) for order in theirs]
    check_money(state)


def test_an_order_of_many_fills_pays_what_one_of_a_single_fill_pays() -> None:
    def total(parts: list[int]) -> tuple[int, int]:
        floor = Floor("ann", "bob")
        for lots in parts:
            floor.place("ann", wish(OrderSide.SELL, OrderType.LIMIT, lots=lots, price=123_457, rules=ROUNDING))
        reply = floor.place("bob", wish(BUY, OrderType.LIMIT, lots=sum(parts), price=123_457, rules=ROUNDING))
        assert reply.order is not None
        assert reply.order.status is OrderStatus.FILLED
        return reply.order.quote, reply.order.fees

    value = Decimal("1234.57") * Decimal("0.0007")
    assert total([70]) == total([7] * 10) == total([2] * 35) == (87, 1)
    assert value == Decimal("0.864199"), "so 87 cents, and a fee of a seventh of a cent, rounded up"


def test_state_is_what_the_exchange_starts_with() -> None:
    assert digest(State()) == digest(Exchange().state)
