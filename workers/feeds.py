"""From settings to a running market data worker: which feeds, which fallback, which limits."""

from collections.abc import Sequence
from dataclasses import dataclass

from core.bus import Bus
from core.clock import Clock
from core.settings import Mode, Settings
from core.vocabulary import AssetKind, PriceSource
from integrations.feeds.base import Feed
from integrations.feeds.registry import build_feeds
from integrations.feeds.replay import ReplayFeed, ReplaySpeed
from integrations.feeds.simulated import SimulatedFeed, SimulatedMarket
from services.catalogue import Catalogue
from services.market_data import MarketData
from services.market_history import MarketHistory
from services.pacing import Pacer
from services.price_sources import PriceLimits
from services.sequences import Sequences
from workers.market_data import NAME, Fallback, MarketDataWorker

__all__ = ["NAME", "MarketDataSetup"]

POLLED_STALE_MS = {
    PriceSource.COINGECKO: 600_000,
    PriceSource.COINMARKETCAP: 1_800_000,
    PriceSource.CHAINLINK: 90_000,
}
"""Sources that are asked every now and then are stale only after two missed answers."""


@dataclass(frozen=True, slots=True)
class MarketDataSetup:
    """What the market data worker is made of. Nothing is opened before `run`."""

    settings: Settings
    clock: Clock
    bus: Bus
    catalogue: Catalogue
    holder: str

    async def run(self) -> None:
        """Work until cancelled.

        Raises:
            FeedMisconfigured: a configured source lacks what it needs.
            ReplayFileInvalid: the file to be replayed cannot be used.
        """
        pacer = Pacer(self.bus, self.clock, self.settings.replay_symbol) if self._replays else None
        worker = MarketDataWorker(
            bus=self.bus,
            clock=self.clock,
            holder=self.holder,
            open_feeds=lambda: self._feeds(pacer),
            fallback=self._fallback(),
            pacer=pacer,
            rules_every_seconds=self.settings.rules_refresh_hours * 3600 or None,
            open_data=self._open_data,
        )
        await worker.run()

    @property
    def _replays(self) -> bool:
        return PriceSource.REPLAY in self.settings.price_sources

    def _feeds(self, pacer: Pacer | None) -> Sequence[Feed]:
        if pacer is not None and self.settings.replay_file is not None:
            symbol = self.catalogue.market(self.settings.replay_symbol).symbol
            speed = ReplaySpeed.parse(self.settings.replay_speed)
            file = self.settings.replay_file
            return [ReplayFeed(file, symbol=symbol, speed=speed, clock=self.clock, pace=pacer.wait)]
        feeds = build_feeds(self.settings, self.catalogue.feed_markets(), self.clock)
        if PriceSource.SIMULATED in self.settings.price_sources:
            feeds.append(self._simulated())
        return feeds

    def _fallback(self) -> Fallback | None:
        own = {PriceSource.REPLAY, PriceSource.SIMULATED} & set(self.settings.price_sources)
        if own or not self.settings.simulated_fallback or self.settings.mode is Mode.PRODUCTION:
            return None
        return Fallback(self._simulated(), self.settings.simulated_after_seconds)

    def _simulated(self) -> Feed:
        markets = [
            SimulatedMarket(market.symbol, market.simulated_price, market.rules.tick_size, market.rules.lot_size)
            for market in self.catalogue.markets.values()
        ]
        pegged = [
            asset.code
            for asset in self.catalogue.assets.values()
            if asset.kind in (AssetKind.FIAT, AssetKind.STABLECOIN)
        ]
        return SimulatedFeed(
            markets,
            seed=self.settings.simulated_seed,
            pegged=pegged,
            clock=self.clock,
            history_days=self.settings.simulated_history_days,
        )

    async def _open_data(self) -> MarketData:
        sequences = Sequences()
        data = MarketData(
            bus=self.bus,
            clock=self.clock,
            catalogue=self.catalogue,
            history=MarketHistory(sequences, self.clock, retention_days=self.settings.reference_trade_retention_days),
            sequences=sequences,
            sources=self._sources(),
            limits=PriceLimits(
                max_deviation=self.settings.price_max_deviation,
                stale_ms=round(self.settings.price_stale_seconds * 1000),
                stale_ms_of=POLLED_STALE_MS,
            ),
        )
        await data.load()
        return data

    def _sources(self) -> dict[str, Sequence[PriceSource]]:
        """Which configured sources know each market, in order of preference."""
        if self._replays:
            return {self.settings.replay_symbol: [PriceSource.REPLAY]}
        return {
            market.symbol: [
                source
                for source in self.settings.price_sources
                if source in market.providers or source is PriceSource.SIMULATED
            ]
            for market in self.catalogue.markets.values()
        }
