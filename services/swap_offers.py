"""From what an aggregator offers to a quote: held against what was asked for once more, valued, and in the words of the catalogue; pure."""

from collections.abc import Callable, Sequence
from decimal import Decimal

from core.money import CONTEXT, figure
from events.token import TokenState
from integrations.swaps.base import ProviderFee, ProviderQuote, ProviderStep, ProviderToken, SwapUntrue
from models.swap_quote import CallEntry, FeeEntry, QuoteEntry, StepEntry, TokenEntry
from services.catalogue import Catalogue
from services.spam import LONGEST_NAME, LONGEST_SYMBOL, is_spam, printable
from services.swap_wishes import CheckedWish

Worth = Callable[[str, Decimal], Decimal | None]
"""What so much of an asset is worth in US dollars; None when nobody knows."""
_SECOND_MS = 1000
_TOO_GOOD = Decimal("-0.2")
"""Nobody gives so much more than things are worth: such an offer wants to stand first, and on another chain no contract holds anybody to it."""


def quote_of(offer: ProviderQuote, wish: CheckedWish, catalogue: Catalogue, worth: Worth, *, now_ms: int) -> QuoteEntry:
    """The quote. Raises SwapUntrue for an offer that breaks its own terms or whose fees are worth more than what is sold."""
    _check_terms(offer, wish)
    fees = [(fee, _known(catalogue, wish, fee.token)) for fee in offer.fees]
    amount_out = _whole(offer.amount_out, wish.to_token)
    paid, bought = _value(worth, wish.from_token, wish.amount), _value(worth, wish.to_token, amount_out)
    _check_fees(fees, bought if paid is None else paid, worth)
    impact = _impact(paid, bought)
    if impact is not None and impact < _TOO_GOOD:
        raise SwapUntrue("it offers more than anybody would give")
    return QuoteEntry(
        provider=offer.provider,
        address=wish.ask.address,
        from_token=_entry(wish.from_token),
        to_token=_entry(wish.to_token),
        amount_in=wish.amount,
        amount_out=amount_out,
        minimum_out=_whole(offer.minimum_out, wish.to_token),
        price_impact=impact,
        fees=_fees(fees),
        steps=_steps(offer.steps, wish, catalogue),
        spender=offer.spender,
        call=CallEntry(to=offer.call.to, data=offer.call.data, value=Decimal(offer.call.value), gas=offer.call.gas),
        bridge=offer.bridge,
        settler=offer.settler,
        expires_ms=now_ms + offer.valid_seconds * _SECOND_MS,
    )


def _check_terms(offer: ProviderQuote, wish: CheckedWish) -> None:
    if not 0 < offer.minimum_out <= offer.amount_out:
        raise SwapUntrue("its minimum is no minimum of what it offers")
    if offer.minimum_out < wish.ask.least_of(offer.amount_out):
        raise SwapUntrue("its minimum is below what was allowed")
    if (offer.spender is None) != (wish.ask.from_token is None) or offer.spender not in (None, offer.call.to):
        raise SwapUntrue("it wants an allowance for another contract than it calls")


def _check_fees(fees: Sequence[tuple[ProviderFee, TokenState | None]], goods: Decimal | None, worth: Worth) -> None:
    """Nobody pays more for the way than for the goods, as far as anybody knows what those are worth."""
    values = [
        _value(worth, token, _whole(fee.amount, token)) for fee, token in fees if fee.on_top and token is not None
    ]
    if goods is not None and sum((value for value in values if value is not None), Decimal(0)) > goods:
        raise SwapUntrue("its fees are worth more than what is sold")


def _fees(fees: Sequence[tuple[ProviderFee, TokenState | None]]) -> tuple[FeeEntry, ...]:
    """By asset; what is of no asset here cannot be told."""
    totals: dict[str, Decimal] = {}
    for fee, token in fees:
        if token is not None and token.asset is not None and fee.amount:
            amount = _whole(fee.amount, token)
            totals[token.asset] = CONTEXT.add(totals.get(token.asset, Decimal(0)), amount)
    return tuple(FeeEntry(asset=asset, amount=amount) for asset, amount in totals.items())


def _steps(steps: Sequence[ProviderStep], wish: CheckedWish, catalogue: Catalogue) -> tuple[StepEntry, ...]:
    """The steps; those over tokens of which too little is known to show them, as one."""
    shown = []
    for step in steps:
        ends = [_shown(token, wish, catalogue) for token in (step.from_token, step.to_token)]
        if ends[0] is None or ends[1] is None:
            return (_as_one(steps, wish),)
        seconds = step.seconds
        if seconds is None and step.from_token.chain == step.to_token.chain:
            seconds = _block_seconds(wish, step.from_token.chain)
        shown.append(StepEntry(tool=step.tool, from_token=ends[0], to_token=ends[1], seconds=seconds))
    return tuple(shown)


def _as_one(steps: Sequence[ProviderStep], wish: CheckedWish) -> StepEntry:
    return StepEntry(
        tool=", ".join(dict.fromkeys(step.tool for step in steps)),
        from_token=_entry(wish.from_token),
        to_token=_entry(wish.to_token),
        seconds=_block_seconds(wish, wish.ask.from_chain),
    )


def _block_seconds(wish: CheckedWish, chain_id: int) -> int:
    """About when a transaction is in a block."""
    chain = wish.from_chain if chain_id == wish.ask.from_chain else wish.to_chain
    return max(1, round(chain.block_seconds))


def _chain_key(wish: CheckedWish, token: ProviderToken) -> str:
    return wish.from_chain.key if token.chain == wish.ask.from_chain else wish.to_chain.key


def _known(catalogue: Catalogue, wish: CheckedWish, token: ProviderToken) -> TokenState | None:
    """The token as the catalogue knows it."""
    if token.chain not in (wish.ask.from_chain, wish.ask.to_chain):
        return None
    return catalogue.tokens[_chain_key(wish, token)].get(token.contract)


def _shown(token: ProviderToken, wish: CheckedWish, catalogue: Catalogue) -> TokenEntry | None:
    """The token as it may be shown; None: not even its decimals are known."""
    known = _known(catalogue, wish, token)
    if known is not None:
        return _entry(known)
    if token.decimals is None:
        return None
    chain = _chain_key(wish, token)
    return TokenEntry(
        chain=chain,
        contract=token.contract,
        symbol=printable(token.symbol, LONGEST_SYMBOL) or "?",
        name=printable(token.name, LONGEST_NAME) or "?",
        decimals=token.decimals,
        spam=is_spam(token.symbol, token.name, [each.symbol for each in catalogue.tokens[chain].values()]),
    )


def _entry(token: TokenState) -> TokenEntry:
    return TokenEntry(
        chain=token.chain,
        contract=token.contract,
        symbol=token.symbol,
        name=token.name,
        decimals=token.decimals,
        asset=token.asset,
        spam=token.spam,
    )


def _whole(units: int, token: TokenState) -> Decimal:
    return Decimal(units).scaleb(-token.decimals, CONTEXT)


def _value(worth: Worth, token: TokenState, amount: Decimal) -> Decimal | None:
    return None if token.asset is None else worth(token.asset, amount)


def _impact(paid: Decimal | None, bought: Decimal | None) -> Decimal | None:
    """The part of the worth that is lost; below zero where something is gained."""
    if not paid or bought is None:
        return None
    return figure(CONTEXT.divide(CONTEXT.subtract(paid, bought), paid))
