"""Where a transaction of a chain of Bitcoin's kind is, by the word of all its nodes.

That it is in a block is what more than half of those say that answer; that it stays there, only what all of those say that are far enough, two at least where there
are as many. What took its place is believed where its own bytes, which its id proves, spend the same output.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import TypeVar

from integrations.chains.bitcoin.addresses import NotAnAddress, parse_address
from integrations.chains.bitcoin.blocks import BlockSummary
from integrations.chains.bitcoin.client import BitcoinClient
from integrations.chains.bitcoin.messages import FoundTransaction
from integrations.chains.bitcoin.parameters import BitcoinNetwork
from integrations.chains.bitcoin.transactions import NotReadable, Outpoint, Tx, TxOutput, parse_transaction
from integrations.chains.errors import ChainError, ChainUnavailable, NodesContradict
from services.chain_votes import WITNESSES, answers_in, require_witnesses
from services.evm_terms import whole
from services.sending_families import Sighting, SightKind, Spending

T = TypeVar("T")
COIN_DIGITS = 8
FEE, SPENT = "fee", "spent"
"""Of the terms: satoshis that a transaction leaves to whoever mines it, and those that it spends of its sender's address."""
_AT_ONCE = 8
_MOST_LOOKED_UP = 50
"""Inputs of a transaction of others whose fee is told: each is a question to a node."""


async def sight_of(client: BitcoinClient, hash_: str, required: int, sent: Spending | None) -> Sighting:
    """What became of it; FINAL from so many confirmations on. Raises ChainError."""
    said = await client.transactions_of_all(hash_)
    answers = answers_of(client, said)
    included = await _included(client, hash_, answers, required, asked=len(said))
    if included is not None:
        return await _with_fee(client, hash_, included, answers, sent)
    is_known = any(each is not None for each in answers.values())
    if sent is not None and not all(each is not None for each in answers.values()):
        taken = await _taken(client, hash_, sent, required, only_in_block=is_known)
        if taken is not None:
            return taken
    if is_known:
        return Sighting(SightKind.WAITING)
    if sent is not None and len(answers) < min(WITNESSES, len(said)):
        raise ChainUnavailable(client.chain, {name: str(each) for name, each in said.items() if name not in answers})
    return Sighting(SightKind.UNKNOWN)


async def spent_by(client: BitcoinClient, tx: Tx) -> Sequence[TxOutput] | None:
    """What a transaction spends, proven; None: there is no such output, and no more is asked then. Raises ChainError."""
    names = sorted({each.outpoint.txid for each in tx.inputs})
    sources: dict[str, Tx] = {}
    for start in range(0, len(names), _AT_ONCE):
        some = names[start : start + _AT_ONCE]
        for name, told in zip(some, await asyncio.gather(*map(client.transaction, some)), strict=True):
            if told is None:
                return None
            sources[name] = told.tx
    found = []
    for each in tx.inputs:
        made_by = sources[each.outpoint.txid]
        if each.outpoint.vout >= len(made_by.outputs):
            return None
        found.append(made_by.outputs[each.outpoint.vout])
    return found


def answers_of(client: BitcoinClient, said: Mapping[str, T | ChainError]) -> dict[str, T]:
    """What was answered, by whom. Raises ChainUnavailable when no node did."""
    answers = {name: each for name, each in said.items() if not isinstance(each, ChainError)}
    if not answers:
        raise ChainUnavailable(client.chain, {name: str(each) for name, each in said.items()})
    return answers


def named(outpoint: Outpoint) -> str:
    """An output as a text."""
    return f"{outpoint.txid}:{outpoint.vout}"


