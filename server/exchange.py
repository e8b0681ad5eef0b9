"""The exchange of a process: the way to its writer, and the workers that write and project, made from the settings."""

from contextlib import AsyncExitStack
from dataclasses import dataclass

from core.bus import Bus
from core.clock import Clock
from core.message_seal import MessageSeal
from core.redis_requests import RedisRequests, RedisRequestServer
from core.settings import Settings
from core.vocabulary import AssetKind
from server.errors import CannotRun
from services.catalogue import Catalogue, UnknownMarket
from services.exchange import WriterParts
from services.exchange_books import ExchangeBooks
from services.exchange_gateway import ExchangeGateway, LocalGateway, RedisGateway
from services.exchange_health import ExchangeHealth
from services.exchange_inbox import Inbox
from services.exchange_references import ExchangeReferences, ReferencePolicy
from services.exchange_rules import ExchangeRules
from services.exchange_tape import ExchangeTape
from services.fee_tier_review import FeeTierReview
from services.fee_tiers import FeeTiers
from services.journal_feed import JournalFeed
from services.market_statuses import MarketStatuses
from services.market_view import MarketView
from services.projection import ProjectionPorts, Projector
from services.projection_view import ProjectionView
from services.valuation import Valuation
from workers import exchange as exchange_worker
from workers import projection as projection_worker
from workers.exchange import ExchangeWorker
from workers.leased import Loop
from workers.projection import ProjectionWorker

_STREAM = "exchange"
CASH = frozenset({AssetKind.FIAT, AssetKind.STABLECOIN})
"""Kinds of assets that are their own value: they have no cost."""


@dataclass(frozen=True, slots=True)
class ExchangeGround:
    """What the exchange stands on. `process` names this process, `holder` who holds its leases, `seal` proves what
    processes ask and answer over Redis."""

    clock: Clock
    bus: Bus
    catalogue: Catalogue
    view: MarketView
    process: str
    holder: str
    seal: MessageSeal


@dataclass(frozen=True, slots=True)
class ExchangeParts:
    """The way to the exchange, and the loops that may run in this process."""

    gateway: ExchangeGateway
    health: ExchangeHealth
    background: dict[str, Loop]
    workers: dict[str, Loop]


def open_exchange(settings: Settings, ground: ExchangeGround, stack: AsyncExitStack) -> ExchangeParts:
    """Without Redis the writer is asked in this process; with it, through a stream, wherever it runs."""
    inbox, feed = Inbox(), JournalFeed(ground.bus)
    background: dict[str, Loop] = {}
    gateway: ExchangeGateway = LocalGateway(inbox, ground.clock)
    remote = None
    if settings.redis_url is not None:
        url, namespace = settings.redis_url.get_secret_value(), settings.redis_namespace
        requests = RedisRequests(url, process=ground.process, namespace=namespace, name=_STREAM, seal=ground.seal)
        remote = RedisRequestServer(url, server=ground.process, namespace=namespace, name=_STREAM, seal=ground.seal)
        stack.push_async_callback(requests.close)
        stack.push_async_callback(remote.close)
        gateway = RedisGateway(requests, ground.clock)
        background["exchange-answers"] = requests.run
    references = ExchangeReferences(ground.view, ground.clock, _reference_policy(settings, ground.catalogue))
    books = ExchangeBooks(ground.bus)
    parts = WriterParts(
        inbox,
        feed,
        references,
        books,
        ground.bus,
        ground.clock,
        scales_of(ground.catalogue),
        ExchangeRules(ground.catalogue),
    )
    writer = ExchangeWorker(parts, ground.clock, ground.holder, remote, beside=(references.run, books.run))
    projector = ProjectionWorker(ground.clock, ground.holder, lambda: _open_projector(ground, feed, gateway))
    health = ExchangeHealth(gateway, ground.bus, ground.clock)
    background["exchange-health"] = health.run
    return ExchangeParts(
        gateway, health, background, {exchange_worker.NAME: writer.run, projection_worker.NAME: projector.run}
    )


def _reference_policy(settings: Settings, catalogue: Catalogue) -> ReferencePolicy:
    try:
        return ReferencePolicy.of(settings, catalogue)
    except UnknownMarket as error:
        raise CannotRun(f"LIQUIDITY: {error}") from None


async def _open_projector(ground: ExchangeGround, feed: JournalFeed, gateway: ExchangeGateway) -> tuple[Loop, ...]:
    tape = ExchangeTape(ground.bus, ground.clock, ground.catalogue.markets)
    statuses = MarketStatuses(ground.bus)
    tiers = FeeTiers(gateway, Valuation(ground.catalogue, ground.view), ground.catalogue, ground.clock)
    review = FeeTierReview(tiers, ground.clock)
    await tape.load()
    await statuses.load()
    ports = ProjectionPorts(tape, statuses, review)
    projector = Projector(empty_view(ground.catalogue), feed, ports, bus=ground.bus, clock=ground.clock)
    await projector.load()
    return projector.run, tape.run, statuses.run, review.run


def empty_view(catalogue: Catalogue) -> ProjectionView:
    """What a follower knows before the first batch."""
    cash = frozenset(asset.code for asset in catalogue.assets.values() if asset.kind in CASH)
    return ProjectionView(scales_of(catalogue), cash)


def scales_of(catalogue: Catalogue) -> dict[str, int]:
    """The digits of every asset's units."""
    return {asset.code: asset.decimals for asset in catalogue.assets.values()}
