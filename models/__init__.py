"""Every document of the database; a new one is added here."""

from beanie import Document

from models.asset import AssetDocument
from models.market import MarketDocument

DOCUMENTS: tuple[type[Document], ...] = (AssetDocument, MarketDocument)
