"""The house's position, for operators: what quoting has brought it, how much that may be, and what it is worth."""

from core.errors import ExpectedError
from events.funds import HousePositionState
from services.catalogue import Catalogue
from services.exchange_gateway import ExchangeGateway
from services.valuation import Valuation, value_at

QUOTE = "USD"


class ExchangeUnavailable(ExpectedError):
    """The exchange does not answer at the moment."""

    code = "EXCHANGE_UNAVAILABLE"


class Houses:
    """One per process."""

    def __init__(self, gateway: ExchangeGateway, valuation: Valuation, catalogue: Catalogue) -> None:
        self._gateway = gateway
        self._valuation = valuation
        self._catalogue = catalogue

    async def positions(self) -> list[HousePositionState]:
        """All positions, in the order of the catalogue. Raises ExchangeUnavailable."""
        house = await self._gateway.house()
        if house is None:
            raise ExchangeUnavailable("the exchange does not answer; try again in a moment")
        rates = self._valuation.rates(QUOTE)
        lines = {line.asset: line for line in house.lines}
        return [
            HousePositionState(
                asset=line.asset,
                inventory=line.inventory,
                limit=line.limit,
                pnl=value_at(rates, line.asset, line.inventory + line.fees),
            )
            for line in (lines[asset] for asset in self._catalogue.assets if asset in lines)
        ]
