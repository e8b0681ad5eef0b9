"""Transactions for people to sign with keys that this server never sees, whatever their chain: what a family has worked out is kept for ten minutes with all
that a person should look at, so that what comes back signed can be set against it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal

from core.clock import Clock, to_datetime
from core.ids import random_id
from core.money import CONTEXT, canonical
from core.refusals import WalletRefused
from core.wallet_vocabulary import EffectKind, WalletErrorCode
from core.wallet_vocabulary import TransactionWarningCode as Warn
from models import prepared_transaction
from models.prepared_transaction import EffectEntry, PreparedTransactionDocument, TokenEntry, WarningEntry
from services.address_warnings import address_warnings, known_addresses, warning
from services.chains import Chains
from services.tokens import Tokens
from services.transaction_effects import counterparties

LIFE_MS = 10 * 60 * 1000
KEPT_MS = 24 * 60 * 60 * 1000
_HIGH_FEE_PARTS = 10
"""A fee is high when it is more than a tenth of what is sent."""
_MOST_UNITS = 2**256 - 1
_SUMMARY_TEXTS: Mapping[EffectKind, str] = {
    EffectKind.TRANSFER: "Send {amount} {token} to {to}",
    EffectKind.APPROVE: "Let {to} take up to {amount} {token}",
    EffectKind.CONTRACT_CALL: "Call a function of {to}",
}
_UNLIMITED_TEXTS: Mapping[str, str] = {"all": "Let {to} take any amount of {token}"}
Worth = Callable[[str, Decimal], Decimal | None]
"""What an amount of an asset is worth in US dollars now; None: nobody knows."""


@dataclass(frozen=True, slots=True)
class Unsigned:
    """What a family has worked out. `payload` is what wallets take, `terms` what the family needs beside it when it comes back signed; `fee` is the most it can
    cost, in whole coins of the chain; `effects` in order; `summary` is a template and its values, None: what the last effect says; `trusted` are contracts that
    this server knows, of which nobody is warned; `swap_id` is of the swap that it makes; `deposit`: where the account deposits, on chains where all do at one address."""

    chain: str
    sender: str
    to: str
    payload: Mapping[str, str]
    fee: Decimal
    effects: Sequence[EffectEntry]
    gas: int | None = None
    nonce: int | None = None
    terms: Mapping[str, str] = field(default_factory=dict)
    warnings: Sequence[WarningEntry] = ()
    summary: tuple[str, Mapping[str, str | int]] | None = None
    trusted: frozenset[str] = frozenset()
    swap_id: str | None = None
    life_ms: int = LIFE_MS
    deposit: str | None = None


class PreparedTransactions:
    """One per process."""

    def __init__(self, chains: Chains, tokens: Tokens, worth: Worth, clock: Clock) -> None:
        self._chains = chains
        self._tokens = tokens
        self._worth = worth
        self._clock = clock

    async def keep(self, user_id: str, made: Unsigned) -> PreparedTransactionDocument:
        """The transaction as it is kept, with its warnings and its summary."""
        known = await known_addresses(user_id, self._chains.entries[made.chain].family)
        if made.deposit is not None:
            known = replace(known, deposit=made.deposit)
        concerned = set(counterparties(made.effects, made.to)) - made.trusted - {made.sender}
        found = [each for address in sorted(concerned) for each in address_warnings(address, known)]
        found += [*made.warnings, *self._of_effects(made)]
        now_ms = self._clock.now_ms()
        summary, values = made.summary or _summary(made.effects[-1], made.to)
        row = PreparedTransactionDocument(
            id=random_id(),
            user_id=user_id,
            chain=made.chain,
            sender=made.sender,
            to=made.to,
            payload=dict(made.payload),
            terms=dict(made.terms),
            fee=canonical(made.fee),
            gas=made.gas,
            nonce=made.nonce,
            summary=summary,
            summary_values=dict(values),
            effects=list(made.effects),
            warnings=found,
            swap_id=made.swap_id,
            created_ms=now_ms,
            expires_ms=now_ms + made.life_ms,
            purge_at=to_datetime(now_ms + made.life_ms + KEPT_MS),
        )
        await prepared_transaction.insert(row)
        return row

    def _of_effects(self, made: Unsigned) -> list[WarningEntry]:
        found = []
        for effect in made.effects:
            if effect.unlimited and effect.token is not None:
                found.append(warning(Warn.UNLIMITED_APPROVAL, address=effect.spender or "", token=effect.token.symbol))
            if effect.token is not None and effect.token.spam:
                found.append(warning(Warn.SPAM_TOKEN))
        if any(effect.sender == made.sender and self._is_high(made.fee, effect) for effect in made.effects):
            found.append(warning(Warn.HIGH_FEE))
        return found

    def _is_high(self, fee: Decimal, effect: EffectEntry) -> bool:
        """Whether a fee is high beside what a transfer moves, in coins or, across assets, by what both are worth."""
        token = effect.token
        if effect.kind is not EffectKind.TRANSFER or token is None or effect.units is None:
            return False
        amount = whole_of(effect.units, token)
        if token.contract is None:
            return CONTEXT.multiply(fee, Decimal(_HIGH_FEE_PARTS)) > amount
        coin = self._tokens.coin(token.chain)
        if token.asset is None or coin.asset is None:
            return False
        paid, moved = self._worth(coin.asset, fee), self._worth(token.asset, amount)
        return paid is not None and moved is not None and paid * _HIGH_FEE_PARTS > moved


def units_of(amount: Decimal, decimals: int, *, field: str = "amount", least: int = 1) -> int:
    """An amount in whole units as smallest ones, at least so many. Raises WalletRefused with AMOUNT_INVALID."""
    scaled = CONTEXT.scaleb(amount, decimals)
    if scaled != scaled.to_integral_value() or not least <= scaled <= _MOST_UNITS:
        text = "expected an amount above 0 with at most {digits} digits after the point"
        raise WalletRefused(text, {"digits": decimals}, reason=WalletErrorCode.AMOUNT_INVALID, field=[field])
    return int(scaled)


def wanted_units(amount: Decimal | None, send_all: bool, decimals: int) -> int | None:
    """Of a transfer the smallest units, None for all there is. Raises WalletRefused with AMOUNT_INVALID."""
    if (amount is None) is not send_all:
        text = "give either an amount or `sendAll`"
        raise WalletRefused(text, reason=WalletErrorCode.AMOUNT_INVALID, field=["amount"])
    return None if amount is None else units_of(amount, decimals)


def whole_of(units: str, token: TokenEntry) -> Decimal:
    """Smallest units of a token in whole ones, exactly."""
    return Decimal((0, tuple(map(int, units)), -token.decimals))


def _summary(effect: EffectEntry, to: str) -> tuple[str, dict[str, str | int]]:
    """What the transaction is about, as a template and its values."""
    values: dict[str, str | int] = {"to": effect.spender or effect.to or to}
    if effect.token is not None:
        values["token"] = effect.token.symbol
    if effect.unlimited:
        return _UNLIMITED_TEXTS["all"], values
    if effect.units is not None and effect.token is not None:
        values["amount"] = canonical(whole_of(effect.units, effect.token))
    return _SUMMARY_TEXTS[effect.kind], values
