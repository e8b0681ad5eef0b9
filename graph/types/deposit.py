"""Deposits and the addresses they come in at."""

from datetime import datetime
from decimal import Decimal

import strawberry

from core.clock import to_datetime
from core.ids import encode_id
from core.wallet_vocabulary import DepositStatus
from events.transfer import DepositState
from graph.context import Context
from graph.scalars import URL, link
from graph.types.asset import Asset, Chain
from graph.types.errors import ERRORS
from graph.types.node import Node
from graph.types.wallet_errors import WalletError, WalletRefusable
from models.chain import ChainEntry
from models.deposit_address import DepositPlace
from models.unclaimed_deposit import UnclaimedDepositDocument

Info = strawberry.Info[Context, None]


@strawberry.type(description="What a wallet opens to deposit an asset.")
class DepositLink:
    code: strawberry.Private[str]
    uri: str = strawberry.field(description="EIP-681, BIP-21 or Solana Pay, without an amount.")

    @strawberry.field(description="The asset.")
    def asset(self, info: Info) -> Asset:
        return Asset.of(info.context.catalogue.asset(self.code))

    @strawberry.field(description="The URI as a QR code, an SVG image.")
    def qr_svg(self, info: Info) -> str:
        return info.context.custody.deposit_addresses.qr(self.uri)


@strawberry.type(
    description="Where you deposit on a chain. One address serves all EVM chains; what you send to it on a chain that is not watched is not seen. "
    "Where there is a memo, all pay to one address: what comes without yours is credited only once you have asked for it and an operator has found it."
)
class DepositAddress(Node):
    entry: strawberry.Private[ChainEntry]
    place: strawberry.Private[DepositPlace]
    address: str = strawberry.field(description="The address.")
    memo: str | None = strawberry.field(
        description="What must be sent along, as the memo of the transfer; null where nothing is."
    )
    uri: str = strawberry.field(
        description="What a wallet opens to deposit the chain's own coin: EIP-681, BIP-21 or Solana Pay."
    )
    qr_svg: str = strawberry.field(description="The URI as a QR code, an SVG image.")
    created_at: datetime = strawberry.field(description="When it was made.")

    @strawberry.field(description="The chain.")
    def chain(self) -> Chain:
        return Chain.of(self.entry)

    @strawberry.field(description="The address in the chain's explorer; null where the chain has none.")
    def explorer_url(self) -> URL | None:
        return link(self.entry.address_url(self.address))

    @strawberry.field(description="What a wallet opens for each asset that is taken on the chain.")
    def links(self, info: Info) -> list[DepositLink]:
        found = info.context.custody.deposit_addresses.links(self.place, self.entry)
        return [DepositLink(code=each.asset, uri=each.uri) for each in found]

    @staticmethod
    def of(place: DepositPlace, chain: ChainEntry, uri: str, qr_svg: str) -> "DepositAddress":
        """The address as clients see it."""
        return DepositAddress(
            id=strawberry.ID(encode_id("DepositAddress", place.user_id, chain.key)),
            entry=chain,
            place=place,
            address=place.address,
            memo=place.memo,
            uri=uri,
            qr_svg=qr_svg,
            created_at=to_datetime(place.created_ms),
        )


