"""The exchange of a process: the way to its writer, and the workers that write and project, made from the settings."""

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass

from core.bus import Bus
from core.clock import Clock
from core.redis_requests import RedisRequests, RedisRequestServer
from core.settings import Settings
from core.vocabulary import AssetKind
from server.errors import CannotRun
from services.catalogue import Catalogue, UnknownMarket
from services.exchange import WriterParts
from services.exchange_books import ExchangeBooks
from services.exchange_gateway import ExchangeGateway, LocalGateway, RedisGateway
from services.exchange_inbox import Inbox
from services.exchange_references import ExchangeReferences, ReferencePolicy
from services.exchange_rules import ExchangeRules
from services.exchange_tape import ExchangeTape
from services.journal_feed import JournalFeed
from services.market_statuses import MarketStatuses
from services.market_view import MarketView
from services.projection import Projector
from services.projection_view import ProjectionView
from workers import exchange as exchange_worker
from workers import projection as projection_worker
from workers.exchange import ExchangeWorker
from workers.projection import OpenedProjector, ProjectionWorker

Loop = Callable[[], Awaitable[None]]
_STREAM = "exchange"
CASH = frozenset({AssetKind.FIAT, AssetKind.STABLECOIN})
"""Kinds of assets that are their own value: they have no cost."""


@dataclass(frozen=True, slots=True)
class ExchangeGround:
    """What the exchange stands on. `process` names this process, `holder` who holds its leases."""

    clock: Clock
    bus: Bus
    catalogue: Catalogue
    view: MarketView
    process: str
    holder: str


@dataclass(frozen=True, slots=True)
class ExchangeParts:
    """The way to the exchange, and the loops that may run in this process."""

    gateway: ExchangeGateway
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
        requests = RedisRequests(url, process=ground.process, namespace=namespace, name=_STREAM)
        remote = RedisRequestServer(url, server=ground.process, namespace=namespace, name=_STREAM)
        stack.push_async_callback(requests.close)
        stack.push_async_callback(remote.close)
        gateway = RedisGateway(requests, ground.clock)
        background["exchange-answers"] = requests.run
    references = ExchangeReferences(ground.view, ground.clock, _reference_policy(settings, ground.catalogue))
    books = ExchangeBooks(ground.bus)
    scales = {asset.code: asset.decimals for asset in ground.catalogue.assets.values()}
    parts = WriterParts(
        inbox,
        feed,
        references,
        books,
        ground.bus,
        ground.clock,
        scales,
        ExchangeRules(ground.catalogue),
    )
    writer = ExchangeWorker(parts, ground.clock, ground.holder, remote, beside=(references.run, books.run))
    projector = ProjectionWorker(ground.clock, ground.holder, lambda: _open_projector(ground, feed, scales))
    return ExchangeParts(gateway, background, {exchange_worker.NAME: writer.run, projection_worker.NAME: projector.run})


def _reference_policy(settings: Settings, catalogue: Catalogue) -> ReferencePolicy:
    try:
        return ReferencePolicy.of(settings, catalogue)
    except UnknownMarket as error:
        raise CannotRun(f"LIQUIDITY: {error}") from None


async def _open_projector(ground: ExchangeGround, feed: JournalFeed, scales: dict[str, int]) -> OpenedProjector:
    cash = frozenset(asset.code for asset in ground.catalogue.assets.values() if asset.kind in CASH)
    tape = ExchangeTape(ground.bus, ground.clock, ground.catalogue.markets)
    statuses = MarketStatuses(ground.bus)
    await tape.load()
    await statuses.load()
    projector = Projector(ProjectionView(scales, cash), feed, tape, statuses, bus=ground.bus, clock=ground.clock)
    await projector.load()
    return OpenedProjector(projector, (projector.run, tape.run, statuses.run))
