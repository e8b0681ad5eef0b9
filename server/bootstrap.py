"""Every long-lived resource of a process: made here, closed here, passed from here."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal

from core.budget import MemoryBudget
from core.bus import Bus, MemoryBus
from core.cache import Cache, MemoryCache
from core.clock import Clock, SystemClock
from core.database import Database
from core.errors import ExpectedError
from core.ids import random_id
from core.message_seal import MessageSeal
from core.rate_limits import MemoryRateLimits, RedisRateLimits
from core.redis_budget import RedisBudget
from core.redis_bus import RedisBus
from core.redis_cache import RedisCache
from core.secret_box import SecretBox
from core.settings import Mode, Settings
from core.vocabulary import FeedStatus, MarketDataOrigin, PriceSource
from events import codec
from events.market import FeedChanged
from graph.context import Services
from integrations.feeds.registry import FeedMisconfigured
from models import DOCUMENTS
from server.account_pages import PATHS as ACCOUNT_PATHS
from server.accounts import AccountGround, open_accounts, open_mail
from server.chains import open_chains
from server.custody import WORTH_QUOTE, CustodyGround, open_custody, shared_addresses
from server.errors import CannotRun
from server.exchange import ExchangeGround, open_exchange
from server.graphql_app import Limiters
from server.health import Health, feeds_check
from server.liabilities import KEY_PATH as LIABILITY_KEY_PATH
from server.liabilities import open_liabilities
from server.metrics import Metrics
from server.monitoring import MONITORING_PATHS
from server.swaps import open_swaps
from services import catalogue, server_status
from services.contract_calls import ContractCallsOnChains
from services.funds_services import FundsParts, FundsRules, build_funds_services
from services.market_reads import MarketDataReads
from services.market_view import MarketView
from services.markets import MarketReads
from services.swap_services import SwapParts
from services.trading_services import build_trading_services
from services.transfer_services import build_transfer_services
from services.valuation import usd_worth
from services.wallet_views import build_wallet_views
from workers import broadcasts as broadcast_worker
from workers import feeds
from workers import liabilities as liabilities_worker
from workers import mail as mail_worker
from workers import swaps as swap_worker
from workers.broadcasts import BroadcastWorker
from workers.mail import MailWorker
from workers.swaps import SwapWorker

Loop = Callable[[], Awaitable[None]]
"""Runs until cancelled."""
PATHS = MONITORING_PATHS | ACCOUNT_PATHS | {"/graphql", "/schema.graphql", "/.well-known/jwks.json", LIABILITY_KEY_PATH}


@dataclass(frozen=True, slots=True)
class Resources:
    """What the rooms of one process share."""

    settings: Settings
    clock: Clock
    database: Database
    bus: Bus
    cache: Cache
    view: MarketView
    limiters: Limiters
    services: Services
    health: Health
    metrics: Metrics
    background: Mapping[str, Loop]
    """What every process runs beside its own work."""
    workers: Mapping[str, Loop]
    """What `worker NAME` may name."""

    def describe(self) -> list[str]:
        """What runs where, one line each, fit for a terminal (no secrets)."""
        settings = self.settings
        database = "embedded" if settings.embedded_database else "as MONGO_URL says"
        return [
            f"database   {database}, {settings.mongo_database}",
            f"bus        {'in memory, this process only' if settings.redis_url is None else 'Redis, as REDIS_URL says'}",
            f"workers    {', '.join(self.workers)}",
            f"prices     {_prices(settings)}",
            f"mail       {_MAIL[settings.email_provider]}",
        ]

    def notice(self) -> str:
        """What is simulated or recorded at this moment, in a sentence for people."""
        statuses = {state.feed.status for state in self.view.states.values() if state.feed is not None}
        if FeedStatus.SIMULATED in statuses:
            return "No price source answers: every price here is SIMULATED and not real."
        if PriceSource.REPLAY in self.settings.price_sources:
            return "Prices are a REPLAY of a recorded file, with its recorded times."
        return "Prices come from live sources; Market.feed says which."


_MAIL = {"console": "printed here, sent to nobody", "smtp": "by SMTP_URL", "sendgrid": "by SendGrid"}


def _prices(settings: Settings) -> str:
    names = ", ".join(source.value for source in settings.price_sources)
    if PriceSource.REPLAY in settings.price_sources:
        return f"REPLAY of {settings.replay_file} into {settings.replay_symbol}, speed {settings.replay_speed}"
    if settings.simulated_fallback:
        return f"{names}; SIMULATED (not real) while none answers within {settings.simulated_after_seconds:g} s"
    return names


@asynccontextmanager
async def open_resources(settings: Settings, mongo_url: str, box: SecretBox) -> AsyncIterator[Resources]:
    """Connect everything; close it in reverse order.

    Raises:
        DatabaseUnavailable: the database does not answer.
        CannotRun: stored secrets were encrypted under a key that is not in the ring, or a provider cannot work as it is configured.
    """
    clock = SystemClock()
    process = random_id()
    async with AsyncExitStack() as stack:
        database = Database(mongo_url, settings, clock)
        stack.push_async_callback(database.close)
        await database.connect(DOCUMENTS)
        seals = {use: MessageSeal(box, use) for use in ("bus", "cache", "exchange")}
        bus = _bus(settings, clock, process, seals["bus"])
        await bus.start()
        stack.push_async_callback(bus.close)
        cache = _cache(settings, clock)
        await cache.start()
        stack.push_async_callback(cache.close)
        known = await catalogue.load(settings.blockchain_network)
        limiters = await _limiters(settings, clock, stack)
        metrics = Metrics(paths=PATHS)
        view = MarketView(bus, known, process=process, observer=metrics)
        exchange_view = MarketView(bus, known, process=process, observer=metrics, origin=MarketDataOrigin.EXCHANGE)
        chains = open_chains(settings, known, clock, stack)
        wallet_views = build_wallet_views(known, chains, bus, clock)
        stack.push_async_callback(wallet_views.close)
        holder = "embedded" if settings.embedded_database else process
        exchange = open_exchange(
            settings, ExchangeGround(clock, bus, known, view, process, holder, seals["exchange"]), stack
        )
        accounts = await open_accounts(
            settings,
            AccountGround(
                clock=clock,
                bus=bus,
                cache=cache,
                box=box,
                cache_seal=seals["cache"],
                limits=limiters.limits,
                quote_assets=frozenset(known.assets),
                gateway=exchange.gateway,
                chains=known.chains,
                contracts=ContractCallsOnChains(chains),
            ),
            stack,
        )
        trading = build_trading_services(
            gateway=exchange.gateway, bus=bus, cache=cache, clock=clock, catalogue=known, audit=accounts.audit
        )
        funds = build_funds_services(
            _funds_rules(settings),
            FundsParts(exchange.gateway, trading.marks, bus, clock, known, view),
        )
        liabilities = await open_liabilities(settings, clock, box, known, holder)
        custody = open_custody(
            settings,
            CustodyGround(
                clock,
                bus,
                known,
                chains,
                exchange.gateway,
                funds.accounts,
                trading.marks,
                funds.valuation,
                accounts.audit,
                accounts.wallet_control.recheck_address,
                holder,
            ),
            stack,
        )
        transfers = build_transfer_services(
            chains,
            wallet_views.tokens,
            usd_worth(funds.valuation),
            limits=limiters.limits,
            bus=bus,
            clock=clock,
            shared=shared_addresses(settings, known),
        )
        swaps = open_swaps(
            settings,
            SwapParts(
                known,
                chains,
                lambda asset, amount: funds.valuation.value(asset, amount, WORTH_QUOTE),
                limiters.limits,
                transfers,
                bus,
                clock,
            ),
            stack,
        )
        mail = await open_mail(settings, clock, box, stack)
        if isinstance(bus, RedisBus):
            metrics.watch_count("bus_lost_messages", "Messages this process gave up", lambda: bus.lost)
            metrics.watch_count(
                "bus_undecodable_messages", "Messages this process could not read", lambda: bus.undecodable
            )
            metrics.watch_count("bus_reconnects", "Reconnections to the bus", lambda: bus.reconnects)
        if isinstance(cache, RedisCache):
            metrics.watch_count("cache_failures", "Calls that did not reach the cache", lambda: cache.failures)
        if isinstance(limits := limiters.limits, RedisRateLimits) and isinstance(limiters.budget, RedisBudget):
            budget = limiters.budget
            metrics.watch_count("limits_failures", "Counts kept in this process alone", lambda: limits.failures)
            metrics.watch_count("budget_failures", "Charges kept in this process alone", lambda: budget.failures)
        metrics.watch_count(
            "forged_messages",
            "What lay in Redis and no process of ours had put there",
            lambda: sum(seal.refused for seal in seals.values()),
        )
        metrics.watch_feeds(lambda: _feeds(view), clock)
        metrics.watch_chains(chains.states)
        health = exchange.health
        metrics.watch_count("exchange_appended_events", "Events of the exchange's journal", lambda: health.appended)
        metrics.watch_count(
            "exchange_projected_events", "Events that can be read in documents", lambda: health.projected
        )
        worker = feeds.MarketDataSetup(
            settings=settings,
            clock=clock,
            bus=bus,
            catalogue=known,
            holder=holder,
        )
        yield Resources(
            settings=settings,
            clock=clock,
            database=database,
            bus=bus,
            cache=cache,
            view=view,
            limiters=limiters,
            services=Services(
                catalogue=known,
                view=view,
                exchange_view=exchange_view,
                markets=MarketReads(known, view),
                market_data=MarketDataReads(view, exchange_view),
                accounts=accounts,
                trading=trading,
                funds=funds,
                liabilities=liabilities.reads,
                custody=custody.services,
                chains=chains,
                wallet_views=wallet_views,
                swaps=swaps,
                transfers=transfers,
                server_status=lambda: server_status.read(
                    clock=clock, mode=settings.mode, database=database, bus=bus, view=view, exchange=exchange.health
                ),
            ),
            health=Health(
                {"database": database.check, "bus": bus.health, "feeds": feeds_check(lambda: _feeds(view))}, clock
            ),
            metrics=metrics,
            background={
                "database-monitor": database.monitor,
                "market-view": view.run,
                "chains": chains.run,
                "exchange-view": exchange_view.run,
                "revocations": accounts.revocations.run,
                "last-use": accounts.last_use.run,
                "signing-keys": accounts.tokens.run,
                "read-marks": trading.marks.run,
                "frozen-accounts": accounts.frozen.run,
                **exchange.background,
            },
            workers={
                feeds.NAME: lambda: _run_worker(worker),
                mail_worker.NAME: MailWorker(bus, clock, holder, mail).run,
                liabilities_worker.NAME: liabilities.worker.run,
                **exchange.workers,
                **custody.workers,
                broadcast_worker.NAME: BroadcastWorker(clock, holder, transfers.tracking).run,
                swap_worker.NAME: SwapWorker(clock, holder, swaps.following).run,
            },
        )


async def _run_worker(worker: feeds.MarketDataSetup) -> None:
    try:
        await worker.run()
    except* (ExpectedError, FeedMisconfigured) as problems:
        raise CannotRun(str(problems.exceptions[0])) from None


def _funds_rules(settings: Settings) -> FundsRules:
    return FundsRules(
        test_funds_allowed=settings.mode is not Mode.PRODUCTION, test_funds_daily=Decimal(settings.test_funds_daily_usd)
    )


def _feeds(view: MarketView) -> list[FeedChanged]:
    return [state.feed for state in view.states.values() if state.feed is not None]


def _bus(settings: Settings, clock: Clock, process: str, seal: MessageSeal) -> Bus:
    if settings.redis_url is None:
        return MemoryBus()
    return RedisBus(
        settings.redis_url.get_secret_value(),
        encode=codec.encode,
        decode=codec.decode,
        publisher=process,
        clock=clock,
        seal=seal,
        namespace=settings.redis_namespace,
    )


async def _limiters(settings: Settings, clock: Clock, stack: AsyncExitStack) -> Limiters:
    if settings.redis_url is None:
        return Limiters(MemoryBudget(clock, per_minute=settings.cost_limit_per_minute), MemoryRateLimits(clock))
    url, namespace = settings.redis_url.get_secret_value(), settings.redis_namespace
    budget = RedisBudget(url, clock=clock, per_minute=settings.cost_limit_per_minute, namespace=namespace)
    limits = RedisRateLimits(url, clock=clock, namespace=namespace)
    stack.push_async_callback(budget.close)
    stack.push_async_callback(limits.close)
    return Limiters(budget, limits)


def _cache(settings: Settings, clock: Clock) -> Cache:
    if settings.redis_url is None:
        return MemoryCache(clock)
    return RedisCache(settings.redis_url.get_secret_value(), clock=clock, namespace=settings.redis_namespace)
