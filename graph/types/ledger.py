"""The ledger and the house, as operators see them."""

from datetime import datetime
from decimal import Decimal

import strawberry

from core.clock import to_datetime
from events.funds import AuditLine, HousePositionState, LedgerReport
from graph.context import Context
from graph.scalars import Long
from graph.types.asset import Asset

Info = strawberry.Info[Context, None]


@strawberry.type(description="One asset over all people. Amounts in the asset.")
class LedgerAuditLine:
    line: strawberry.Private[AuditLine]
    postings: Decimal = strawberry.field(description="What statements end with.")
    balances: Decimal = strawberry.field(
        description="What accounts have, held included. The house has the same with the other sign."
    )
    holds: Decimal = strawberry.field(description="What accounts have on hold.")
    open_orders: Decimal = strawberry.field(description="What open orders and groups have set aside.")
    withdrawals: Decimal = strawberry.field(description="What withdrawals that have not left yet have set aside.")
    debts: Decimal = strawberry.field(
        description="What people owe after deposits were reversed. It is no part of `balances`; the house has lost as much until it is repaid."
    )
    hot_reserve: Decimal | None = strawberry.field(
        description="What the hot wallets of all chains hold by the ledger, not by the chains; null where there are none."
    )
    cold_reserve: Decimal | None = strawberry.field(
        description="What the cold wallets of all chains hold by the ledger, not by the chains; null where there are none."
    )
    difference: Decimal = strawberry.field(
        description="0 when everything agrees: what each account is off, what people and the house together have, and what the house has lost "
        "beyond `debts`, without signs."
    )

    @strawberry.field(description="The asset.")
    def asset(self, info: Info) -> Asset:
        return Asset.of(info.context.catalogue.asset(self.line.asset))

    @staticmethod
    def of(line: AuditLine) -> "LedgerAuditLine":
        """The line as operators see it."""
        return LedgerAuditLine(
            line=line,
            postings=line.postings,
            balances=line.balances,
            holds=line.holds,
            open_orders=line.open_orders,
            withdrawals=line.withdrawals,
            debts=line.debts,
            hot_reserve=line.hot,
            cold_reserve=line.cold,
            difference=line.difference,
        )


@strawberry.type(
    description="Whether what people read of their money agrees, to the last unit. `python -m server ledger audit` proves the journal itself."
)
class LedgerAudit:
    time: datetime = strawberry.field(description="When the documents were true.")
    sequence: Long = strawberry.field(description="The place in the exchange's journal they were true at.")
    balanced: bool = strawberry.field(description="Whether no asset has a difference.")
    assets: list[LedgerAuditLine] = strawberry.field(description="Every asset that anybody ever had.")

    @staticmethod
    def of(report: LedgerReport) -> "LedgerAudit":
        """The audit as operators see it."""
        return LedgerAudit(
            time=to_datetime(report.time_ms),
            sequence=Long(report.sequence),
            balanced=report.balanced,
            assets=[LedgerAuditLine.of(line) for line in report.lines],
        )


@strawberry.type(description="The house's position in an asset. Amounts in the asset.")
class HousePosition:
    state: strawberry.Private[HousePositionState]
    inventory: Decimal = strawberry.field(description="What quoting has brought it; negative: it owes.")
    limit: Decimal | None = strawberry.field(description="How much it may own or owe; null: no bound.")
    pnl: Decimal | None = strawberry.field(
        description="What inventory and fees of the asset are worth in USD now; over all assets, what the house has earned. "
        "Null while the asset has no fresh price."
    )

    @strawberry.field(description="The asset.")
    def asset(self, info: Info) -> Asset:
        return Asset.of(info.context.catalogue.asset(self.state.asset))

    @staticmethod
    def of(state: HousePositionState) -> "HousePosition":
        """The position as operators see it."""
        return HousePosition(state=state, inventory=state.inventory, limit=state.limit, pnl=state.pnl)
