"""Who may owe something since a deposit was taken back: found here, so that nobody has to look through all accounts. The ledger has the debts."""

from typing import ClassVar

from beanie import Document
from pymongo import ASCENDING, IndexModel


class DebtorDocument(Document):
    """One under `account:asset`; `sequence` is the newest reversal's in the exchange's journal."""

    id: str  # type: ignore[assignment]
    user_id: str
    asset: str
    sequence: int

    class Settings:
        """Where it is kept."""

        name = "debtors"
        indexes: ClassVar = [IndexModel([("sequence", ASCENDING)])]


async def note(user_id: str, asset: str, sequence: int) -> None:
    """Note that an account may owe of an asset, by what was done at this sequence."""
    await DebtorDocument.get_pymongo_collection().update_one(
        {"_id": f"{user_id}:{asset}"},
        {"$set": {"user_id": user_id, "asset": asset}, "$max": {"sequence": sequence}},
        upsert=True,
    )


async def everybody() -> list[DebtorDocument]:
    """All of them, those that were noted first before the others: few."""
    found = await DebtorDocument.find({"sequence": {"$gte": 0}}).to_list()
    return sorted(found, key=lambda row: (row.sequence, row.id))


async def forget(row: DebtorDocument) -> None:
    """Nothing is owed any more, unless something was noted since."""
    await DebtorDocument.get_pymongo_collection().delete_one({"_id": row.id, "sequence": row.sequence})
