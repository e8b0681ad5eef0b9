"""What markets accept, as operators decide. The exchange is told; its journal tells everybody else (services/market_statuses.py)."""

from core.account_vocabulary import AuditAction
from core.errors import ExpectedError
from core.order_vocabulary import OrderErrorCode
from core.refusals import UnknownObject
from core.vocabulary import MarketStatus
from events.commands import SetMarketStatus
from models.market import MarketEntry
from services.audit import AuditLog
from services.catalogue import Catalogue
from services.exchange_gateway import ExchangeGateway
from services.viewer import Client, Viewer


class ExchangeAway(ExpectedError):
    """The exchange was not reached, or did not answer in time."""

    code = "EXCHANGE_UNAVAILABLE"


class MarketOperations:
    """Decides, and has it audited."""

    def __init__(self, *, gateway: ExchangeGateway, catalogue: Catalogue, audit: AuditLog) -> None:
        self._gateway = gateway
        self._catalogue = catalogue
        self._audit = audit

    async def set_status(
        self, operator: Viewer, symbol: str, status: MarketStatus, reason: str, client: Client
    ) -> MarketEntry:
        """Let a market accept this from now on. Raises UnknownObject, ExchangeAway."""
        if symbol not in self._catalogue.markets:
            raise UnknownObject("there is no such market", field=["symbol"])
        answer = await self._gateway.ask(SetMarketStatus(symbol, status, reason))
        if answer.refusal is not None:
            if answer.refusal.code is OrderErrorCode.UNKNOWN_MARKET:
                raise UnknownObject("there is no such market", field=["symbol"])
            raise ExchangeAway(
                f"the exchange did not confirm it ({answer.refusal.code}); look at the market, and try again"
            )
        self._catalogue.set_status(symbol, status)
        await self._audit.record(
            operator.user_id,
            AuditAction.OPERATED,
            client=client,
            detail={"market": symbol, "status": status.value, "reason": reason},
        )
        return self._catalogue.market(symbol)
