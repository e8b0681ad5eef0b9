"""Where a transaction of an EVM chain is, by the word of all its nodes.

That it is in a block is what more than half of those say that answer; that it stays there, only what all of those say that are far enough, two
at least where there are as many. Of confirmations those count that two nodes see.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping
from decimal import Decimal
from typing import TypeVar

from integrations.chains.errors import ChainError, ChainUnavailable, NodeRefused, NodesContradict
from integrations.chains.evm.client import EvmClient
from integrations.chains.evm.errors import meaning
from integrations.chains.evm.messages import EvmBlock, EvmReceipt, EvmTransactionInfo, read_receipt, read_transaction
from services.chain_votes import WITNESSES
from services.sending_families import Sighting, SightKind, Spending
from services.signed_transactions import read_signed

T = TypeVar("T")
COIN_DIGITS = 18
_FIRST_SPAN, _MOST_SPAN = 128, 100_000
"""Blocks that are searched for the transaction with a nonce: as many as any node remembers the accounts of, then as far as it does."""
_MOST_LAG = 20
"""So many blocks an honest node may be behind; a block far above all others' is not believed."""
_FAILED_TEXTS: Mapping[str, str] = {
    "said": "the contract refused the call: {said}",
    "silent": "the contract refused the call, or the gas did not suffice",
}


async def sight_of(client: EvmClient, hash_: str, required: int, sent: Spending | None) -> Sighting:
    """What became of it; FINAL from so many confirmations on. Raises ChainError."""
    patient = sent is not None
    included = await _included(client, hash_, required, patient=patient)
    if included is not None:
        return included
    if sent is not None and await _is_nonce_spent(client, sent):
        included = await _included(client, hash_, required, patient=patient)
        return included or await _replaced(client, sent, required)
    said = await client.ask_every("eth_getTransactionByHash", [hash_], read_transaction)
    answers = _answers(client, said)
    if any(each is not None for each in answers.values()):
        return Sighting(SightKind.WAITING)
    if sent is not None and len(answers) < min(WITNESSES, len(said)):
        raise ChainUnavailable(client.key, {name: str(each) for name, each in said.items() if name not in answers})
    return Sighting(SightKind.UNKNOWN)


async def _included(client: EvmClient, hash_: str, required: int, *, patient: bool = False) -> Sighting | None:
    """Of one that is in a block. Raises NodesContradict when as many nodes say so as deny it; `patient`: also when those that do not say so may only lag behind."""
    receipts, heads = await asyncio.gather(
        client.ask_every("eth_getTransactionReceipt", [hash_], read_receipt), client.heads_of_all()
    )
    answers = _answers(client, receipts)
    found = [receipt for receipt in answers.values() if receipt is not None]
    if not found:
        return None
    (block_hash, success), votes = Counter((each.block_hash, each.success) for each in found).most_common(1)[0]
    best = next(each for each in found if (each.block_hash, each.success) == (block_hash, success))
    heights = {name: _height(heads.get(name), receipt) for name, receipt in answers.items()}
    holders = [
        name
        for name, each in answers.items()
        if each is not None and (each.block_hash, each.success) == (block_hash, success)
    ]
    if votes * 2 <= len(answers):
        others = [height for name, height in heights.items() if name not in holders]
        denying = sum(height >= best.block for height in others)
        lagging = patient and denying < votes and best.block - max(others) <= _MOST_LAG
        if denying == votes or lagging:
            raise NodesContradict(f"{votes} nodes of {len(answers)} have {hash_} in block {best.block}")
        return None
    needed = min(WITNESSES, len(receipts))
    depths = sorted((heights[name] - best.block + 1 for name in holders), reverse=True)
    witnesses = [name for name, height in heights.items() if height >= best.block + required - 1]
    final = len(witnesses) >= needed and set(witnesses) <= set(holders)
    error, values = (None, {}) if success else await _reason(client, best)
    return Sighting(
        SightKind.INCLUDED if success else SightKind.FAILED,
        confirmations=depths[min(needed, len(depths)) - 1],
        block=best.block,
        fee=Decimal(best.fee).scaleb(-COIN_DIGITS),
        final=final,
        error=error,
        error_values=values,
    )


