"""Proofs of liabilities: what the house owes people, and that somebody's balances are in it."""

from datetime import datetime
from typing import Annotated

import strawberry

from core.clock import to_datetime
from core.ids import encode_id
from core.vocabulary import MerkleSide
from events.liability import Amounts, LiabilityProofState, LiabilityReportState, MerkleStepState
from graph.context import Context
from graph.scalars import Long
from graph.types.asset import Asset, AssetAmount
from graph.types.enums import describe

Info = strawberry.Info[Context, None]
Root = Annotated[
    str | None,
    strawberry.argument(description="Root of a report, 64 hexadecimal digits; without it the newest report."),
]
describe(
    MerkleSide,
    "Where the other node of a step stands.",
    {"LEFT": "Left of the path: it is hashed first.", "RIGHT": "Right of the path: it is hashed second."},
)


@strawberry.type(
    description="What all people together had at a moment, available and held, signed. What the house has itself is not in it, and what people "
    "owe is not taken off."
)
class LiabilityReport:
    state: strawberry.Private[LiabilityReportState]
    id: strawberry.ID = strawberry.field(description="Stable per report.")
    root: str = strawberry.field(description="Root of the Merkle-sum tree over all accounts, hexadecimal.")
    previous_root: str | None = strawberry.field(
        description="Root of the report before, which this one names so that none can be taken out; null of the first."
    )
    sequence: Long = strawberry.field(description="The place in the exchange's journal that the balances are of.")
    accounts: int = strawberry.field(description="How many accounts are in it, empty ones included.")
    signature: str = strawberry.field(description="Ed25519 signature over all of it, base64url.")
    public_key: str = strawberry.field(
        description="What verifies the signature, base64url; also at `/.well-known/liabilities-jwks.json`. It stays the same."
    )
    time: datetime = strawberry.field(description="When it was made.")

    @strawberry.field(
        description="What people have of each asset, by code; at the same time the sums of the tree's root."
    )
    def totals(self, info: Info) -> list[AssetAmount]:
        return _amounts(info, self.state.totals)

    @staticmethod
    def of(state: LiabilityReportState) -> "LiabilityReport":
        """The report as clients see it."""
        return LiabilityReport(
            state=state,
            id=strawberry.ID(encode_id("LiabilityReport", state.number)),
            root=state.root,
            previous_root=state.previous_root,
            sequence=Long(state.sequence),
            accounts=state.accounts,
            signature=state.signature,
            public_key=state.public_key,
            time=to_datetime(state.time_ms),
        )


@strawberry.type(description="A step from a leaf towards the root.")
class MerkleStep:
    state: strawberry.Private[MerkleStepState]
    side: MerkleSide = strawberry.field(description="Where the other node stands.")
    hash: str = strawberry.field(description="The other node's hash, hexadecimal.")

    @strawberry.field(description="What all accounts below the other node have, by code.")
    def sums(self, info: Info) -> list[AssetAmount]:
        return _amounts(info, self.state.sums)

    @staticmethod
    def of(state: MerkleStepState) -> "MerkleStep":
        """The step as its owner sees it."""
        return MerkleStep(state=state, side=state.side, hash=state.hash)


@strawberry.type(
    description="That an account is in a report, with these amounts. `docs/verify_liability.py` verifies it without this server."
)
class LiabilityProof:
    state: strawberry.Private[LiabilityProofState]
    salt: str = strawberry.field(
        description="What hides the account in its leaf: of this report alone, and known to nobody else. Hexadecimal."
    )
    leaf: str = strawberry.field(description="Hash of salt, `User.id` and amounts, hexadecimal.")

    @strawberry.field(description="The report.")
    def report(self) -> LiabilityReport:
        return LiabilityReport.of(self.state.report)

    @strawberry.field(description="What the account had, available and held together, by code.")
    def amounts(self, info: Info) -> list[AssetAmount]:
        return _amounts(info, self.state.amounts)

    @strawberry.field(description="The nodes beside the way from the leaf to the root, from the leaf on.")
    def path(self) -> list[MerkleStep]:
        return [MerkleStep.of(step) for step in self.state.path]

    @staticmethod
    def of(state: LiabilityProofState) -> "LiabilityProof":
        """The proof as its owner sees it."""
        return LiabilityProof(state=state, salt=state.salt, leaf=state.leaf)


def _amounts(info: Info, amounts: Amounts) -> list[AssetAmount]:
    return [
        AssetAmount(asset=Asset.of(info.context.catalogue.asset(code)), amount=amount)
        for code, amount in amounts.items()
    ]
