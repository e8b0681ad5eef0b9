"""Proofs of liabilities as they go from the services to the surface. Hashes and salts are hex."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from core.vocabulary import MerkleSide

Amounts = Mapping[str, Decimal]
"""By asset, in whole units of it, in the order of the codes; nothing of an asset is left out."""


@dataclass(frozen=True, slots=True)
class LiabilityReportState:
    """What all people together had after an event of the journal. `previous_root` is None of the first report; signature and key are base64url."""

    number: int
    root: str
    previous_root: str | None
    sequence: int
    totals: Amounts
    accounts: int
    time_ms: int
    signature: str
    public_key: str


@dataclass(frozen=True, slots=True)
class MerkleStepState:
    """The node beside the path: on which side it stands, its hash, and what is below it."""

    side: MerkleSide
    hash: str
    sums: Amounts


@dataclass(frozen=True, slots=True)
class LiabilityProofState:
    """That an account is in a report: its leaf, and every node beside the way from there to the root."""

    report: LiabilityReportState
    salt: str
    amounts: Amounts
    leaf: str
    path: Sequence[MerkleStepState]
