"""What the runtime says of a transaction that it does not take, in codes and sentences.

Source: Agave's `TransactionError` and `InstructionError` as JSON (rpc responses' `err`), and the error numbers of the programs that we use:
`SystemError`, `TokenError` (SPL Token; Token-2022 keeps its numbers), `AssociatedTokenAccountError`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from integrations.chains.errors import ChainError
from integrations.chains.solana.addresses import ASSOCIATED_TOKEN_PROGRAM, SYSTEM_PROGRAM, TOKEN_PROGRAMS


class ProblemCode(StrEnum):
    """Why a transaction is not taken; spelled like the codes that clients see, where those mean the same."""

    TRANSACTION_EXPIRED = "TRANSACTION_EXPIRED"
    ALREADY_KNOWN = "ALREADY_KNOWN"
    INSUFFICIENT_FUNDS = "INSUFFICIENT_FUNDS"
    INSUFFICIENT_GAS = "INSUFFICIENT_GAS"
    AMOUNT_TOO_SMALL = "AMOUNT_TOO_SMALL"
    SIGNATURE_INVALID = "SIGNATURE_INVALID"
    SIMULATION_REVERTED = "SIMULATION_REVERTED"
    TRANSACTION_REFUSED = "TRANSACTION_REFUSED"


@dataclass(frozen=True, slots=True)
class TransactionProblem:
    """A failure of a transaction. `name`: the runtime's own word for it; `instruction`: which of its instructions failed, from 0."""

    code: ProblemCode
    sentence: str
    name: str
    instruction: int | None = None


class TransactionRefused(ChainError):
    """Nodes do not take a transaction; it is not on the chain by this."""

    def __init__(self, problem: TransactionProblem) -> None:
        super().__init__(problem.sentence)
        self.problem = problem


_Told = tuple[ProblemCode, str]
_TRANSACTION: Mapping[str, _Told] = {
    "BlockhashNotFound": (
        ProblemCode.TRANSACTION_EXPIRED,
        "The transaction was signed too late: its blockhash is no longer valid. Prepare it again.",
    ),
    "AlreadyProcessed": (ProblemCode.ALREADY_KNOWN, "This transaction is on the chain already."),
    "AccountNotFound": (
        ProblemCode.INSUFFICIENT_GAS,
        "The account that pays the fee holds no SOL.",
    ),
    "InsufficientFundsForFee": (
        ProblemCode.INSUFFICIENT_GAS,
        "The account that pays the fee holds too little SOL for it.",
    ),
    "InvalidAccountForFee": (
        ProblemCode.TRANSACTION_REFUSED,
        "The account that would pay the fee is not a wallet.",
    ),
    "SignatureFailure": (ProblemCode.SIGNATURE_INVALID, "A signature of the transaction is missing or wrong."),
    "MissingSignatureForFee": (ProblemCode.SIGNATURE_INVALID, "The account that pays the fee has not signed."),
}
_INSTRUCTION: Mapping[str, _Told] = {
    "InsufficientFunds": (ProblemCode.INSUFFICIENT_FUNDS, "An account of the transaction holds too little."),
    "MissingRequiredSignature": (
        ProblemCode.SIGNATURE_INVALID,
        "An account whose signature is needed has not signed.",
    ),
    "ComputationalBudgetExceeded": (
        ProblemCode.SIMULATION_REVERTED,
        "The transaction needs more computing than it asked for.",
    ),
}
_SYSTEM: Mapping[int, _Told] = {
    0: (ProblemCode.SIMULATION_REVERTED, "An account that the transaction would create exists already."),
    1: (ProblemCode.INSUFFICIENT_FUNDS, "The sender holds too little SOL."),
}
_TOKEN: Mapping[int, _Told] = {
    0: (ProblemCode.INSUFFICIENT_FUNDS, "A token account would hold too little SOL for its rent."),
    1: (ProblemCode.INSUFFICIENT_FUNDS, "The sender holds too few of these tokens."),
    2: (ProblemCode.SIMULATION_REVERTED, "The token's mint is not valid."),
    3: (ProblemCode.SIMULATION_REVERTED, "A token account is of another token."),
    4: (ProblemCode.SIMULATION_REVERTED, "The signer does not own the token account."),
    9: (ProblemCode.SIMULATION_REVERTED, "A token account does not exist."),
    17: (ProblemCode.SIMULATION_REVERTED, "The token's issuer has frozen one of the two token accounts."),
    18: (ProblemCode.SIMULATION_REVERTED, "The token has another number of decimals than the transaction says."),
}
_ASSOCIATED: Mapping[int, _Told] = {
    0: (ProblemCode.SIMULATION_REVERTED, "The token account at the recipient's place has another owner."),
}
_BY_PROGRAM: Mapping[str, Mapping[int, _Told]] = {
    SYSTEM_PROGRAM: _SYSTEM,
    ASSOCIATED_TOKEN_PROGRAM: _ASSOCIATED,
    **dict.fromkeys(TOKEN_PROGRAMS, _TOKEN),
}


