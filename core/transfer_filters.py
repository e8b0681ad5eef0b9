"""Which deposits or withdrawals are listed."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from core.clock import to_ms
from core.errors import InvalidInput

MOST_NAMES = 100


@dataclass(frozen=True, slots=True)
class TransferCriteria:
    """What a transfer must be to be listed; None: anything. Times are [from, to)."""

    assets: Collection[str] | None = None
    chains: Collection[str] | None = None
    statuses: Collection[str] | None = None
    from_: datetime | None = None
    to: datetime | None = None

    def __post_init__(self) -> None:
        for name in ("assets", "chains", "statuses"):
            listed = getattr(self, name)
            if listed is not None and len(listed) > MOST_NAMES:
                raise InvalidInput(
                    f"expected at most {MOST_NAMES} {name}",
                    field=["filter", name],
                    limit=MOST_NAMES,
                    actual=len(listed),
                )

    def check_statuses(self, known: Collection[str]) -> None:
        """Raises InvalidInput for a status that the list's enum does not have."""
        unknown = [status for status in self.statuses or () if status not in known]
        if unknown:
            raise InvalidInput(f"expected some of {', '.join(known)}", field=["filter", "statuses"])

    def admits(self, asset: str, chain: str, status: str, time_ms: int) -> bool:
        """Whether a transfer is one of these."""
        return (
            (self.assets is None or asset in self.assets)
            and (self.chains is None or chain in self.chains)
            and (self.statuses is None or status in self.statuses)
            and (self.from_ is None or time_ms >= to_ms(self.from_))
            and (self.to is None or time_ms < to_ms(self.to))
        )
