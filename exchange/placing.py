"""Lets orders in: one by one, and in groups."""

from core.order_vocabulary import OrderErrorCode, OrderGroupKind
from core.vocabulary import PriceSource
from events import commands, journal
from exchange.accounts import Account
from exchange.checks import Admitted, admission, dearest, exits_of, fees_of, market_refusal, oco_hold, terms_of
from exchange.groups import Group
from exchange.holds import group_hold
from exchange.keys import Keys
from exchange.market import Market
from exchange.matching import Emit, Matcher
from exchange.order import Order
from exchange.plain import plain_limit
from exchange.references import Known, References
from exchange.refusal import Refusal
from exchange.reply import Reply
from exchange.state import State
from exchange.walk import opposite
from exchange.watching import Watch
from exchange.words import BUY, OPEN, TRADING, TRIGGER_PENDING

Code = OrderErrorCode


class Desk:
    """Judges what is asked for, and accepts it. `now_ms` is when."""

    def __init__(self, state: State, keys: Keys, matcher: Matcher, watch: Watch, emit: Emit) -> None:
        self._state = state
        self._keys = keys
        self._matcher = matcher
        self._watch = watch
        self._emit = emit
        self.now_ms = 0

    def place(self, command: commands.PlaceOrder, now_ms: int) -> Reply:
        """Place one order."""
        met = self._meet(command, command.wish)
        if isinstance(met, Reply):
            return met
        account, market = met
        fees = fees_of(account, market)
        admitted = self._judge(account, market, command.wish, now_ms, fees=fees)
        if isinstance(admitted, Refusal):
            return Reply(admitted)
        order = self._accept(command.account, market, command.client_id, command.digest, admitted, fees=fees)
        return Reply(None, order, order.id)

    def _judge(
        self, account: Account, market: Market, wish: commands.OrderWish, now_ms: int, *, fees: tuple[int, int]
    ) -> Admitted | Refusal:
        """The terms of a single order and what it holds, or the first thing that is wrong with it."""
        around = self._watch.around(market) if market.band_ppm else 0
        plain = plain_limit(market, account, wish, around, fees)
        if plain is not None:
            return plain
        references = self._watch.references(market.symbol)
        terms = terms_of(market, wish, references, now_ms)
        if isinstance(terms, Refusal):
            return terms
        house = self._matcher.offered(market, terms.side)
        return admission(
            market, account, terms, wish, references=references, house=house, maker_ppm=fees[0], taker_ppm=fees[1]
        )

    def _meet(
        self, command: commands.PlaceOrder | commands.PlaceOco | commands.PlaceBracket, wish: commands.OrderWish
    ) -> Reply | tuple[Account, Market]:
        """The account and market of a wish, or what comes before a look at its terms: its key was used, or it may not be placed at all."""
        account = self._state.accounts.get(command.account) or Account(command.account)
        used = self._keys.used(account, command.client_id)
        if used is not None and used[0] == command.digest:
            return Reply(made=used[1], order=self._state.orders.get(used[1]), replayed=True)
        if account.frozen:
            return Reply(Refusal(Code.ACCOUNT_FROZEN))
        if not command.verified:
            return Reply(Refusal(Code.EMAIL_NOT_VERIFIED))
        if used is not None:
            field = "clientOrderId" if isinstance(command, commands.PlaceOrder) else "clientGroupId"
            return Reply(Refusal(Code.IDEMPOTENCY_MISMATCH, field))
        market = self._state.markets.get(wish.symbol)
        if market is None:
            return Reply(Refusal(Code.UNKNOWN_MARKET, "symbol"))
        refused = None if market.status is TRADING else market_refusal(market, wish)
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
        (terms, hold), (maker_ppm, taker_ppm) = admitted, fees
        accepted = (account_id, market.symbol, client_id, digest, terms, hold, maker_ppm, taker_ppm, group, self.now_ms)
        self._emit(tuple.__new__(journal.OrderAccepted, accepted))  # half the time of the constructor
        order = self._state.orders[self._state.sequence]
        if order.status is OPEN:
            self._matcher.match(order)
        elif terms.trail and not terms.activation:
            newest = self._watch.references(market.symbol).newest(terms.source)
            self._watch.follow(order, newest or Known(market.last, PriceSource.EXCHANGE, 0))
        return order

    def place_oco(self, command: commands.PlaceOco, now_ms: int) -> Reply:
        """Place two orders of which one ends the other; `made` is the group."""
        met = self._meet(command, command.profit)
        if isinstance(met, Reply):
            return met
        account, market = met
        references = self._watch.references(market.symbol)
        exits = exits_of(market, (command.profit, command.stop), command.profit.side, references, now_ms)
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

    def place_bracket(self, command: commands.PlaceBracket, now_ms: int) -> Reply:
        """Place an entry that exits will follow; `made` is the group, `order` the entry."""
        met = self._meet(command, command.entry)
        if isinstance(met, Reply):
            return met
        account, market = met
        fees = fees_of(account, market)
        admitted = self._judge(account, market, command.entry, now_ms, fees=fees)
        if isinstance(admitted, Refusal):
            return Reply(admitted)
        wishes = [exit_._replace(quantity=(market.max_lots or 10**12) * market.lot) for exit_ in command.exits]
        exits = exits_of(market, wishes, opposite(command.entry.side), References(), now_ms)
        if isinstance(exits, Refusal):
            return Reply(exits)
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
                self.now_ms,
            )
        )
        return self._state.groups[self._state.sequence]

    def _open_exits(self, group: Group) -> None:
        """Let the exits of a group in, each for all of its lots."""
        for number, terms in enumerate(group.exits, 1):
            if group.lots:
                self._accept(
                    group.account.id, group.market, f"{group.client_id}/exit-{number}", "",
                    (terms._replace(lots=group.lots), 0), fees=(group.maker_ppm, group.taker_ppm), group=group.id,
                )  # fmt: skip

    def protect(self) -> None:
        """Open or enlarge the exits of brackets whose entry has filled."""
        filled = self._matcher.filled
        while filled:
            group = filled.pop(next(iter(filled)))
            lots, market = group.unprotected, group.market
            hold = group_hold(group, group.lots + lots) - group.hold
            asset = market.quote if group.side is BUY else market.base
            if group.account.balance(asset).available < hold:
                self._emit(journal.GroupGrown(group.id, 0, 0))
                continue
            begins = not group.legs
            self._emit(journal.GroupGrown(group.id, lots, hold))
            if begins:
                self._open_exits(group)
            for leg in list(group.legs):
                if leg.status is not TRIGGER_PENDING and leg.id in self._state.orders:
                    self._matcher.match(leg)
