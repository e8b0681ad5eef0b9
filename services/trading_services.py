"""Everything about orders, put together: what each part needs is handed to it here and nowhere else."""

from dataclasses import dataclass

from core.bus import Bus
from core.cache import Cache
from core.clock import Clock
from services.audit import AuditLog
from services.cancel_timers import CancelTimers
from services.catalogue import Catalogue
from services.exchange_gateway import ExchangeGateway
from services.market_operations import MarketOperations
from services.order_changes import OrderChanges
from services.order_pages import OrderPages
from services.order_placing import Placing
from services.order_previews import OrderPreviews
from services.order_reads import OrderReads
from services.order_streams import OrderStreams
from services.read_marks import ReadMarks


@dataclass(frozen=True, slots=True)
class TradingServices:
    """The parts that resolvers use. `marks.run` belongs into the background of every process that serves."""

    gateway: ExchangeGateway
    marks: ReadMarks
    reads: OrderReads
    pages: OrderPages
    streams: OrderStreams
    placing: Placing
    changes: OrderChanges
    timers: CancelTimers
    previews: OrderPreviews
    markets: MarketOperations


def build_trading_services(
    *, gateway: ExchangeGateway, bus: Bus, cache: Cache, clock: Clock, catalogue: Catalogue, audit: AuditLog
) -> TradingServices:
    """Put everything together; nothing is read yet."""
    marks = ReadMarks(bus, cache, clock)
    reads = OrderReads(marks)
    return TradingServices(
        gateway=gateway,
        marks=marks,
        reads=reads,
        pages=OrderPages(reads),
        streams=OrderStreams(bus, marks, reads, catalogue),
        placing=Placing(gateway, marks, reads),
        changes=OrderChanges(gateway, marks, reads),
        timers=CancelTimers(gateway, marks, reads),
        previews=OrderPreviews(gateway, catalogue),
        markets=MarketOperations(gateway=gateway, catalogue=catalogue, audit=audit),
    )
