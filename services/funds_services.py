"""Everything about what people own, put together: what each part needs is handed to it here and nowhere else."""

from dataclasses import dataclass
from decimal import Decimal

from core.bus import Bus
from core.clock import Clock
from services.account_events import AccountEvents
from services.balances import Balances
from services.catalogue import Catalogue
from services.exchange_gateway import ExchangeGateway
from services.fee_tiers import FeeTiers
from services.funds_streams import FundsStreams
from services.houses import Houses
from services.market_view import MarketView
from services.portfolio import Portfolios
from services.sandbox_funds import SandboxFunds
from services.statement_reads import StatementReads
from services.trading_accounts import ReadMarks, TradingAccounts
from services.valuation import Valuation


@dataclass(frozen=True, slots=True)
class FundsRules:
    """What the configuration decides about funds. `test_funds_daily` is in USD, for each asset of an account."""

    test_funds_allowed: bool
    test_funds_daily: Decimal


@dataclass(frozen=True, slots=True)
class FundsParts:
    """What funds are built on."""

    gateway: ExchangeGateway
    marks: ReadMarks
    bus: Bus
    clock: Clock
    catalogue: Catalogue
    view: MarketView


@dataclass(frozen=True, slots=True)
class FundsServices:
    """The parts that resolvers, and fields that may not import services, use."""

    accounts: TradingAccounts
    balances: Balances
    valuation: Valuation
    portfolios: Portfolios
    statements: StatementReads
    events: AccountEvents
    streams: FundsStreams
    sandbox: SandboxFunds
    fee_tiers: FeeTiers
    houses: Houses


def build_funds_services(rules: FundsRules, parts: FundsParts) -> FundsServices:
    """Put everything together; nothing is read yet."""
    accounts = TradingAccounts(parts.marks)
    valuation = Valuation(parts.catalogue, parts.view)
    portfolios = Portfolios(parts.catalogue, parts.view, valuation, parts.clock)
    return FundsServices(
        accounts=accounts,
        balances=Balances(parts.catalogue),
        valuation=valuation,
        portfolios=portfolios,
        statements=StatementReads(valuation, parts.catalogue),
        events=AccountEvents(parts.bus, parts.marks, parts.clock),
        streams=FundsStreams(
            accounts=accounts, portfolios=portfolios, catalogue=parts.catalogue, bus=parts.bus, marks=parts.marks
        ),
        sandbox=SandboxFunds(
            gateway=parts.gateway,
            accounts=accounts,
            marks=parts.marks,
            valuation=valuation,
            catalogue=parts.catalogue,
            clock=parts.clock,
            allowed=rules.test_funds_allowed,
            daily_worth=rules.test_funds_daily,
        ),
        fee_tiers=FeeTiers(parts.gateway, valuation, parts.catalogue, parts.clock),
        houses=Houses(parts.gateway, valuation, parts.catalogue),
    )
