"""Statements: every change of a balance, and sums over them."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated

import strawberry

from core.clock import to_datetime
from core.errors import InvalidInput
from core.ids import MalformedId, decode_id, encode_id
from core.order_vocabulary import TransactionKind
from events.funds import SummaryState
from events.trading import StatementLine
from events.transfer import DepositState, WithdrawalState
from graph.context import Context
from graph.scalars import URL, Long, link
from graph.types.asset import Asset
from graph.types.balance import Quote
from graph.types.deposit import Deposit
from graph.types.node import Node
from graph.types.order import Fill, Order
from graph.types.withdrawal import Withdrawal

Info = strawberry.Info[Context, None]


@strawberry.type(
    description="A change of a balance. All changes with one `entryId`, the house's included, sum to zero per asset."
)
class Transaction(Node):
    account: strawberry.Private[str]
    line: strawberry.Private[StatementLine]
    entry_id: strawberry.ID = strawberry.field(
        description="What it belongs to: the same for all changes that are of one cause."
    )
    kind: TransactionKind = strawberry.field(description="Why the balance changed.")
    amount: Decimal = strawberry.field(description="By how much, in the asset; negative: it went out.")
    balance_after: Decimal = strawberry.field(description="Available and held after it, in the asset.")
    sequence: Long = strawberry.field(description="Number of the change in the account's statement, from 1 on.")
    time: datetime = strawberry.field(description="When.")

    @strawberry.field(description="The asset.")
    def asset(self, info: Info) -> Asset:
        return Asset.of(info.context.catalogue.asset(self.line.asset))

    @strawberry.field(
        description="What `amount` was worth then, by the closing reference prices of its minute, directly or through other markets. "
        "Null where that minute has no prices."
    )
    async def value_at_time(self, info: Info, quote: Quote = None) -> Decimal | None:
        into = await info.context.quote_of(self.account, quote)
        return await info.context.funds_loaders.value_at(self.line.asset, into, self.line.time_ms, self.line.amount)

    @strawberry.field(description="The fill it came from, of trades and their fees.")
    async def fill(self, info: Info) -> Fill | None:
        state = None if self.line.fill is None else await info.context.funds_loaders.fill(self.line.fill)
        return None if state is None else Fill.of(state)

    @strawberry.field(
        description="What it came from: the order, of trades and their fees; the deposit or withdrawal, of what came in or went out on a chain, and of what "
        "was taken back or kept as a fee for it."
    )
    async def reference(self, info: Info) -> Node | None:
        moved = await self._transfer(info)
        if moved is not None:
            return Deposit.of(moved) if isinstance(moved, DepositState) else Withdrawal.of(moved)
        state = None if self.line.order is None else await info.context.funds_loaders.order(self.line.order)
        return None if state is None else Order.of(state)

    @strawberry.field(
        description="Hash of the transaction on a chain that brought or took it, of deposits, withdrawals and what belongs to them; null for what happened here."
    )
    async def chain_hash(self, info: Info) -> str | None:
        moved = await self._transfer(info)
        return None if moved is None else moved.hash

    @strawberry.field(description="The transaction in its chain's explorer; null for what happened here.")
    async def explorer_url(self, info: Info) -> URL | None:
        moved = await self._transfer(info)
        if moved is None or moved.hash is None:
            return None
        return link(info.context.catalogue.chains[moved.chain].transaction_url(moved.hash))

    async def _transfer(self, info: Info) -> DepositState | WithdrawalState | None:
        named = self.line.transfer
        return None if named is None else await info.context.funds_loaders.transfer(self.account, named)

    @staticmethod
    def of(account: str, line: StatementLine) -> "Transaction":
        """The line as its owner sees it."""
        return Transaction(
            id=strawberry.ID(encode_id("Transaction", account, line.number)),
            account=account,
            line=line,
            entry_id=strawberry.ID(encode_id("Entry", line.entry)),
            kind=line.kind,
            amount=line.amount,
            balance_after=line.balance_after,
            sequence=Long(line.number),
            time=to_datetime(line.time_ms),
        )


@strawberry.input(description="Which changes of balances; what is left out does not matter.")
class TransactionFilter:
    kinds: list[TransactionKind] | None = strawberry.field(default=None, description="Only of these kinds.")
    assets: list[str] | None = strawberry.field(default=None, description="Only of these assets, at most 100.")
    symbols: list[str] | None = strawberry.field(
        default=None, description="Only of trades in these markets, at most 100."
    )
    order_id: strawberry.ID | None = strawberry.field(default=None, description="Only of this order.")
    min_amount: Decimal | None = strawberry.field(
        default=None, description="Only amounts of at least so much, without their sign."
    )
    from_: datetime | None = strawberry.field(name="from", default=None, description="At or after this time.")
    to: datetime | None = strawberry.field(default=None, description="Before this time.")

    @property
    def order(self) -> int | None:
        """The number of the order. Raises InvalidInput."""
        if self.order_id is None:
            return None
        try:
            kind, parts = decode_id(self.order_id)
        except MalformedId:
            kind, parts = "", []
        if kind != "Order" or len(parts) != 1 or not parts[0].isdecimal():
            raise InvalidInput("expected the id of an order", field=["filter", "orderId"])
        return int(parts[0])


@strawberry.type(description="Changes of balances summed up, valued in the quote at today's rates.")
class TransactionSummary:
    key: str = strawberry.field(description="The day, week, month, asset or kind.")
    from_: datetime | None = strawberry.field(
        name="from", description="When the key's time begins; null for assets and kinds."
    )
    to: datetime | None = strawberry.field(description="When the next key's time begins.")
    count: int = strawberry.field(description="How many changes.")
    inflow: Decimal | None = strawberry.field(description="What came in; null while an asset of it has no fresh price.")
    outflow: Decimal | None = strawberry.field(description="What went out, without fees; null as `inflow`.")
    fees: Decimal | None = strawberry.field(description="What fees were paid; null as `inflow`.")

    @staticmethod
    def of(state: SummaryState) -> "TransactionSummary":
        """The sums as clients see them."""
        return TransactionSummary(
            key=state.key,
            from_=state.from_,
            to=state.to,
            count=state.count,
            inflow=state.inflow,
            outflow=state.outflow,
            fees=state.fees,
        )


WhichTransactions = Annotated[TransactionFilter | None, strawberry.argument(description="Which; without it all.")]
