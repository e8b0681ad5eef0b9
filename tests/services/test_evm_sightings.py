"""Where a transaction is, by the word of nodes of which some lie, lag or are silent."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from eth_account import Account

from integrations.chains.errors import ChainUnavailable, Failure, NodesContradict, ProviderFailed
from services.evm_sightings import sight_of
from services.sending_families import Sighting, SightKind
from tests.chains import ANVIL_KEYS
from tests.evm import CHAIN_ID, FRIEND, OWNER
from tests.evm_nodes import ScriptedNode, Transaction, client_of_nodes

PAID = Transaction("paid", FRIEND, 5, sender=OWNER)
OTHER = Transaction("other", FRIEND, 6, sender=OWNER)
REQUIRED = 3


@dataclass(frozen=True)
class Ours:
    """What is remembered of PAID."""

    raw: bytes
    sender: str = OWNER
    spends: Sequence[str] = ("0",)
    terms: Any = None
    replaced_by: str | None = None


RAW = bytes(
    Account.sign_transaction(
        {
            "to": FRIEND,
            "value": 5,
            "gas": 21_000,
            "nonce": 0,
            "chainId": CHAIN_ID,
            "maxFeePerGas": 1,
            "maxPriorityFeePerGas": 1,
        },
        ANVIL_KEYS[0],
    ).raw_transaction
)
SENT = Ours(RAW)


def nodes(count: int, *mined: Transaction, blocks: int = 1) -> list[ScriptedNode]:
    """Nodes of one chain, with these in its first block, that know how many transactions of a sender are in blocks."""
    made = [ScriptedNode() for _ in range(count)]
    for node in made:
        node.mine(*mined, blocks=blocks)
        node.twist = _counting(node)
    return made


def _counting(node: ScriptedNode) -> Any:
    def twist(method: str, params: Sequence[Any], answer: Any) -> Any:
        if method != "eth_getTransactionCount":
            return answer
        last = len(node.blocks) - 1 if params[1] == "latest" else int(params[1], 16)
        return hex(sum(each.sender == params[0] for block in node.blocks[: last + 1] for each in block.transactions))

    return twist


def lying(method: str, lie: Any) -> Any:
    """A node that says this instead."""

    def twist(asked: str, _params: Sequence[object], answer: Any) -> Any:
        return (lie(answer) if callable(lie) else lie) if asked == method else answer

    return twist


async def look(*given: ScriptedNode, sent: Ours | None = None) -> Sighting:
    client = client_of_nodes(*given)
    try:
        return await sight_of(client, PAID.hash, REQUIRED, sent)
    finally:
        await client.close()


async def test_what_all_nodes_have_is_final_after_its_confirmations() -> None:
    for blocks, final in ((1, False), (2, False), (3, True)):
        seen = await look(*nodes(2, PAID, blocks=blocks))
        assert (seen.kind, seen.confirmations, seen.final) == (SightKind.INCLUDED, blocks, final)
    assert (await look(*nodes(1, PAID, blocks=3))).final


async def test_one_node_of_two_that_is_silent_keeps_it_from_being_final() -> None:
    answering, silent = nodes(2, PAID, blocks=9)
    silent.failure = ProviderFailed(Failure.TIMED_OUT, "silent")
    seen = await look(answering, silent)
    assert (seen.kind, seen.final) == (SightKind.INCLUDED, False)


async def test_a_node_that_lags_neither_counts_confirmations_nor_denies_them() -> None:
    first, second = nodes(2, PAID, blocks=9)
    lagging = nodes(1, PAID)[0]
    seen = await look(first, second, lagging)
    assert (seen.confirmations, seen.final) == (9, True)
    alone = await look(first, lagging)
    assert (alone.confirmations, alone.final) == (1, False)


async def test_a_node_that_fell_behind_does_not_take_back_what_two_have_seen() -> None:
    ahead, behind = nodes(2, blocks=5)
    ahead.mine(PAID)
    with pytest.raises(NodesContradict):
        await look(ahead, behind, sent=SENT)
    assert (await look(ahead, behind)).kind is SightKind.WAITING
    behind.mine()
    with pytest.raises(NodesContradict):
        await look(ahead, behind, sent=SENT)
    third = nodes(1, blocks=6)[0]
    assert (await look(ahead, behind, third, sent=SENT)).kind is SightKind.WAITING
    liar = nodes(1, PAID, blocks=400)[0]
    assert (await look(liar, *nodes(2, OTHER, blocks=9), sent=SENT)).kind is SightKind.TAKEN


async def test_one_that_lies_among_three_convinces_nobody() -> None:
    honest = nodes(2, blocks=9)
    liar = nodes(1, PAID, blocks=9)[0]
    assert (await look(*honest, liar)).kind is SightKind.WAITING
    denying = nodes(1, blocks=9)[0]
    seen = await look(*nodes(2, PAID, blocks=9), denying)
    assert (seen.kind, seen.final) == (SightKind.INCLUDED, False)


async def test_two_that_contradict_each_other_decide_nothing() -> None:
    with pytest.raises(NodesContradict):
        await look(nodes(1, PAID, blocks=9)[0], nodes(1, blocks=9)[0])
    far = nodes(1, PAID, blocks=1)[0]
    far.blocks[-1] = type(far.blocks[-1])(10**6, far.blocks[-1].parent, (PAID,), "far")
    assert (await look(far, nodes(1, blocks=9)[0])).kind is SightKind.WAITING


async def test_failed_is_what_all_say_too() -> None:
    failed = Transaction("paid", FRIEND, 5, sender=OWNER, success=False)
    honest = nodes(2, failed, blocks=3)
    seen = await look(*honest)
    assert (seen.kind, seen.final, seen.error) == (
        SightKind.FAILED,
        True,
        "the contract refused the call, or the gas did not suffice",
    )
    liar = nodes(1, failed, blocks=3)[0]
    liar.twist = lying("eth_getTransactionReceipt", lambda receipt: {**receipt, "status": "0x1"})
    mixed = await look(*honest, liar)
    assert (mixed.kind, mixed.final) == (SightKind.FAILED, False)


async def test_what_nobody_knows_is_unknown_when_enough_say_so() -> None:
    assert (await look(*nodes(2), sent=SENT)).kind is SightKind.UNKNOWN
    answering, silent = nodes(2)
    silent.failure = ProviderFailed(Failure.UNREACHABLE, "silent")
    assert (await look(answering, silent)).kind is SightKind.UNKNOWN
    with pytest.raises(ChainUnavailable):
        await look(answering, silent, sent=SENT)
    with pytest.raises(ChainUnavailable):
        await look(silent)


async def test_another_one_with_the_nonce_is_found() -> None:
    seen = await look(*nodes(2, OTHER, blocks=2), sent=SENT)
    assert (seen.kind, seen.by, seen.same, seen.final) == (SightKind.TAKEN, OTHER.hash, False, False)
    final = await look(*nodes(2, OTHER, blocks=400), sent=SENT)
    assert (final.by, final.final) == (OTHER.hash, True)
    again = await look(*nodes(2, OTHER, blocks=400), sent=Ours(RAW, replaced_by=OTHER.hash))
    assert again == final
    dearer = Transaction("dearer", FRIEND, 5, sender=OWNER)
    assert (await look(*nodes(2, dearer), sent=SENT)).same


async def test_one_node_alone_takes_no_nonce() -> None:
    liar = nodes(1)[0]
    liar.twist = lying("eth_getTransactionCount", "0x9")
    assert (await look(*nodes(2), liar, sent=SENT)).kind is SightKind.UNKNOWN
    assert (await look(*nodes(1), liar, sent=SENT)).kind is SightKind.UNKNOWN
