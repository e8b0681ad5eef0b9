"""What is asked of a withdrawal, in the order in which refusals are told; pure but for what is handed in."""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from hashlib import sha256

from core.account_vocabulary import UserStatus
from core.money import CONTEXT, canonical
from core.refusals import WalletRefused
from core.wallet_vocabulary import WalletErrorCode
from models.asset import AssetEntry, AssetNetworkEntry
from models.chain import ChainEntry
from models.user import UserDocument
from models.withdrawal_address import WithdrawalAddressDocument
from services.catalogue import Catalogue
from services.order_refusals import is_client_key
from services.trading_accounts import TradingAccount

Code = WalletErrorCode
_ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Wish:
    """A withdrawal as it is asked for."""

    asset: str
    chain: str
    address_id: str
    amount: Decimal

    @property
    def digest(self) -> str:
        """Of the wish as it was meant: 1.0 and 1 are one."""
        text = f"withdraw:{self.asset}:{self.chain}:{self.address_id}:{canonical(self.amount)}"
        return sha256(text.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Route:
    """How an asset goes out: the asset, its form on the chain, and the chain."""

    asset: AssetEntry
    network: AssetNetworkEntry
    chain: ChainEntry

    @property
    def fee(self) -> Decimal:
        return self.network.withdrawal_fee or _ZERO

    @property
    def digits(self) -> int:
        """Digits after the point that both the ledger and the chain can count."""
        return min(self.asset.decimals, self.network.decimals)


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What is known of the account at the moment. `worth` of the wish and what was `used` today are in US dollars; None: nobody knows."""

    person: UserDocument
    account: TradingAccount
    entry: WithdrawalAddressDocument | None
    worth: Decimal | None
    used: Decimal
    daily: Decimal
    now_ms: int


def checked_key(key: str) -> None:
    """A client's key. Raises WalletRefused."""
    if not is_client_key(key):
        text = "a key has 1 to 64 printable ASCII characters"
        raise WalletRefused(text, reason=Code.INVALID_INPUT, field=["clientWithdrawalId"])


def route(catalogue: Catalogue, wish: Wish, served: frozenset[str]) -> Route:
    """The way a wish takes; `served` are the chains this server signs for. Raises WalletRefused."""
    way = known_route(catalogue, wish.asset, wish.chain)
    if not way.network.withdrawal_enabled or way.chain.key not in served:
        text = "withdrawals of this asset on this chain are not made now"
        raise WalletRefused(text, reason=Code.NOT_ENABLED, field=["chain"])
    return way


def known_route(catalogue: Catalogue, asset_code: str, chain_key: str) -> Route:
    """How an asset exists on a chain, whether it is withdrawn there now or not. Raises WalletRefused."""
    asset = catalogue.assets.get(asset_code)
    if asset is None:
        raise WalletRefused("there is no such asset", reason=Code.UNKNOWN_ASSET, field=["asset"])
    chain = catalogue.chains.get(chain_key)
    if chain is None:
        text = "there is no such chain here; `chains` lists those that there are"
        raise WalletRefused(text, reason=Code.UNKNOWN_CHAIN, field=["chain"])
    network = next((form for form in asset.networks if form.chain == chain.key), None)
    if network is None:
        text = "this asset does not exist on this chain; see its `networks`"
        raise WalletRefused(text, reason=Code.UNKNOWN_ASSET, field=["chain"])
    return Route(asset, network, chain)


def refusals(way: Route, wish: Wish, met: Circumstances) -> Iterator[WalletRefused]:
    """Everything that speaks against a withdrawal now, the first to be told first."""
    if met.person.status is not UserStatus.ACTIVE:
        yield WalletRefused("the account is frozen; unfreeze it first", reason=Code.ACCOUNT_FROZEN)
    if met.person.email_verified_ms is None:
        yield WalletRefused("prove your e-mail address first", reason=Code.EMAIL_NOT_VERIFIED)
    if met.entry is None or met.entry.chain != way.chain.key:
        text = "your address book has no such entry for this chain"
        yield WalletRefused(text, reason=Code.ADDRESS_NOT_ACTIVE, field=["addressId"])
    elif met.entry.active_ms > met.now_ms:
        text = "this address was added too recently; `activeFrom` says when it may be used"
        yield WalletRefused(text, reason=Code.ADDRESS_NOT_ACTIVE, field=["addressId"])
    yield from _of_amount(way, wish)
    if (met.person.withdrawals_held_until_ms or 0) > met.now_ms:
        text = (
            "nothing is paid out for a while after a change of password, address, factors, linked identities or wallets; "
            "see `security.withdrawalsHeldUntil`"
        )
        yield WalletRefused(text, reason=Code.HELD_AFTER_CHANGE)
    yield from of_limit(met)
    if any(funds.debt for funds in met.account.balances.values()):
        text = "something is owed here after a deposit was reversed; see `balances`. It is to be repaid first"
        yield WalletRefused(text, reason=Code.DEBT_OUTSTANDING)
    funds = met.account.balances.get(way.asset.code)
    available = _ZERO if funds is None else funds.available
    if wish.amount > available:
        text = "there is not enough available"
        yield WalletRefused(text, reason=Code.INSUFFICIENT_FUNDS, field=["amount"], limit=available, actual=wish.amount)


def of_limit(met: Circumstances) -> Iterator[WalletRefused]:
    """Whether the day's limit allows it. What nobody can value is looked at by an operator instead."""
    if met.worth is not None and met.used + met.worth > met.daily:
        yield WalletRefused(
            "this is more than may be withdrawn today; see `withdrawalLimits`",
            reason=Code.LIMIT_EXCEEDED,
            field=["amount"],
            limit=max(_ZERO, met.daily - met.used),
            actual=met.worth,
        )


def _of_amount(way: Route, wish: Wish) -> Iterator[WalletRefused]:
    scaled = CONTEXT.scaleb(wish.amount, way.digits)
    if wish.amount <= 0 or scaled != scaled.to_integral_value():
        text = "expected an amount above 0 with at most {digits} digits after the point"
        yield WalletRefused(text, {"digits": way.digits}, reason=Code.AMOUNT_INVALID, field=["amount"])
        return
    least = max(way.network.min_withdrawal or _ZERO, way.fee)
    if wish.amount < least or wish.amount <= way.fee:
        text = "this is less than the smallest withdrawal"
        yield WalletRefused(text, reason=Code.AMOUNT_TOO_SMALL, field=["amount"], limit=least, actual=wish.amount)
