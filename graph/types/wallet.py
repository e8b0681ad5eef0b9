"""Linked wallets, and what links them."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated

import strawberry

from core.account_vocabulary import TokenDelivery
from core.clock import to_datetime
from core.ids import encode_id
from core.paging import PageRequest
from core.vocabulary import ChainFamily, TimeOrder
from core.wallet_vocabulary import ChainTxStatus, TransferDirection
from events.wallet import WalletMovement
from graph.context import Context
from graph.directives import Cost
from graph.scalars import URL, Long, link
from graph.types.asset import Chain
from graph.types.connection import After, Before, Connection, First, Last, connect
from graph.types.node import Node
from graph.types.token import Token
from graph.types.wallet_balance import WalletBalances
from models.wallet import WalletDocument

Info = strawberry.Info[Context, None]
MAX_ACTIVITY = 100
_PROOF = "From `reauthenticate`, for this mutation with these parameters."
_FAMILY = "Which kind of chain."
_ADDRESS = "The wallet's address; of EVM chains in lower case, or with the capitals of its checksum."
_CHAIN_ID = (
    "Of EVM chains, the EIP-155 id the message names and where a contract wallet is asked; without it, the first EVM chain here. "
    "Chains of other kinds have none."
)
_MESSAGE = "The very message that was given."
_SIGNATURE = (
    "EVM: `personal_sign`, in hexadecimal; also of a contract wallet (ERC-1271), or of one that is not deployed yet (ERC-6492). "
    "Bitcoin: BIP-322 or BIP-137, in Base64. Solana: `signMessage` or `signIn`, in Base58 or Base64."
)


@strawberry.type(description="A wallet whose owner has proven to control it.")
class Wallet(Node):
    address: str = strawberry.field(description="The address.")
    family: ChainFamily = strawberry.field(description=_FAMILY)
    name: str | None = strawberry.field(description="What its owner calls it.")
    linked_at: datetime = strawberry.field(description="When it was linked.")
    contract_wallet: bool = strawberry.field(
        description="Whether a contract signs for it. Such a wallet's proof is asked for again before what relies on it."
    )

    @strawberry.field(
        description="The name of ENS that the address calls itself, if that name also leads to the address; null otherwise, and outside EVM. Kept "
        "for five minutes. Costs 5 points.",
        directives=[Cost(points=5)],
    )
    async def ens_name(self, info: Info) -> str | None:
        return await info.context.wallet_views.names.name_of(self.family, self.address)

    @strawberry.field(
        description="The address in the explorer of a chain of its family; null where the chain has none. With UNKNOWN_CHAIN or ADDRESS_WRONG_NETWORK "
        "for a chain that it has no address on."
    )
    def explorer_url(
        self,
        info: Info,
        chain: Annotated[
            str | None,
            strawberry.argument(
                description="Key of the chain, such as `ethereum`; without it the first of its family in `chains`."
            ),
        ] = None,
    ) -> URL | None:
        entry = info.context.wallet_views.balances.chain_of(self.family, chain)
        return None if entry is None else link(entry.address_url(self.address))

    @strawberry.field(
        description="What it holds, on these chains or on all of its family that this server has nodes of; kept for some seconds. Tokens that look "
        "like spam are left out unless asked for. Costs 20 points.",
        directives=[Cost(points=20)],
    )
    async def balances(
        self,
        info: Info,
        chains: Annotated[
            list[str] | None, strawberry.argument(description="Keys of chains, such as `ethereum`.")
        ] = None,
        include_spam: Annotated[bool, strawberry.argument(description="Whether to show spam, too.")] = False,
    ) -> WalletBalances | None:
        held = await info.context.wallet_views.balances.read(self.family, self.address, chains)
        return WalletBalances.of(held, include_spam=include_spam, locale=info.context.client.locale)

    @strawberry.field(
        description="What moved from and to it on an EVM chain: tokens, and the chain's own coin where a node keeps an index of it; not what a contract "
        "paid out within somebody else's transaction, and nothing of an amount of 0. A page of a long history with little in it may end before it is full, "
        "or be empty, with `hasNextPage` true: go on from its `endCursor`, which comes to the beginning of the chain in the end. (Backwards: from `startCursor`.) "
        "On Bitcoin a row for each transaction, its fee left out, where a node knows addresses (`NOT_ENABLED` otherwise); newest first and forwards alone. "
        "On Solana a row for each coin or token of which a transaction left it more or less, its fee left out, of up to 40 token accounts; newest first and forwards alone. "
        "At most 100 a page. Costs 50 points.",
        directives=[Cost(points=50)],
    )
    async def activity(
        self,
        info: Info,
        chain: Annotated[str, strawberry.argument(description="Key of a chain, such as `ethereum`.")],
        order_by: Annotated[TimeOrder, strawberry.argument(description="Direction in time.")] = TimeOrder.NEWEST_FIRST,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Connection["WalletActivity"] | None:
        request = PageRequest(first, after, last, before, max_size=MAX_ACTIVITY)
        reads = info.context.wallet_views.activity
        page = await reads.page(self.family, self.address, chain, order_by, request)
        return connect(
            page, node=lambda row: WalletActivity.of(self, row), cursor=lambda row: row.cursor or str(row.place)
        )

    @staticmethod
    def of(row: WalletDocument) -> "Wallet":
        """The wallet as its owner sees it."""
        return Wallet(
            id=strawberry.ID(encode_id("Wallet", row.id)),
            address=row.address,
            family=row.family,
            name=row.name,
            linked_at=to_datetime(row.linked_ms),
            contract_wallet=row.contract is not None,
        )


@strawberry.type(description="So much of a coin or token that moved from or to a wallet.")
class WalletActivity:
    id: strawberry.ID = strawberry.field(description="Stable per wallet and movement.")
    movement: strawberry.Private[WalletMovement]
    wallet: Wallet = strawberry.field(description="The wallet.")
    hash: str = strawberry.field(description="Hash of the transaction.")
    direction: TransferDirection = strawberry.field(description="Where it went, seen from the wallet.")
    token: Token = strawberry.field(description="What it was.")
    quantity: Decimal = strawberry.field(
        description="How much, in whole units of the token, fees left out. On Solana 0 for what FAILED: only its fee moved."
    )
    counterparty: str | None = strawberry.field(
        description="The address at the other end; null where there are several."
    )
    status: ChainTxStatus = strawberry.field(
        description="CONFIRMED in a block, FINAL when that is as good as certain to stay, FAILED when the chain refused it (on Solana listed for wallets that signed it), "
        "REVERTED when its block was given up. Of transactions that are in no block, those are listed above all others that were sent from here within a week: PENDING, "
        "REVERTED, REPLACED by another one, or DROPPED by the nodes; on Bitcoin also what else waits to be confirmed, as PENDING."
    )
    confirmations: int = strawberry.field(description="Blocks on it, its own counted.")
    time: datetime | None = strawberry.field(description="Time of its block.")

    @strawberry.field(description="The chain.")
    def chain(self, info: Info) -> Chain:
        return Chain.of(info.context.catalogue.chains[self.movement.token.chain])

    @strawberry.field(description="The transaction in the chain's explorer.")
    def explorer_url(self, info: Info) -> URL | None:
        return link(info.context.catalogue.chains[self.movement.token.chain].transaction_url(self.hash))

    @strawberry.field(
        description="The address at the other end in the chain's explorer; null where it is, and where the chain has none."
    )
    def counterparty_url(self, info: Info) -> URL | None:
        if self.counterparty is None:
            return None
        return link(info.context.catalogue.chains[self.movement.token.chain].address_url(self.counterparty))

    @staticmethod
    def of(wallet: Wallet, moved: WalletMovement) -> "WalletActivity":
        """The movement as the wallet's owner sees it."""
        token = moved.token
        return WalletActivity(
            id=strawberry.ID(encode_id("WalletActivity", token.chain, wallet.address, moved.hash, moved.part)),
            movement=moved,
            wallet=wallet,
            hash=moved.hash,
            direction=moved.direction,
            token=Token.of(token),
            quantity=Decimal(moved.units).scaleb(-token.decimals),
            counterparty=moved.counterparty,
            status=moved.status,
            confirmations=moved.confirmations,
            time=None if moved.time_ms is None else to_datetime(moved.time_ms),
        )


