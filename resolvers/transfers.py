"""Root fields about sending from wallets of people's own."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated

import strawberry

from core.ids import key_in
from graph.context import Context
from graph.scalars import Long
from graph.types.chain_transaction import (
    BroadcastTransactionInput,
    BroadcastTransactionPayload,
    ChainTransaction,
    ContractRead,
    ContractReadInput,
)
from graph.types.prepared_transaction import (
    PrepareContractCallInput,
    PrepareTransferInput,
    UnsignedTransaction,
    UnsignedTransactionPayload,
)
from resolvers.viewers import viewer_of
from services.broadcasts import BroadcastWish
from services.contract_reads import ContractCallWish
from services.evm_transfers import CallWish
from services.sending_families import TransferWish
from services.viewer import Viewer

Info = strawberry.Info[Context, None]


async def _counted(info: Info) -> Viewer:
    """Whoever asks, counted as somebody who asks nodes. Raises RateLimited."""
    viewer = viewer_of(info)
    await info.context.transfers.count(viewer, info.context.client)
    return viewer


async def contract_read(
    info: Info, input: Annotated[ContractReadInput, strawberry.argument(description="The call.")]
) -> ContractRead | None:
    wish = ContractCallWish(input.chain, input.contract, input.abi, input.function, list(input.arguments))
    await _counted(info)
    answer = await info.context.transfers.reads.read(wish)
    return ContractRead(values=answer.values, block_number=Long(answer.block))


async def chain_transaction(
    info: Info,
    chain: Annotated[str, strawberry.argument(description="Key of the chain.")],
    hash: Annotated[str, strawberry.argument(description="The transaction's hash.")],
) -> ChainTransaction | None:
    await _counted(info)
    state = await info.context.transfers.transactions.read(chain, hash)
    return None if state is None else ChainTransaction.of(state)


async def chain_transaction_updated(
    info: Info,
    chain: Annotated[str, strawberry.argument(description="Key of the chain.")],
    hash: Annotated[str, strawberry.argument(description="The transaction's hash.")],
) -> AsyncGenerator[ChainTransaction, None]:
    viewer = await _counted(info)
    async with aclosing(info.context.transfers.transactions.watch(viewer.user_id, chain, hash)) as states:
        async for state in states:
            yield ChainTransaction.of(state)


async def prepare_transfer(
    info: Info, input: Annotated[PrepareTransferInput, strawberry.argument(description="The transfer.")]
) -> UnsignedTransactionPayload:
    wish = TransferWish(
        chain=input.chain,
        sender=input.from_,
        to=input.to,
        token=input.token,
        amount=input.amount,
        send_all=input.send_all,
        speed=input.speed,
    )
    row = await info.context.transfers.families.of(wish.chain).transfer((await _counted(info)).user_id, wish)
    return UnsignedTransactionPayload(transaction=UnsignedTransaction.of(row))


async def prepare_contract_call(
    info: Info, input: Annotated[PrepareContractCallInput, strawberry.argument(description="The call.")]
) -> UnsignedTransactionPayload:
    call = ContractCallWish(input.chain, input.contract, input.abi, input.function, list(input.arguments))
    wish = CallWish(call, input.from_, input.value, input.speed)
    row = await info.context.transfers.evm.contract_call((await _counted(info)).user_id, wish)
    return UnsignedTransactionPayload(transaction=UnsignedTransaction.of(row))


async def broadcast_transaction(
    info: Info, input: Annotated[BroadcastTransactionInput, strawberry.argument(description="The transaction.")]
) -> BroadcastTransactionPayload:
    prepared = None if input.prepared_id is None else key_in(input.prepared_id, "UnsignedTransaction") or ""
    wish = BroadcastWish(input.client_broadcast_id, input.chain, input.signed, prepared)
    sent = await info.context.transfers.broadcasts.send((await _counted(info)).user_id, wish)
    return BroadcastTransactionPayload(transaction=ChainTransaction.of(sent.state), replayed=sent.replayed)
