"""What a resolver may reach: built once per operation, from parts built once per process."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from core.vocabulary import MarketDataOrigin
from graph.funds_loaders import FundsLoaders
from graph.loaders import Loaders
from graph.request import Caller, Outgoing, ShownCookies
from services.account_services import AccountServices
from services.catalogue import Catalogue
from services.chains import Chains
from services.custody_services import CustodyServices
from services.funds_services import FundsServices
from services.liabilities import Liabilities
from services.market_reads import MarketDataReads
from services.market_view import MarketView
from services.markets import MarketReads
from services.read_marks import Reader
from services.server_status import ServerState
from services.swap_services import SwapServices
from services.trading_services import TradingServices
from services.transfer_services import TransferServices
from services.viewer import Client, Viewer
from services.wallet_views import WalletViews


@dataclass(frozen=True, slots=True)
class Estimate:
    """A cost estimate together with the caller's own budget."""

    cost: int
    per_event: int | None
    limit: int
    remaining: int
    restore_per_second: int


@dataclass(frozen=True, slots=True)
class Services:
    """The parts of a process that resolvers use."""

    catalogue: Catalogue
    view: MarketView
    exchange_view: MarketView
    """Of this exchange's own markets; `view` is of the reference."""
    markets: MarketReads
    market_data: MarketDataReads
    accounts: AccountServices
    trading: TradingServices
    funds: FundsServices
    liabilities: Liabilities
    custody: CustodyServices
    chains: Chains
    wallet_views: WalletViews
    swaps: SwapServices
    transfers: TransferServices
    server_status: Callable[[], Awaitable[ServerState]]


@dataclass(slots=True)
class Context:
    """One operation's context."""

    services: Services
    caller: Caller
    estimate_cost: Callable[[str, Mapping[str, object] | None], Awaitable[Estimate]]
    _loaders: Loaders | None = field(default=None, init=False)
    _funds_loaders: FundsLoaders | None = field(default=None, init=False)

    @property
    def loaders(self) -> Loaders:
        """Batched reads of this operation."""
        if self._loaders is None:
            self._loaders = Loaders(self.services.market_data, self.services.trading.reads, self.caller.reader)
        return self._loaders

    @property
    def funds_loaders(self) -> FundsLoaders:
        """Batched reads of balances and accounts, of this operation."""
        if self._funds_loaders is None:
            self._funds_loaders = FundsLoaders(self.services.funds, self.services.accounts.reads.person)
        return self._funds_loaders

    @property
    def viewer(self) -> Viewer | None:
        """Who is signed in."""
        return self.caller.viewer

    @property
    def client(self) -> Client:
        """The other end of the request."""
        return self.caller.client

    @property
    def cookies(self) -> ShownCookies:
        """Cookies of ours that a page has shown, beside the access token."""
        return self.caller.cookies

    @property
    def outgoing(self) -> Outgoing | None:
        """What goes back in cookies; None over a socket, which has none."""
        return self.caller.outgoing

    @property
    def accounts(self) -> AccountServices:
        return self.services.accounts

    @property
    def trading(self) -> TradingServices:
        return self.services.trading

    @property
    def reader(self) -> Reader:
        """What the client has been shown of the exchange's journal."""
        return self.caller.reader

    @property
    def funds(self) -> FundsServices:
        return self.services.funds

    @property
    def liabilities(self) -> Liabilities:
        return self.services.liabilities

    @property
    def custody(self) -> CustodyServices:
        return self.services.custody

    @property
    def chains(self) -> Chains:
        return self.services.chains

    @property
    def wallet_views(self) -> WalletViews:
        return self.services.wallet_views

    @property
    def transfers(self) -> TransferServices:
        return self.services.transfers

    async def quote_of_viewer(self, quote: str | None) -> str:
        """The asset that values are shown in to whoever asks. Raises UnknownAsset."""
        if quote is None and self.viewer is not None:
            return await self.funds_loaders.quote_asset(self.viewer.user_id)
        return self.catalogue.asset(quote or "USD", field=("quote",)).code

    @property
    def swaps(self) -> SwapServices:
        return self.services.swaps

    async def quote_of(self, account: str, quote: str | None) -> str:
        """The asset that values of an account are shown in. Raises UnknownAsset."""
        if quote is None:
            return await self.funds_loaders.quote_asset(account)
        return self.catalogue.asset(quote, field=("quote",)).code

    @property
    def catalogue(self) -> Catalogue:
        return self.services.catalogue

    @property
    def view(self) -> MarketView:
        return self.services.view

    def view_of(self, origin: MarketDataOrigin) -> MarketView:
        """What this process knows of the markets of this origin."""
        return self.services.exchange_view if origin is MarketDataOrigin.EXCHANGE else self.services.view

    @property
    def markets(self) -> MarketReads:
        return self.services.markets

    @property
    def market_data(self) -> MarketDataReads:
        return self.services.market_data

    async def server_status(self) -> ServerState:
        return await self.services.server_status()