async def _included(
    client: BitcoinClient, hash_: str, answers: Mapping[str, FoundTransaction | None], required: int, *, asked: int
) -> Sighting | None:
    """Of one that is in a block. Raises NodesContradict when as many nodes say so as deny it."""
    places = {name: each.place for name, each in answers.items() if each is not None and each.place is not None}
    if not places:
        return None
    tips = await client.tips_of_all()
    (place, votes) = Counter(places.values()).most_common(1)[0]
    heights = {name: _height(tips.get(name)) for name in answers}
    if votes * 2 <= len(answers):
        able = sum(height >= place.height for height in heights.values())
        if votes * 2 == able:
            raise NodesContradict(f"{votes} of {able} nodes have {hash_} in a block")
        return None
    holders = {name for name, each in places.items() if each == place}
    needed = min(WITNESSES, asked)
    depths = sorted((max(heights[name] - place.height + 1, 1) for name in holders), reverse=True)
    witnesses = {name for name, height in heights.items() if height >= place.height + required - 1}
    return Sighting(
        SightKind.INCLUDED,
        confirmations=depths[min(needed, len(depths)) - 1],
        block=place.height,
        final=len(witnesses) >= needed and witnesses <= holders,
    )


def _height(tip: BlockSummary | ChainError | None) -> int:
    return tip.height if isinstance(tip, BlockSummary) else -1


async def _with_fee(
    client: BitcoinClient,
    hash_: str,
    seen: Sighting,
    answers: Mapping[str, FoundTransaction | None],
    sent: Spending | None,
) -> Sighting:
    tx = next(each.tx for each in answers.values() if each is not None and each.tx.txid == hash_)
    fee = None if sent is None or FEE not in sent.terms else int(sent.terms[FEE])
    if fee is None:
        fee = await _fee(client, tx)
    told: Decimal | None = None if fee is None else whole(fee, COIN_DIGITS)
    return Sighting(seen.kind, confirmations=seen.confirmations, block=seen.block, fee=told, final=seen.final)


async def _fee(client: BitcoinClient, tx: Tx) -> int | None:
    """None where it would take too many questions, or is not told; and for what a miner made."""
    if tx.coinbase or len(tx.inputs) > _MOST_LOOKED_UP:
        return None
    try:
        spent = await spent_by(client, tx)
    except ChainError:
        return None
    return None if spent is None else sum(each.sats for each in spent) - sum(each.sats for each in tx.outputs)


async def _taken(
    client: BitcoinClient, hash_: str, sent: Spending, required: int, *, only_in_block: bool
) -> Sighting | None:
    """Whether another transaction spends the same, and which one, where any node knows; `only_in_block`: one that waits as well decides nothing."""
    outpoints = [_outpoint(each) for each in sent.spends]
    for outpoint in outpoints:
        for by in dict.fromkeys((await client.spender(outpoint), sent.replaced_by)):
            if by is None or by == hash_:
                continue
            said = await client.transactions_of_all(by)
            answers = answers_of(client, said)
            tx = next((each.tx for each in answers.values() if each is not None), None)
            if tx is None or all(each.outpoint != outpoint for each in tx.inputs):
                continue
            included = await _included(client, by, answers, required, asked=len(said))
            if included is not None or not only_in_block:
                final = included is not None and included.final
                return Sighting(SightKind.TAKEN, final=final, by=by, same=_does_the_same(client.network, sent, tx))
    for outpoint in () if only_in_block else outpoints:
        if await is_spent(client, outpoint):
            return Sighting(SightKind.TAKEN)
    return None


def _does_the_same(network: BitcoinNetwork, sent: Spending, other: Tx) -> bool:
    """Whether it pays others what was to be paid."""
    try:
        own = parse_address(sent.sender, network).script
        wanted = parse_transaction(sent.raw)
    except (NotAnAddress, NotReadable):
        return False
    return _paid(wanted, own) == _paid(other, own)


def _paid(tx: Tx, own: bytes) -> Counter[TxOutput]:
    return Counter(each for each in tx.outputs if each.script != own)


async def is_spent(client: BitcoinClient, outpoint: Outpoint) -> bool:
    """Whether every node that answers, and enough of them, says that the output was there and is spent. One whose own transaction is gone may come back.

    Raises ChainError.
    """
    outputs = await client.outputs_of_all(outpoint)
    if any(each is not None for each in answers_in(outputs)):
        return False
    sources = await client.transactions_of_all(outpoint.txid)
    if not all(each is not None and each.place is not None for each in answers_in(sources)):
        return False
    require_witnesses(client.chain, outputs)
    require_witnesses(client.chain, sources)
    return True


def _outpoint(text: str) -> Outpoint:
    txid, _, vout = text.partition(":")
    return Outpoint(txid, int(vout))