def problem_of(error: object, programs: Sequence[str] = ()) -> TransactionProblem:
    """The `err` of an answer (not null) in words; `programs`: the program of each instruction, by which its numbers are understood.

    Whatever is not known keeps the runtime's name, cut short: a node may say anything.
    """
    if isinstance(error, str):
        code, sentence = _TRANSACTION.get(error, _other(error))
        return TransactionProblem(code, sentence, error[:80])
    if isinstance(error, dict) and len(error) == 1:
        ((kind, detail),) = error.items()
        if kind == "InstructionError" and isinstance(detail, list) and len(detail) == 2:
            return _of_instruction(detail[0], detail[1], programs)
        if kind == "InsufficientFundsForRent":
            return _of_rent(detail)
        code, sentence = _other(str(kind))
        return TransactionProblem(code, sentence, str(kind)[:80])
    return TransactionProblem(*_other("an unknown error"), "unknown")


def refused_outright(message: str) -> TransactionProblem:
    """A transaction that a node does not even try: not readable, too long."""
    return TransactionProblem(ProblemCode.TRANSACTION_REFUSED, "The nodes cannot read this transaction.", message[:200])


def _other(name: str) -> _Told:
    return ProblemCode.TRANSACTION_REFUSED, f"The chain does not take this transaction ({name[:80]})."


def _of_instruction(index: object, error: object, programs: Sequence[str]) -> TransactionProblem:
    number = index if isinstance(index, int) and not isinstance(index, bool) and index >= 0 else None
    program = programs[number] if number is not None and number < len(programs) else ""
    if isinstance(error, dict) and isinstance(error.get("Custom"), int):
        custom: int = error["Custom"]
        told = _BY_PROGRAM.get(program, {}).get(custom)
        code, sentence = told or (
            ProblemCode.SIMULATION_REVERTED,
            f"A program stops the transaction with its error {custom}.",
        )
        return TransactionProblem(code, sentence, f"Custom({custom})", number)
    name = error if isinstance(error, str) else next(iter(error), "unknown") if isinstance(error, dict) else "unknown"
    fallback = (ProblemCode.SIMULATION_REVERTED, f"A program stops the transaction ({str(name)[:80]}).")
    code, sentence = _INSTRUCTION.get(str(name), fallback)
    return TransactionProblem(code, sentence, str(name)[:80], number)


def _of_rent(detail: object) -> TransactionProblem:
    """Account 0 pays the fee, and is the sender of all that we prepare; any other would be new and too small to exist."""
    index = detail.get("account_index") if isinstance(detail, dict) else None
    if index == 0:
        sentence = "The sender would be left with too little SOL to exist: leave nothing, or the least that an account must hold."
        return TransactionProblem(ProblemCode.INSUFFICIENT_FUNDS, sentence, "InsufficientFundsForRent")
    sentence = "An account that receives SOL would hold less than an account must; a new one needs more."
    return TransactionProblem(ProblemCode.AMOUNT_TOO_SMALL, sentence, "InsufficientFundsForRent")
