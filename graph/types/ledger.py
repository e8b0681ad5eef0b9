"""The ledger and the house, as operators see them."""

from datetime import datetime
from decimal import Decimal

import strawberry

from core.clock import to_datetime
from events.funds import AuditLine, HousePositionState, LedgerReport
from events.reserve import ReserveState, ReserveSums, sums_of
from graph.context import Context
from graph.scalars import Long
from graph.types.asset import Asset, Chain
from graph.types.wallet_balance import ChainFailure

Info = strawberry.Info[Context, None]


@strawberry.type(description="What the house's wallets on one chain hold of an asset. Amounts in the asset.")
class ChainReserve:
    key: strawberry.Private[str]
    code: strawberry.Private[str]
    hot: Decimal | None = strawberry.field(
        description="In the wallet that withdrawals are paid from; null where there is none."
    )
    unswept: Decimal | None = strawberry.field(
        description="On people's deposit addresses; null where nobody was given one."
    )
    cold: Decimal | None = strawberry.field(description="In the cold wallets that are configured; null where none is.")
    ledger_hot: Decimal = strawberry.field(description="What the ledger says that `hot` should be.")
    ledger_cold: Decimal = strawberry.field(
        description="What the ledger says that `unswept` and `cold` should be together."
    )
    block: Long | None = strawberry.field(description="The block it is true at, on Solana the slot.")
    time: datetime | None = strawberry.field(description="The time in that block.")
    age: int | None = strawberry.field(description="How long ago that was, in seconds.")
    failure: ChainFailure | None = strawberry.field(
        description="Why nothing is known; then all amounts of the chain are null, and none is 0. Null when it is known."
    )

    @strawberry.field(description="The chain.")
    def chain(self, info: Info) -> Chain:
        return Chain.of(info.context.catalogue.chains[self.key])

    @strawberry.field(
        description="What came in and names no account (`unclaimedDeposits`), dust included: part of `unswept`, in nobody's balance, and not in the ledger."
    )
    async def unclaimed(self, info: Info) -> Decimal:
        return await info.context.custody.unclaimed.amount(self.key, self.code)

    @staticmethod
    def of(state: ReserveState, line: AuditLine, locale: str) -> "ChainReserve":
        """The reserve as operators see it, beside the ledger's line."""
        return ChainReserve(
            key=state.chain,
            code=line.asset,
            hot=state.hot,
            unswept=state.unswept,
            cold=state.cold,
            ledger_hot=line.hot.get(state.chain, Decimal(0)),
            ledger_cold=line.cold.get(state.chain, Decimal(0)),
            block=None if state.block is None else Long(state.block),
            time=None if state.time_ms is None else to_datetime(state.time_ms),
            age=state.age_seconds,
            failure=None if state.trouble is None else ChainFailure.of(state.trouble, locale),
        )


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
    difference: Decimal = strawberry.field(
        description="0 when everything agrees: what each account is off, what people and the house together have, and what the house has lost "
        "beyond `debts`, without signs. It is of the books alone; `reserveDifference` sets them against the chains."
    )

    @strawberry.field(description="The asset.")
    def asset(self, info: Info) -> Asset:
        return Asset.of(info.context.catalogue.asset(self.line.asset))

    @strawberry.field(
        description="What the wallets whose keys this server signs with hold now, by their chains and summed over them, all configured nodes agreeing. "
        "Null where there are none, and while a chain cannot be read: `reserves` says why."
    )
    async def hot_reserve(self, info: Info) -> Decimal | None:
        return (await self._sums(info)).hot

    @strawberry.field(
        description="What is held now under keys that are offline, by the chains: in cold wallets, and on deposit addresses that were not swept yet. "
        "Null as `hotReserve`."
    )
    async def cold_reserve(self, info: Info) -> Decimal | None:
        return (await self._sums(info)).cold

    @strawberry.field(
        description="What the wallets hold beyond what the ledger says; negative: they lack it. Null while a chain cannot be read. It is not 0 while "
        "something is on its way or nobody's: deposits that are not credited yet or name no account, dust, withdrawals that have left and are not settled."
    )
    async def reserve_difference(self, info: Info) -> Decimal | None:
        return (await self._sums(info)).beyond

    @strawberry.field(description="The same by chain, those first that the catalogue lists first.")
    async def reserves(self, info: Info) -> list["ChainReserve"]:
        return [ChainReserve.of(state, self.line, info.context.client.locale) for state in await self._states(info)]

    async def _states(self, info: Info) -> list[ReserveState]:
        return await info.context.custody.reserves.of_asset(self.line.asset, {*self.line.hot, *self.line.cold})

    async def _sums(self, info: Info) -> ReserveSums:
        return sums_of(await self._states(info), [*self.line.hot.values(), *self.line.cold.values()])

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