def _height(head: EvmBlock | ChainError | None, receipt: EvmReceipt | None) -> int:
    """The highest block that a node is known to have."""
    told = head.number if isinstance(head, EvmBlock) else 0
    return told if receipt is None else max(told, receipt.block)


async def _is_nonce_spent(client: EvmClient, sent: Spending) -> bool:
    said = await client.nonces_of_all(sent.sender)
    answers = _answers(client, said)
    over = sum(nonce > int(sent.spends[0]) for nonce in answers.values())
    return over >= min(WITNESSES, len(said)) and over * 2 > len(answers)


async def _replaced(client: EvmClient, sent: Spending, required: int) -> Sighting:
    """Another transaction has the sender's nonce: which, and whether that is final."""
    if sent.replaced_by is not None:
        seen = await _included(client, sent.replaced_by, required)
        if seen is not None:
            successor = await client.transaction(sent.replaced_by)
            same = successor is not None and _does_the_same(sent.raw, successor)
            return Sighting(SightKind.TAKEN, final=seen.final, by=sent.replaced_by, same=same)
    found = await _of_nonce(client, sent.sender, int(sent.spends[0]))
    if found is None:
        return Sighting(SightKind.TAKEN)
    seen = await _included(client, found.hash, required)
    if seen is None:
        return Sighting(SightKind.TAKEN)
    return Sighting(SightKind.TAKEN, final=seen.final, by=found.hash, same=_does_the_same(sent.raw, found))


async def _of_nonce(client: EvmClient, sender: str, nonce: int) -> EvmTransactionInfo | None:
    """The sender's transaction with this nonce; None where no node remembers far enough back."""
    head = await client.block()
    if head is None:
        return None
    high, span = head.number, _FIRST_SPAN
    try:
        while (low := max(0, head.number - span)) and await client.nonce(sender, at=low) > nonce:
            if span >= _MOST_SPAN:
                return None
            high, span = low, span * 8
        while low < high:
            middle = (low + high) // 2
            if await client.nonce(sender, at=middle) > nonce:
                high = middle
            else:
                low = middle + 1
        found = await client.full_block(high)
    except NodeRefused:
        return None
    listed = () if found is None else found[1]
    return next((each for each in listed if (each.sender, each.nonce) == (sender, nonce)), None)


def _does_the_same(raw: bytes, other: EvmTransactionInfo) -> bool:
    """Whether it differs in nothing but its fee."""
    signed = read_signed("0x" + raw.hex())
    return (signed.to, signed.value, signed.data) == (other.to, other.value, other.data)


async def _reason(client: EvmClient, receipt: EvmReceipt) -> tuple[str, dict[str, str | int]]:
    """Why it failed, by asking again for the same call as of the block before; what came before it in its own block may have mattered."""
    said = None
    try:
        sent = await client.transaction(receipt.hash)
        if sent is not None and sent.to is not None:
            await client.call(sent.to, sent.data, at=receipt.block - 1, sender=sent.sender, value=sent.value)
    except NodeRefused as error:
        said = meaning(error).said
    except ChainError:
        return _FAILED_TEXTS["silent"], {}
    return (_FAILED_TEXTS["silent"], {}) if said is None else (_FAILED_TEXTS["said"], {"said": said})


def _answers(client: EvmClient, said: Mapping[str, T | ChainError]) -> dict[str, T]:
    """What was answered, by node. Raises ChainUnavailable when nothing was."""
    answers = {name: each for name, each in said.items() if not isinstance(each, ChainError)}
    if not answers:
        raise ChainUnavailable(client.key, {name: str(each) for name, each in said.items()})
    return answers