@strawberry.type(
    description="What a wallet is to sign: EIP-4361 for EVM chains, Sign-In With Solana, and for Bitcoin a text of the same layout."
)
class LinkChallenge:
    message: str = strawberry.field(description="Sign exactly this text, and give it back with the signature.")
    nonce: str = strawberry.field(description="In the message; does once.")
    expires_at: datetime = strawberry.field(description="Until when it is taken: five minutes.")


@strawberry.input(description="A wallet that is to be linked.")
class CreateLinkChallengeInput:
    family: ChainFamily = strawberry.field(description=_FAMILY)
    address: str = strawberry.field(description=_ADDRESS)
    chain_id: Long | None = strawberry.field(default=None, description=_CHAIN_ID)


@strawberry.input(description="The proof of control over a wallet.")
class LinkWalletInput:
    family: ChainFamily = strawberry.field(description=_FAMILY)
    address: str = strawberry.field(description=_ADDRESS)
    message: str = strawberry.field(description=_MESSAGE)
    signature: str = strawberry.field(description=_SIGNATURE)
    name: str | None = strawberry.field(default=None, description="What to call it, 1 to 40 characters.")
    step_up_proof: str | None = strawberry.field(default=None, description=_PROOF)


@strawberry.input(description="Another name for a wallet.")
class RenameWalletInput:
    id: strawberry.ID = strawberry.field(description="The wallet.")
    name: str = strawberry.field(description="What to call it, 1 to 40 characters.")


@strawberry.input(description="A wallet that is to be forgotten.")
class UnlinkWalletInput:
    id: strawberry.ID = strawberry.field(description="The wallet.")
    step_up_proof: str | None = strawberry.field(default=None, description=_PROOF)


@strawberry.input(description="A wallet that is to sign somebody in.")
class BeginWalletLogInInput:
    family: ChainFamily = strawberry.field(description=_FAMILY)
    address: str = strawberry.field(description=_ADDRESS)
    chain_id: Long | None = strawberry.field(default=None, description=_CHAIN_ID)


@strawberry.input(description="The proof of control over a linked wallet.")
class FinishWalletLogInInput:
    family: ChainFamily = strawberry.field(description=_FAMILY)
    address: str = strawberry.field(description=_ADDRESS)
    message: str = strawberry.field(description=_MESSAGE)
    signature: str = strawberry.field(description=_SIGNATURE)
    delivery: TokenDelivery = strawberry.field(
        default=TokenDelivery.COOKIE, description="How the tokens are delivered."
    )
    device_name: str | None = strawberry.field(
        default=None, description="What to call the device in the list of sessions, at most 60 characters."
    )
