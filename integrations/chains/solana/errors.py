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
    """A failure of a transaction: an English template, and the runtime's own word for it where that stands in it. `name`: that word;
    `instruction`: which of its instructions failed, from 0."""

    code: ProblemCode
    text: str
    name: str
    instruction: int | None = None

    @property
    def values(self) -> dict[str, str | int]:
        """What stands in the template."""
        return {"name": self.name}

    @property
    def sentence(self) -> str:
        """In English."""
        return self.text.format_map(self.values)


class TransactionRefused(ChainError):
    """Nodes do not take a transaction; it is not on the chain by this."""

    def __init__(self, problem: TransactionProblem) -> None:
        super().__init__(problem.sentence)
        self.problem = problem


_P = ProblemCode
_LONGEST_NAME = 80
_RUNTIME_TEXTS: Mapping[str, str] = {
    "BlockhashNotFound": "The transaction was signed too late: its blockhash is no longer valid. Prepare it again.",
    "AlreadyProcessed": "This transaction is on the chain already.",
    "AccountNotFound": "The account that pays the fee holds no SOL.",
    "InsufficientFundsForFee": "The account that pays the fee holds too little SOL for it.",
    "InvalidAccountForFee": "The account that would pay the fee is not a wallet.",
    "SignatureFailure": "A signature of the transaction is missing or wrong.",
    "MissingSignatureForFee": "The account that pays the fee has not signed.",
}
_RUNTIME_CODES: Mapping[str, ProblemCode] = {
    "BlockhashNotFound": _P.TRANSACTION_EXPIRED,
    "AlreadyProcessed": _P.ALREADY_KNOWN,
    "AccountNotFound": _P.INSUFFICIENT_GAS,
    "InsufficientFundsForFee": _P.INSUFFICIENT_GAS,
    "SignatureFailure": _P.SIGNATURE_INVALID,
    "MissingSignatureForFee": _P.SIGNATURE_INVALID,
}
_INSTRUCTION_TEXTS: Mapping[str, str] = {
    "InsufficientFunds": "An account of the transaction holds too little.",
    "MissingRequiredSignature": "An account whose signature is needed has not signed.",
    "ComputationalBudgetExceeded": "The transaction needs more computing than it asked for.",
}
_INSTRUCTION_CODES: Mapping[str, ProblemCode] = {
    "InsufficientFunds": _P.INSUFFICIENT_FUNDS,
    "MissingRequiredSignature": _P.SIGNATURE_INVALID,
}
_SYSTEM_TEXTS: Mapping[int, str] = {
    0: "An account that the transaction would create exists already.",
    1: "The sender holds too little SOL.",
}
_TOKEN_TEXTS: Mapping[int, str] = {
    0: "A token account would hold too little SOL for its rent.",
    1: "The sender holds too few of these tokens.",
    2: "The token's mint is not valid.",
    3: "A token account is of another token.",
    4: "The signer does not own the token account.",
    9: "A token account does not exist.",
    17: "The token's issuer has frozen one of the two token accounts.",
    18: "The token has another number of decimals than the transaction says.",
}
_ASSOCIATED_TEXTS: Mapping[int, str] = {
    0: "The token account at the recipient's place has another owner.",
}
_BY_PROGRAM: Mapping[str, Mapping[int, str]] = {
    SYSTEM_PROGRAM: _SYSTEM_TEXTS,
    ASSOCIATED_TOKEN_PROGRAM: _ASSOCIATED_TEXTS,
    **dict.fromkeys(TOKEN_PROGRAMS, _TOKEN_TEXTS),
}
_LACKING = {(SYSTEM_PROGRAM, 1), *((program, number) for program in TOKEN_PROGRAMS for number in (0, 1))}
"""Numbers that say that there is too little of something."""
_OTHER_TEXTS: Mapping[str, str] = {
    "chain": "The chain does not take this transaction ({name}).",
    "program": "A program stops the transaction ({name}).",
    "unreadable": "The nodes cannot read this transaction.",
    "sender's rent": "The sender would be left with too little SOL to exist: leave nothing, or the least that an account must hold.",
    "recipient's rent": "An account that receives SOL would hold less than an account must; a new one needs more.",
}
_RENT = "InsufficientFundsForRent"


def problem_of(error: object, programs: Sequence[str] = ()) -> TransactionProblem:
    """The `err` of an answer (not null) in words; `programs`: the program of each instruction, by which its numbers are understood.

    Whatever is not known keeps the runtime's name, cut short: a node may say anything.
    """
    if isinstance(error, str):
        name = error[:_LONGEST_NAME]
        text = _RUNTIME_TEXTS.get(error, _OTHER_TEXTS["chain"])
        return TransactionProblem(_RUNTIME_CODES.get(error, _P.TRANSACTION_REFUSED), text, name)
    if isinstance(error, dict) and len(error) == 1:
        ((kind, detail),) = error.items()
        if kind == "InstructionError" and isinstance(detail, list) and len(detail) == 2:
            return _of_instruction(detail[0], detail[1], programs)
        if kind == _RENT:
            return _of_rent(detail)
        return TransactionProblem(_P.TRANSACTION_REFUSED, _OTHER_TEXTS["chain"], str(kind)[:_LONGEST_NAME])
    return TransactionProblem(_P.TRANSACTION_REFUSED, _OTHER_TEXTS["chain"], "unknown")


def refused_outright(message: str) -> TransactionProblem:
    """A transaction that a node does not even try: not readable, too long."""
    return TransactionProblem(_P.TRANSACTION_REFUSED, _OTHER_TEXTS["unreadable"], message[:200])


def signature_wrong() -> TransactionProblem:
    """A transaction whose signatures a node finds wrong."""
    return problem_of("SignatureFailure")


def _of_instruction(index: object, error: object, programs: Sequence[str]) -> TransactionProblem:
    number = index if isinstance(index, int) and not isinstance(index, bool) and index >= 0 else None
    program = programs[number] if number is not None and number < len(programs) else ""
    if isinstance(error, dict) and isinstance(error.get("Custom"), int):
        custom: int = error["Custom"]
        text = _BY_PROGRAM.get(program, {}).get(custom, _OTHER_TEXTS["program"])
        code = _P.INSUFFICIENT_FUNDS if (program, custom) in _LACKING else _P.SIMULATION_REVERTED
        return TransactionProblem(code, text, f"Custom({custom})", number)
    told = error if isinstance(error, str) else next(iter(error), "unknown") if isinstance(error, dict) else "unknown"
    name = str(told)[:_LONGEST_NAME]
    text = _INSTRUCTION_TEXTS.get(name, _OTHER_TEXTS["program"])
    return TransactionProblem(_INSTRUCTION_CODES.get(name, _P.SIMULATION_REVERTED), text, name, number)


def _of_rent(detail: object) -> TransactionProblem:
    """Account 0 pays the fee, and is the sender of all that we prepare; any other would be new and too small to exist."""
    index = detail.get("account_index") if isinstance(detail, dict) else None
    if index == 0:
        return TransactionProblem(_P.INSUFFICIENT_FUNDS, _OTHER_TEXTS["sender's rent"], _RENT)
    return TransactionProblem(_P.AMOUNT_TOO_SMALL, _OTHER_TEXTS["recipient's rent"], _RENT)
