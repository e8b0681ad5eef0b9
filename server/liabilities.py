"""Proofs of liabilities of a process."""

from dataclasses import dataclass

from core.clock import Clock
from core.secret_box import SealBroken, SecretBox
from core.settings import Settings
from server.errors import CannotRun
from services.catalogue import Catalogue
from services.liabilities import Liabilities, LiabilityReporter, ReportRules
from services.liability_key import LiabilityKey
from workers.liabilities import LiabilityWorker

KEY_PATH = "/.well-known/liabilities-jwks.json"


@dataclass(frozen=True, slots=True)
class OpenLiabilities:
    """What reads reports, what makes them, and what makes them in time."""

    reads: Liabilities
    reporter: LiabilityReporter
    worker: LiabilityWorker


async def open_liabilities(
    settings: Settings, clock: Clock, box: SecretBox, catalogue: Catalogue, holder: str
) -> OpenLiabilities:
    """All of it, with its key. Raises CannotRun."""
    key = LiabilityKey(box)
    try:
        await key.load()
    except SealBroken as error:
        raise CannotRun(f"stored secrets cannot be read ({error}): ENCRYPTION_KEY is not the one they need") from None
    reporter = LiabilityReporter(
        key,
        clock,
        {code: asset.decimals for code, asset in catalogue.assets.items()},
        ReportRules(hours=settings.liability_report_hours, kept=settings.liability_reports_kept),
    )
    return OpenLiabilities(Liabilities(key), reporter, LiabilityWorker(reporter, clock, holder))
