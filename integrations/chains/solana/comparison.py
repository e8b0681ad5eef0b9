"""A signed transaction beside the one that was prepared: how they differ, in words. Pure."""

from collections import Counter
from dataclasses import dataclass
from enum import StrEnum

from solders.transaction import VersionedTransaction

from integrations.chains.solana.addresses import COMPUTE_BUDGET_PROGRAM
from integrations.chains.solana.instructions import Other, decode
from integrations.chains.solana.transfers import fee_of
from integrations.chains.solana.wire import (
    AnyMessage,
    instructions_of,
    signers_of,
    unsigned_by,
    uses_lookup_tables,
)

FREE_RAISE_LAMPORTS = 1_000_000
"""A wallet may raise the fee by this much, or to twice as much, without being asked about it: 0.001 SOL."""


class DifferenceKind(StrEnum):
    """In what a signed transaction differs."""

    SIGNATURE = "SIGNATURE"
    FEE_PAYER = "FEE_PAYER"
    SIGNERS = "SIGNERS"
    BLOCKHASH = "BLOCKHASH"
    LOOKUP_TABLE = "LOOKUP_TABLE"
    INSTRUCTION_ADDED = "INSTRUCTION_ADDED"
    INSTRUCTION_MISSING = "INSTRUCTION_MISSING"
    ORDER = "ORDER"
    FEE_RAISED = "FEE_RAISED"
    COMPUTE_BUDGET = "COMPUTE_BUDGET"


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference, as a sentence for the person who signed."""

    kind: DifferenceKind
    sentence: str

    @property
    def harmless(self) -> bool:
        """Wallets set compute limit and price as they see fit: what is done stays the same, and the fee within bounds."""
        return self.kind is DifferenceKind.COMPUTE_BUDGET


def differences(prepared: AnyMessage, signed: VersionedTransaction) -> list[Difference]:
    """How the signed transaction differs from what was prepared; empty when it is the same and rightly signed.

    A changed blockhash is a difference because the last block height at which the transaction may land is no longer known.
    """
    message = signed.message
    found = [
        Difference(DifferenceKind.SIGNATURE, f"The signature of {who} is missing or wrong.")
        for who in unsigned_by(signed)
    ]
    found += _of_signers(prepared, message)
    if message.recent_blockhash != prepared.recent_blockhash:
        found.append(Difference(DifferenceKind.BLOCKHASH, "The blockhash is another than the one given."))
    if uses_lookup_tables(message):
        found.append(Difference(DifferenceKind.LOOKUP_TABLE, "It names accounts by lookup tables, which hides them."))
        return found
    wanted_budget, wanted = _parted(instructions_of(prepared))
    given_budget, given = _parted(instructions_of(message))
    found += _of_instructions(wanted, given)
    if wanted_budget != given_budget:
        found.append(_of_budget(prepared, message))
    return found


def _of_signers(prepared: AnyMessage, message: AnyMessage) -> list[Difference]:
    wanted, given = signers_of(prepared), signers_of(message)
    if wanted[0] != given[0]:
        text = f"The fee is paid by {given[0]} instead of {wanted[0]}."
        return [Difference(DifferenceKind.FEE_PAYER, text)]
    if set(wanted) != set(given):
        return [
            Difference(DifferenceKind.SIGNERS, f"It is signed by {', '.join(given)} instead of {', '.join(wanted)}.")
        ]
    return []


def _parted(instructions: list[Other]) -> tuple[list[Other], list[Other]]:
    budget = [each for each in instructions if each.program == COMPUTE_BUDGET_PROGRAM]
    return budget, [each for each in instructions if each.program != COMPUTE_BUDGET_PROGRAM]


def _of_instructions(wanted: list[Other], given: list[Other]) -> list[Difference]:
    wanted_counts, given_counts = Counter(wanted), Counter(given)
    missing, added = wanted_counts - given_counts, given_counts - wanted_counts
    found = []
    for each in wanted:
        if missing[each] > 0:
            missing[each] -= 1
            found.append(Difference(DifferenceKind.INSTRUCTION_MISSING, f"It does not {decode(each).words}."))
    for each in given:
        if added[each] > 0:
            added[each] -= 1
            found.append(Difference(DifferenceKind.INSTRUCTION_ADDED, f"It would also {decode(each).words}."))
    if not found and wanted != given:
        found.append(Difference(DifferenceKind.ORDER, "It does the same things in another order."))
    return found


def _of_budget(prepared: AnyMessage, message: AnyMessage) -> Difference:
    before, after = fee_of(prepared), fee_of(message)
    kind = DifferenceKind.COMPUTE_BUDGET
    if after > max(before * 2, before + FREE_RAISE_LAMPORTS):
        kind = DifferenceKind.FEE_RAISED
    return Difference(kind, f"The wallet set the computing itself: the fee is {after} lamports instead of {before}.")
