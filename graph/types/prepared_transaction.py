"""Transactions to be signed by wallets."""

from datetime import datetime
from decimal import Decimal

import strawberry
from strawberry.scalars import JSON

from core.clock import to_datetime
from core.ids import encode_id
from core.translations import translated
from core.wallet_vocabulary import EffectKind, FeeSpeed, TransactionWarningCode
from events.token import TokenState
from graph.context import Context
from graph.scalars import Long
from graph.types.asset import Chain
from graph.types.balance import Quote
from graph.types.errors import ERRORS
from graph.types.swap import Swap
from graph.types.token import Token
from graph.types.wallet_errors import WalletError, WalletRefusable
from models.prepared_transaction import EffectEntry, PreparedTransactionDocument, TokenEntry, WarningEntry

Info = strawberry.Info[Context, None]


@strawberry.type(description="What a transaction does.")
class TransactionEffect:
    kind: EffectKind = strawberry.field(description="What kind of thing it does.")
    token: Token | None = strawberry.field(description="The coin or token it is about.")
    from_: str | None = strawberry.field(name="from", description="Whose it is.")
    to: str | None = strawberry.field(description="Who gets it; of a call, the contract.")
    quantity: Decimal | None = strawberry.field(
        description="How much, in whole units; null where there is no limit, or nothing is counted."
    )
    spender: str | None = strawberry.field(description="Who may take it, for APPROVE.")
    unlimited: bool = strawberry.field(description="Whether the spender may take any amount.")

    @staticmethod
    def of(entry: EffectEntry) -> "TransactionEffect":
        """The effect as clients see it."""
        quantity = None
        if entry.units is not None and entry.token is not None:
            quantity = _whole(entry.units, entry.token.decimals)
        return TransactionEffect(
            kind=entry.kind,
            token=None if entry.token is None else Token.of(_token(entry.token)),
            from_=entry.sender,
            to=entry.to,
            quantity=quantity,
            spender=entry.spender,
            unlimited=entry.unlimited,
        )


@strawberry.type(description="What a person should look at before they sign.")
class TransactionWarning:
    code: TransactionWarningCode = strawberry.field(description="For programs; the same in every language.")
    message: str = strawberry.field(description="For people, in their language.")

    @staticmethod
    def of(entry: WarningEntry, locale: str) -> "TransactionWarning":
        """The warning in the reader's language."""
        return TransactionWarning(code=entry.code, message=translated(entry.text, locale).format_map(entry.values))


