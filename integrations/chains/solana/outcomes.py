"""What became of a signed transaction: the rule on which signing again hangs.

A transaction lives by its blockhash and can land only in a block whose height is at most `last_valid_block_height`. It is EXPIRED, and the payment
may be signed anew, only when *every* node of the chain shows, each for itself:
1. its finalized block height is past the last valid one: every block in which it could be is decided for good;
2. asked afterwards, with a search in its history, it does not know the signature, and answers as of a slot that is not below that finalized one
   (a name with several machines behind it may answer from one that is behind);
3. its history reaches back to before the blockhash: one that has dropped those blocks knows nothing about them.
A node that fails, is behind, or has dropped its history shows nothing: the outcome stays PENDING, and `open_reasons` say whom it waits for. So one
dead node holds signing again up until it is back, or taken out of the configuration; money does not go out twice for want of it.
One node that knows the signature outweighs all that do not.

That it landed is believed as final when two nodes say so (or one, where there is only one); that it landed and *failed*, by which it may be signed anew too, when all
do. A node that calls it final while another shows all of the above: they contradict.

Transactions that live by a nonce account do not expire at all; none is prepared here, and one that was signed so differs from what was prepared.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from integrations.chains.errors import ChainError, NodesContradict
from integrations.chains.json_rpc import JsonRpc
from integrations.chains.solana.client import SolanaClient
from integrations.chains.solana.errors import TransactionProblem
from integrations.chains.solana.messages import Commitment, SignatureStatus
from integrations.chains.solana.node import first_slot_of, statuses_of, tip_of


class Outcome(StrEnum):
    """PENDING may still land. FAILED is final and has cost its fee; EXPIRED is final and has cost nothing. FINALIZED is done."""

    PENDING = "PENDING"
    PROCESSED = "PROCESSED"
    CONFIRMED = "CONFIRMED"
    FINALIZED = "FINALIZED"
    FAILED = "FAILED"
    EXPIRED = "EXPIRED"


@dataclass(frozen=True, slots=True)
class Finding:
    """What became of a transaction. `problem`: the error it landed with, final only in FAILED; `open_reasons`: by node, why it is not final yet."""

    outcome: Outcome
    slot: int | None = None
    problem: TransactionProblem | None = None
    open_reasons: Mapping[str, str] | None = None

    @property
    def may_sign_again(self) -> bool:
        """Whether a new transaction may pay the same: this one never will."""
        return self.outcome in (Outcome.EXPIRED, Outcome.FAILED)


@dataclass(frozen=True, slots=True)
class _Testimony:
    status: SignatureStatus | None
    still_open: str | None
    """Why the signature may land yet, or have landed, as far as this node shows; None: it never will."""


_LANDED = {Commitment.PROCESSED: Outcome.PROCESSED, Commitment.CONFIRMED: Outcome.CONFIRMED}
_ORDER = (Commitment.PROCESSED, Commitment.CONFIRMED, Commitment.FINALIZED)


async def outcome(
    client: SolanaClient, signature: str, *, last_valid_block_height: int, blockhash_slot: int
) -> Finding:
    """What all nodes together show. `blockhash_slot`: `Blockhash.slot`, kept with the transaction since it was prepared.

    Raises ChainUnavailable when no node answers, NodesContradict.
    """

    async def ask(node: JsonRpc) -> _Testimony:
        tip = await tip_of(node, Commitment.FINALIZED)
        as_of, (status,) = await statuses_of(node, [signature], search_history=True)
        if status is not None:
            return _Testimony(status, "it knows the transaction")
        if tip.height <= last_valid_block_height:
            left = last_valid_block_height - tip.height
            return _Testimony(None, f"{left} more blocks must be final, and one after them")
        if as_of < tip.slot:
            return _Testimony(None, "it answers from behind its own final block")
        first = await first_slot_of(node)
        if first > blockhash_slot:
            return _Testimony(None, "it has dropped the blocks in which the transaction may be")
        return _Testimony(None, None)

    answers = await client.pool.ask_all(ask)
    testimonies = {name: each for name, each in answers.items() if isinstance(each, _Testimony)}
    if not testimonies:
        raise client.unavailable(answers)
    if any(each.status is not None for each in testimonies.values()):
        return _of_known(answers, signature)
    failed = {name: str(each) for name, each in answers.items() if isinstance(each, ChainError)}
    waiting = {name: each.still_open for name, each in testimonies.items() if each.still_open is not None}
    still_open = {**failed, **waiting}
    if still_open:
        return Finding(Outcome.PENDING, open_reasons=still_open)
    return Finding(Outcome.EXPIRED)


def _of_known(answers: Mapping[str, _Testimony | ChainError], signature: str) -> Finding:
    known = {
        name: each.status for name, each in answers.items() if isinstance(each, _Testimony) and each.status is not None
    }
    furthest = max(known.values(), key=lambda status: _ORDER.index(status.commitment))
    if furthest.commitment is not Commitment.FINALIZED:
        return Finding(_LANDED[furthest.commitment], furthest.slot, furthest.problem)
    final = {name: each for name, each in known.items() if each.commitment is Commitment.FINALIZED}
    denied = any(isinstance(each, _Testimony) and each.still_open is None for each in answers.values())
    if denied or len({(each.slot, each.problem) for each in final.values()}) > 1:
        raise NodesContradict(f"nodes tell different ends of transaction {signature}")
    failed = furthest.problem is not None
    needed = len(answers) if failed else min(2, len(answers))
    if len(final) < needed:
        waiting = {name: "it does not call it final" for name in answers if name not in final}
        return Finding(Outcome.CONFIRMED, furthest.slot, furthest.problem, waiting)
    return Finding(Outcome.FAILED if failed else Outcome.FINALIZED, furthest.slot, furthest.problem)
