"""Transactions on chains, and what contracts answer."""

from decimal import Decimal

import strawberry
from strawberry.scalars import JSON

from core.ids import encode_id
from core.translations import translated
from core.wallet_vocabulary import ChainTxStatus
from events.chain_transaction import ChainTransactionState
from graph.context import Context
from graph.directives import Cost
from graph.scalars import URL, Long, link
from graph.types.asset import Chain
from graph.types.errors import ERRORS
from graph.types.wallet_errors import WalletError, WalletRefusable

Info = strawberry.Info[Context, None]


@strawberry.type(description="A transaction on a chain.")
class ChainTransaction:
    id: strawberry.ID = strawberry.field(description="Stable per chain and hash.")
    state: strawberry.Private[ChainTransactionState]
    hash: str = strawberry.field(description="Its hash.")
    status: ChainTxStatus = strawberry.field(description="What has become of it.")
    confirmations: int = strawberry.field(description="Blocks from its own on; 0 while it is in none.")
    block_number: Long | None = strawberry.field(description="Its block; null while it is in none.")
    fee: Decimal | None = strawberry.field(
        description="What it cost, in the chain's own coin; null while it is in no block."
    )

    @strawberry.field(description="The chain it is on.")
    def chain(self, info: Info) -> Chain:
        return Chain.of(info.context.catalogue.chains[self.state.chain])

    @strawberry.field(
        description="Of one that is REPLACED what took its place, where that was found; null for any other.",
        directives=[Cost(points=20)],
    )
    async def replaced_by(self, info: Info) -> "ChainTransaction | None":
        if self.state.replaced_by is None:
            return None
        state = await info.context.transfers.transactions.read(self.state.chain, self.state.replaced_by)
        return None if state is None else ChainTransaction.of(state)

    @strawberry.field(description="Confirmations from which on it is FINAL.")
    def required(self, info: Info) -> int:
        return info.context.catalogue.chains[self.state.chain].final_after

    @strawberry.field(description="The transaction in the chain's explorer.")
    def explorer_url(self, info: Info) -> URL | None:
        return link(info.context.catalogue.chains[self.state.chain].transaction_url(self.hash))

    @strawberry.field(description="Why it FAILED, for people; null for any other.")
    def error(self, info: Info) -> str | None:
        if self.state.error is None:
            return None
        return translated(self.state.error, info.context.client.locale).format_map(self.state.error_values)

    @staticmethod
    def of(state: ChainTransactionState) -> "ChainTransaction":
        """The transaction as clients see it."""
        return ChainTransaction(
            id=strawberry.ID(encode_id("ChainTransaction", state.chain, state.hash)),
            state=state,
            hash=state.hash,
            status=state.status,
            confirmations=state.confirmations,
            block_number=None if state.block is None else Long(state.block),
            fee=state.fee,
        )


@strawberry.type(description="What a contract answered.")
class ContractRead:
    values: list[JSON] = strawberry.field(
        description="In the order of the function's outputs. Integers are decimal texts, bytes 0x and hexadecimal digits, arrays lists, tuples objects by "
        "their names, or lists where they have none."
    )
    block_number: Long = strawberry.field(description="The block it is true at.")


@strawberry.input(description="A function of a contract to be asked, without a transaction.")
class ContractReadInput:
    chain: str = strawberry.field(description="Key of the chain, one of EVM's.")
    contract: str = strawberry.field(description="Address of the contract.")
    abi: JSON = strawberry.field(
        description="Its ABI: the list that Solidity's compiler gives, or the part with this function."
    )
    function: str = strawberry.field(
        description="Name of the function; its signature, such as `transfer(address,uint256)`, where several have that name."
    )
    arguments: list[JSON] = strawberry.field(
        description="Its arguments in their order. Integers as decimal texts (or JSON integers), bytes as 0x and hexadecimal digits, arrays as lists, "
        "tuples as lists or as objects by their names."
    )


@strawberry.input(description="A signed transaction to be sent.")
class BroadcastTransactionInput:
    client_broadcast_id: str = strawberry.field(
        description="Your key for it, 1 to 64 printable ASCII characters. A transaction that no node takes leaves it free."
    )
    chain: str = strawberry.field(description="Key of the chain.")
    signed: str = strawberry.field(
        description="What was signed. On EVM chains the bytes as `eth_sendRawTransaction` takes them: 0x and hexadecimal digits; types 0 (with EIP-155), 1 and 2. "
        "On Bitcoin a signed PSBT in Base64, finalized or signed by single keys, or the raw transaction in hexadecimal digits. "
        "On Solana the transaction in Base64; one that lives by a nonce account is not taken."
    )
    prepared_id: strawberry.ID | None = strawberry.field(
        default=None,
        description="What was prepared here: anything else is refused, with its differences. Null sends whatever was signed.",
    )


@strawberry.type(description="A transaction that was sent.")
class BroadcastTransactionPayload(WalletRefusable):
    transaction: ChainTransaction | None = strawberry.field(default=None, description="What has become of it so far.")
    replayed: bool = strawberry.field(default=False, description="Whether an earlier request with this key sent it.")
    errors: list[WalletError] = strawberry.field(default_factory=list, description=ERRORS)
