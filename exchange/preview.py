"""What placing an order would do, without doing it: the same checks and the same walk through the book, and nothing changes."""

from typing import NamedTuple

from core.order_vocabulary import OrderErrorCode
from core.vocabulary import MarketStatus, OrderSide
from events.commands import OrderWish
from events.journal import Terms
from exchange.accounts import Account
from exchange.checks import admission, fees_of, market_refusal, reach, terms_of
from exchange.engine import Exchange
from exchange.market import Market
from exchange.order import TRIGGERED
from exchange.refusal import Refusal
from exchange.walk import Found
from exchange.words import BUY


class Preview(NamedTuple):
    """What a `PlaceOrder` would come to.

    `refusal` is why it would be refused; the rest is told as far as its terms are sound by themselves and the market is open to it, also
    of an order that cannot be paid. `levels` are the prices (in ticks) it would take at once and the lots there, best first, `lots` their sum,
    `worst` the last of them. `average` is their mean price in 10^-18, rounded up for who buys and down for who sells. `quote` is what the lots cost or bring, `fee` the fee
    on top (of a sale: off it), `hold` what is set aside in the beginning, all in units of the quote asset; a sale holds units of the base asset. What is not known is 0.
    """

    refusal: Refusal | None
    levels: tuple[tuple[int, int], ...] = ()
    lots: int = 0
    average: int = 0
    worst: int = 0
    quote: int = 0
    fee: int = 0
    hold: int = 0


def preview(exchange: Exchange, account_id: str, wish: OrderWish, now_ms: int) -> Preview:
    """What placing this would do now. An account that is not known owns nothing."""
    account = exchange.state.accounts.get(account_id) or Account(account_id)
    frozen = Refusal(OrderErrorCode.ACCOUNT_FROZEN) if account.frozen else None
    market = exchange.state.markets.get(wish.symbol)
    if market is None:
        return Preview(frozen or Refusal(OrderErrorCode.UNKNOWN_MARKET, "symbol"))
    closed = market_refusal(market, wish) if market.status is not MarketStatus.TRADING else None
    if closed is not None:
        return Preview(frozen or closed)
    references = exchange.references(market.symbol)
    terms = terms_of(market, wish, references, now_ms)
    if isinstance(terms, Refusal):
        return Preview(frozen or terms)
    maker_ppm, taker_ppm = fees_of(account, market)
    house = exchange.offered(market, terms.side)
    admitted = admission(
        market, account, terms, wish, references=references, house=house, maker_ppm=maker_ppm, taker_ppm=taker_ppm
    )
    waits = terms.type in TRIGGERED
    found = Found() if waits else reach(market, account, terms, wish, house=house, taker_ppm=taker_ppm)
    if isinstance(admitted, Refusal):
        hold = admitted.actual or 0 if admitted.code is OrderErrorCode.INSUFFICIENT_FUNDS else 0
        return _told(market, terms, found, frozen or admitted, hold=hold, taker_ppm=taker_ppm)
    return _told(market, terms, found, frozen, hold=admitted[1], taker_ppm=taker_ppm)


def _told(market: Market, terms: Terms, found: Found, refusal: Refusal | None, *, hold: int, taker_ppm: int) -> Preview:
    if not found.lots:
        return Preview(refusal, hold=hold)
    quote, fee = _paid(market, terms.side, found.value, taker_ppm)
    worth = found.value * market.tick
    average = -(-worth // found.lots) if terms.side is BUY else worth // found.lots
    return Preview(refusal, tuple(found.levels.items()), found.lots, average, found.worst, quote, fee, hold)


def _paid(market: Market, side: OrderSide, value: int, taker_ppm: int) -> tuple[int, int]:
    """What a value costs or brings, and the fee; a seller never pays more than the sale earned."""
    fee = market.fee(value * taker_ppm)
    if side is BUY:
        return market.quote_up(value), fee
    earned = market.quote_down(value)
    return earned, min(fee, earned)
