"""What each market accepts, as the exchange's journal says: stored, and told to every process. It runs where the journal is projected."""

from core.bus import Bus
from core.vocabulary import MarketStatus
from events.market import EXCHANGE_TOPIC, MarketStatusChanged
from models.market_status import MarketStatusEntry, all_statuses, store_status
from services import resyncs


class MarketStatuses:
    """One in all. `load` before the first change; `run` beside it."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._known: dict[str, MarketStatusEntry] = {}

    async def load(self) -> None:
        """Continue where storage stands. Raises PyMongoError."""
        self._known = await all_statuses()

    async def status_changed(self, symbol: str, status: MarketStatus, time_ms: int) -> None:
        """The journal says that a market accepts this from now on; one that is told again changes nothing. Raises PyMongoError."""
        known = self._known.get(symbol)
        if known is not None and known.since_ms > time_ms:
            return
        entry = MarketStatusEntry(symbol=symbol, status=status, since_ms=time_ms)
        await store_status(entry)
        self._known[symbol] = entry
        self._publish(entry)

    async def run(self) -> None:
        """Tell processes that join; until cancelled."""
        await resyncs.answer(self._bus, self._tell)

    def _tell(self) -> None:
        for entry in self._known.values():
            self._publish(entry)

    def _publish(self, entry: MarketStatusEntry) -> None:
        self._bus.publish(EXCHANGE_TOPIC, MarketStatusChanged(entry.symbol, entry.status))