@strawberry.type(description="A transaction that a wallet is to sign. This server never has its key.")
class UnsignedTransaction:
    id: strawberry.ID = strawberry.field(description="Give it to `broadcastTransaction` as `preparedId`.")
    row: strawberry.Private[PreparedTransactionDocument]
    from_: str = strawberry.field(name="from", description="Who is to sign it.")
    to: str = strawberry.field(description="Where it is sent; for tokens their contract.")
    gas_limit: Long | None = strawberry.field(description="The most gas it may use; null on chains without gas.")
    nonce: Long | None = strawberry.field(
        description="The sender's number for it; what waits for a block is counted. Null on chains without one."
    )
    expires_at: datetime = strawberry.field(
        description="Until when it is taken signed: ten minutes; a minute on Solana."
    )

    @strawberry.field(description="The chain it is for.")
    def chain(self, info: Info) -> Chain:
        return Chain.of(info.context.catalogue.chains[self.row.chain])

    @strawberry.field(
        description="The transaction as wallets of its chain take it; on EVM chains in `eth_sendTransaction` and `eth_signTransaction`: every number 0x and "
        "hexadecimal digits. On Bitcoin `psbt`, a PSBT (BIP-174) in Base64: change goes back to the sender, and its fee may be raised later (BIP-125). "
        "On Solana `transaction`, one of version 0 in Base64 with room for its signature."
    )
    def payload(self) -> JSON:
        return JSON(self.row.payload)

    @strawberry.field(description="What it is about, in one sentence.")
    def summary(self, info: Info) -> str:
        return translated(self.row.summary, info.context.client.locale).format_map(self.row.summary_values)

    @strawberry.field(description="Everything that its bytes say it does. A contract may do more.")
    def effects(self) -> list[TransactionEffect]:
        return [TransactionEffect.of(entry) for entry in self.row.effects]

    @strawberry.field(
        description="The most it can cost in the chain's own coin; a rollup's fee for data on Ethereum comes on top of it. "
        "On Solana the rent of a token account that is made for the recipient is in it."
    )
    def fee(self) -> Decimal | None:
        return Decimal(self.row.fee)

    @strawberry.field(description="What `fee` is worth by fresh reference prices; null while one is stale or missing.")
    async def fee_value(self, info: Info, quote: Quote = None) -> Decimal | None:
        coin = info.context.catalogue.chains[self.row.chain].native
        wanted = await info.context.quote_of_viewer(quote)
        return info.context.funds.valuation.value(coin, Decimal(self.row.fee), wanted)

    @strawberry.field(description="What to look at before it is signed.")
    def warnings(self, info: Info) -> list[TransactionWarning]:
        return [TransactionWarning.of(entry, info.context.client.locale) for entry in self.row.warnings]

    @staticmethod
    def of(row: PreparedTransactionDocument) -> "UnsignedTransaction":
        """The transaction as clients see it."""
        return UnsignedTransaction(
            id=strawberry.ID(encode_id("UnsignedTransaction", row.id)),
            row=row,
            from_=row.sender,
            to=row.to,
            gas_limit=None if row.gas is None else Long(row.gas),
            nonce=None if row.nonce is None else Long(row.nonce),
            expires_at=to_datetime(row.expires_ms),
        )


@strawberry.input(description="A transfer of a coin or token from a wallet.")
class PrepareTransferInput:
    chain: str = strawberry.field(description="Key of the chain.")
    from_: str = strawberry.field(name="from", description="Address of the wallet.")
    to: str = strawberry.field(description="Address of whoever gets it; a checksum must be right.")
    token: str = strawberry.field(
        description="Contract of the token, or the symbol of the chain's coin or of a token that this server vouches for."
    )
    amount: Decimal | None = strawberry.field(
        default=None, description="How much, in whole units; null with `sendAll`."
    )
    send_all: bool = strawberry.field(
        default=False, description="Send everything, of the coin what is left beside the fee."
    )
    speed: FeeSpeed = strawberry.field(default=FeeSpeed.STANDARD, description="How much of a hurry the fee buys.")


@strawberry.input(description="A call of a contract from a wallet.")
class PrepareContractCallInput:
    chain: str = strawberry.field(description="Key of the chain, one of EVM's.")
    from_: str = strawberry.field(name="from", description="Address of the wallet.")
    contract: str = strawberry.field(description="Address of the contract.")
    abi: JSON = strawberry.field(description="Its ABI, as in `contractRead`.")
    function: str = strawberry.field(description="Name or signature of the function, as in `contractRead`.")
    arguments: list[JSON] = strawberry.field(description="Its arguments, as in `contractRead`.")
    value: Decimal | None = strawberry.field(
        default=None, description="Coins that go with the call, in whole units; only to a payable function."
    )
    speed: FeeSpeed = strawberry.field(default=FeeSpeed.STANDARD, description="How much of a hurry the fee buys.")


@strawberry.type(description="A transaction to be signed.")
class UnsignedTransactionPayload(WalletRefusable):
    transaction: UnsignedTransaction | None = strawberry.field(default=None, description="What is to be signed.")
    swap: Swap | None = strawberry.field(default=None, description="The swap that it is for; null for anything else.")
    errors: list[WalletError] = strawberry.field(default_factory=list, description=ERRORS)


def _token(entry: TokenEntry) -> TokenState:
    return TokenState(entry.chain, entry.contract, entry.symbol, entry.name, entry.decimals, entry.asset, entry.spam)


def _whole(units: str, decimals: int) -> Decimal:
    """Smallest units in whole ones, exactly."""
    return Decimal((0, tuple(map(int, units)), -decimals))
