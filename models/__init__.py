"""Every document of the database; a new one is added here."""

from beanie import Document

from models.asset import AssetDocument
from models.candle import CandleDocument
from models.lease import LeaseDocument
from models.market import MarketDocument
from models.market_state import MarketStateDocument, SequenceDocument
from models.trade import TradeDocument

DOCUMENTS: tuple[type[Document], ...] = (
    AssetDocument,
    CandleDocument,
    LeaseDocument,
    MarketDocument,
    MarketStateDocument,
    SequenceDocument,
    TradeDocument,
)