@strawberry.type(description="What came in on a chain, or is coming in.")
class Deposit(Node):
    state: strawberry.Private[DepositState]
    address: str = strawberry.field(description="The deposit address it came in at.")
    amount: Decimal = strawberry.field(description="How much.")
    hash: str = strawberry.field(description="Its transaction.")
    confirmations: int = strawberry.field(description="Blocks on it, its own included; 0 while it is in none.")
    required: int = strawberry.field(description="Confirmations that credit it.")
    status: DepositStatus = strawberry.field(description="How far it is.")
    time: datetime = strawberry.field(description="When it was first seen here.")
    credited_at: datetime | None = strawberry.field(description="When it came into the balance; null before.")

    @strawberry.field(description="What came in.")
    def asset(self, info: Info) -> Asset:
        return Asset.of(info.context.catalogue.asset(self.state.asset))

    @strawberry.field(description="The chain it came in on.")
    def chain(self, info: Info) -> Chain:
        return Chain.of(info.context.catalogue.chains[self.state.chain])

    @strawberry.field(description="Its transaction in the chain's explorer.")
    def explorer_url(self, info: Info) -> URL | None:
        return link(info.context.catalogue.chains[self.state.chain].transaction_url(self.state.hash))

    @staticmethod
    def of(state: DepositState) -> "Deposit":
        """The deposit as clients see it."""
        return Deposit(
            id=strawberry.ID(encode_id("Deposit", *state.id.split(":"))),
            state=state,
            address=state.address,
            amount=state.amount,
            hash=state.hash,
            confirmations=state.confirmations,
            required=state.required,
            status=state.status,
            time=to_datetime(state.time_ms),
            credited_at=None if state.credited_ms is None else to_datetime(state.credited_ms),
        )


@strawberry.type(description="What came in to an address that all pay to, and names no account. Operators see it.")
class UnclaimedDeposit(Node):
    row: strawberry.Private[UnclaimedDepositDocument]
    address: str = strawberry.field(description="The address it came in at.")
    amount: Decimal = strawberry.field(description="How much.")
    hash: str = strawberry.field(description="Its transaction.")
    sender: str = strawberry.field(description="Who paid the transaction's fee, mostly the sender.")
    memos: list[str] = strawberry.field(
        description="The texts that came along, at most 4 of them, cut after 200 characters."
    )
    time: datetime = strawberry.field(description="When it was first seen here.")

    @strawberry.field(description="What came in.")
    def asset(self, info: Info) -> Asset:
        return Asset.of(info.context.catalogue.asset(self.row.asset))

    @strawberry.field(description="The chain it came in on.")
    def chain(self, info: Info) -> Chain:
        return Chain.of(info.context.catalogue.chains[self.row.chain])

    @strawberry.field(description="Its transaction in the chain's explorer.")
    def explorer_url(self, info: Info) -> URL | None:
        return link(info.context.catalogue.chains[self.row.chain].transaction_url(self.row.hash))

    @staticmethod
    def of(row: UnclaimedDepositDocument) -> "UnclaimedDeposit":
        """The row as operators see it."""
        return UnclaimedDeposit(
            id=strawberry.ID(encode_id("UnclaimedDeposit", *row.id.split(":"))),
            row=row,
            address=row.address,
            amount=row.amount,
            hash=row.hash,
            sender=row.sender,
            memos=list(row.memos),
            time=to_datetime(row.seen_ms),
        )


@strawberry.input(description="Whose an unclaimed deposit is.")
class AssignDepositInput:
    id: strawberry.ID = strawberry.field(description="Id of an UnclaimedDeposit.")
    account: strawberry.ID = strawberry.field(description="Id of a User or an AdminUser.")
    reason: str = strawberry.field(description="Why it is theirs, 1 to 500 characters; kept in the audit log.")
    step_up_proof: str | None = strawberry.field(default=None, description="From `reauthenticate`.")


@strawberry.type(description="A deposit.")
class DepositPayload(WalletRefusable):
    deposit: Deposit | None = strawberry.field(default=None, description="The deposit.")
    errors: list[WalletError] = strawberry.field(default_factory=list, description=ERRORS)


@strawberry.input(description="A chain to deposit on.")
class CreateDepositAddressInput:
    chain: str = strawberry.field(description="Key of the chain, such as `ethereum`.")


@strawberry.type(description="A deposit address.")
class DepositAddressPayload(WalletRefusable):
    deposit_address: DepositAddress | None = strawberry.field(default=None, description="The address.")
    errors: list[WalletError] = strawberry.field(default_factory=list, description=ERRORS)
