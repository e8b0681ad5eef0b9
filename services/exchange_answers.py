"""Answers of the exchange's writer, made at the moment a command has been executed: what the core holds changes with the next one."""

from core.money import figure
from core.order_vocabulary import OrderErrorCode
from core.vocabulary import OrderSide
from events import commands
from events.answers import Answer, HouseLine, HouseState, PreviewOrder, PreviewState, RefusalState, TimerState
from events.commands import Command, OrderWish
from exchange.accounts import House
from exchange.engine import Exchange
from exchange.market import Market
from exchange.preview import Preview
from exchange.refusal import Refusal
from exchange.reply import Reply
from services.trading_states import TradingStates, amount, atto, group_state


class Answers:
    """Puts replies of the core into words that travel. `sequence` of each is filled in when its batch is appended."""

    def __init__(self, exchange: Exchange, scales: dict[str, int]) -> None:
        self._exchange = exchange
        self._scales = scales
        self._states = TradingStates()

    def of(self, command: Command, reply: Reply, now_ms: int) -> Answer:
        """What became of a command."""
        if reply.refusal is not None:
            return Answer(refusal=self._refusal(command, reply), sequence=self._exchange.state.sequence)
        orders = [] if reply.order is None or reply.replayed else [reply.order]
        group = self._exchange.state.groups.get(reply.made)
        if group is not None and not reply.replayed:
            orders += [leg for leg in group.legs if leg is not reply.order]
        orders += reply.ended
        return Answer(
            made=reply.made,
            replayed=reply.replayed,
            orders=tuple([self._states.order(order, now_ms) for order in orders]),
            group=None
            if group is None or reply.replayed
            else group_state(
                group,
                tuple([order.id for order in orders]),
                lives=True,
                sequence=self._exchange.state.sequence,
            ),
            timer=self._timer(command),
            sequence=self._exchange.state.sequence,
        )

    def _timer(self, command: Command) -> TimerState | None:
        if not isinstance(command, commands.SetCancelTimer):
            return None
        account = self._exchange.state.accounts.get(command.account)
        timer = None if account is None else account.timers.get(command.owner)
        return None if timer is None else TimerState(timer.owner, timer.symbols, timer.expires_ms)

    def _refusal(self, command: Command, reply: Reply) -> RefusalState | None:
        if reply.refusal is None:
            return None
        if isinstance(command, commands.OF_AN_ASSET):
            scale = self._scales[command.asset]
            limit, actual = (
                None if each is None else amount(each, scale) for each in (reply.refusal.limit, reply.refusal.actual)
            )
            return RefusalState(reply.refusal.code, reply.refusal.field, limit, actual)
        wish = _wish_of(command)
        if wish is not None:
            return self._stated(reply.refusal, self._exchange.state.markets.get(wish.symbol), wish.side)
        if reply.order is not None:
            return self._stated(reply.refusal, reply.order.market, reply.order.side)
        return self._stated(reply.refusal, None, OrderSide.BUY)

    def _stated(self, refusal: Refusal, market: Market | None, side: OrderSide) -> RefusalState:
        """A refusal about an order of this side, which pays with the quote asset or the base asset."""
        limit, actual = (
            self._states.refused_number(refusal, number, market, side) for number in (refusal.limit, refusal.actual)
        )
        return RefusalState(refusal.code, refusal.field, limit, actual)

    def preview(self, asked: PreviewOrder, preview: Preview) -> PreviewState:
        """What an order would do. `total` is the most a purchase could cost, and what a sale would bring at once, fees considered."""
        wish, market = asked.wish, self._exchange.state.markets.get(asked.wish.symbol)
        refusal = None if preview.refusal is None else self._stated(preview.refusal, market, wish.side)
        if not asked.verified and (refusal is None or refusal.code is not OrderErrorCode.ACCOUNT_FROZEN):
            refusal = RefusalState(OrderErrorCode.EMAIL_NOT_VERIFIED)
        if market is None:
            return PreviewState((), None, None, None, None, None, None, None, refusal)
        scales = self._states.scales(market)
        buys = wish.side is OrderSide.BUY
        if not preview.levels:
            total = scales.quoted(preview.hold) if buys and preview.hold else None
            return PreviewState((), None, None, None, None, None, None, total, refusal)
        best, average = scales.price(preview.levels[0][0]), atto(preview.average)
        return PreviewState(
            tuple([(scales.price(price), scales.quantity(lots)) for price, lots in preview.levels]),
            scales.quantity(preview.lots),
            average,
            scales.price(preview.worst),
            figure(abs(average - best) / best),
            scales.quoted(preview.fee),
            market.quote,
            scales.quoted(max(preview.hold, preview.quote + preview.fee) if buys else preview.quote - preview.fee),
            refusal,
        )

    def house(self) -> HouseState:
        """What the house owns and owes, with the most that quoting may bring it."""
        state = self._exchange.state
        limits: dict[str, int] = {}
        for market in state.markets.values():
            quotes = self._exchange.quotes(market.symbol)
            if quotes is not None:
                limits[market.base] = max(limits.get(market.base, 0), quotes.limit)
        inventory, fees = state.house[House.INVENTORY], state.house[House.FEES]
        assets = sorted({*inventory, *fees, *limits})
        return HouseState(
            tuple(
                [
                    HouseLine(
                        asset,
                        amount(inventory.get(asset, 0), self._scales[asset]),
                        amount(limits[asset], self._scales[asset]) if asset in limits else None,
                        amount(fees.get(asset, 0), self._scales[asset]),
                    )
                    for asset in assets
                ]
            ),
            state.sequence,
        )


def _wish_of(command: Command) -> OrderWish | None:
    match command:
        case commands.PlaceOrder():
            return command.wish
        case commands.PlaceOco():
            return command.profit
        case commands.PlaceBracket():
            return command.entry
        case _:
            return None
