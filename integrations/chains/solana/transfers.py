"""Unsigned transfers of SOL and tokens, and what they cost. Pure: nobody is asked, no key is known.

A transaction costs 5000 lamports per signature and the priority fee: compute unit limit × price, rounded up to a lamport
(Agave, `calculate_prioritization_fee`), whether it succeeds or not. A new token account costs its rent besides, which its owner gets back on closing it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from solders.hash import Hash, ParseHashError
from solders.message import MessageV0, MessageV1, to_bytes_versioned

from integrations.chains.solana.addresses import COMPUTE_BUDGET_PROGRAM, TOKEN_PROGRAM, associated_token_address, parse
from integrations.chains.solana.instructions import (
    ComputeUnitLimit,
    ComputeUnitPrice,
    Known,
    Memo,
    NonceAdvance,
    SolTransfer,
    TokenTransfer,
    creation_of,
    decode,
    encode,
)
from integrations.chains.solana.wire import (
    MOST_BYTES,
    AnyMessage,
    instructions_of,
    to_base64,
    unsigned,
)

LAMPORTS_PER_SIGNATURE = 5000
MOST_UNITS = 1_400_000
UNITS_PER_INSTRUCTION = 200_000
"""What the runtime grants each instruction when a transaction sets no limit."""
MOST_MEMO_BYTES = 400
MOST_U64 = 2**64 - 1
SOL_UNITS = 30_000
TOKEN_UNITS = 120_000
"""Generous limits for transfers that were not simulated: memo and the opening of a token account included."""


class InvalidTransfer(ValueError):
    """A transfer that cannot be written; the message says why."""


class NothingLeft(InvalidTransfer):
    """The balance does not cover the fee. `needed`, `balance`: lamports."""

    def __init__(self, needed: int, balance: int) -> None:
        super().__init__(f"the fee is {needed} lamports, the balance {balance}")
        self.needed = needed
        self.balance = balance


@dataclass(frozen=True, slots=True)
class Terms:
    """Who pays and signs, by which blockhash the transaction lives, and what is paid for speed (micro-lamports per unit).

    With a `nonce_account` of the payer's, `blockhash` is the nonce in it, and the transaction lives until that is used up.
    """

    payer: str
    blockhash: str
    micro_lamports: int = 0
    units: int | None = None
    nonce_account: str | None = None


@dataclass(frozen=True, slots=True)
class Prepared:
    """A v0 transaction that nobody has signed, in base64: `message` is what is signed, `transaction` the same with room for signatures."""

    message: str
    transaction: str
    fee: int
    """In lamports."""


@dataclass(frozen=True, slots=True)
class Spending:
    """What a transaction takes from an owner at most: lamports, fee included when the owner pays it, and token units by mint."""

    lamports: int
    fee: int
    tokens: dict[str, int] = field(default_factory=dict)


def sol_transfer(terms: Terms, to: str, lamports: int, memo: str | None = None) -> Prepared:
    """Lamports from the payer. The caller sees to it that a new account gets enough to exist. Raises InvalidAddress, InvalidTransfer."""
    return _prepared(terms, [SolTransfer(terms.payer, to, _amount(lamports))], memo, SOL_UNITS)


def all_sol(terms: Terms, to: str, balance: int, memo: str | None = None) -> Prepared:
    """All that the payer has but the fee, so that exactly nothing stays. Raises InvalidAddress, InvalidTransfer (NothingLeft)."""
    fee = fee_for(1, terms.units or SOL_UNITS, terms.micro_lamports)
    if balance <= fee:
        raise NothingLeft(fee, balance)
    return sol_transfer(terms, to, balance - fee, memo)


def token_transfer(
    terms: Terms,
    to: str,
    amount: int,
    *,
    mint: str,
    decimals: int,
    program: str = TOKEN_PROGRAM,
    opens: bool = True,
    memo: str | None = None,
) -> Prepared:
    """Token units from the payer's associated account to that of `to` (a wallet), which is opened at the payer's cost where it is missing.

    `opens=False` for a recipient whose account is known to exist: a smaller transaction. Raises InvalidAddress, InvalidTransfer.
    """
    if not 0 <= decimals <= 255:
        raise InvalidTransfer("a token has 0 to 255 decimals")
    source = associated_token_address(terms.payer, mint, program)
    opening = creation_of(terms.payer, to, mint, program)
    moved = TokenTransfer(program, source, mint, opening.account, terms.payer, _amount(amount), decimals)
    return _prepared(terms, [opening, moved] if opens else [moved], memo, TOKEN_UNITS)


def units_with_margin(used: int) -> int:
    """The compute unit limit for a transaction that used so many when it was simulated."""
    return min(used + used // 5 + 500, MOST_UNITS)


def fee_for(signatures: int, units: int, micro_lamports: int) -> int:
    """Lamports that a transaction with this limit and price costs."""
    return signatures * LAMPORTS_PER_SIGNATURE + -(-units * micro_lamports // 1_000_000)


def fee_of(message: AnyMessage) -> int:
    """Lamports that a transaction costs, by what stands in it (of v0 and legacy messages; a v1 message states its priority fee itself)."""
    signatures = message.header.num_required_signatures
    if isinstance(message, MessageV1):
        return signatures * LAMPORTS_PER_SIGNATURE + (message.config.priority_fee or 0)
    limit, price, others = None, 0, 0
    for each in message.instructions:
        is_budget = str(message.account_keys[each.program_id_index]) == COMPUTE_BUDGET_PROGRAM
        others += not is_budget
        if is_budget:
            data = bytes(each.data)
            if len(data) == 5 and data[0] == 2:
                limit = int.from_bytes(data[1:], "little")
            elif len(data) == 9 and data[0] == 3:
                price = int.from_bytes(data[1:], "little")
    units = min(others * UNITS_PER_INSTRUCTION if limit is None else limit, MOST_UNITS)
    return fee_for(signatures, units, price)


def spent_by(owner: str, message: AnyMessage) -> Spending:
    """What the transfers in a message take from an owner. What other programs do with the owner's money is not seen here: simulate.

    Raises UnreadableTransaction when accounts stand in lookup tables.
    """
    fee = fee_of(message) if str(message.account_keys[0]) == owner else 0
    lamports = fee
    tokens: dict[str, int] = {}
    for each in instructions_of(message):
        match decode(each):
            case SolTransfer(source, target, amount) if source == owner != target:
                lamports += amount
            case TokenTransfer() as moved if moved.authority == owner and moved.source != moved.target:
                tokens[moved.mint] = tokens.get(moved.mint, 0) + moved.amount
            case _:
                pass
    return Spending(lamports, fee, tokens)


def _amount(amount: int) -> int:
    if not 0 < amount <= MOST_U64:
        raise InvalidTransfer("an amount is more than 0 and fits in 64 bits")
    return amount


def _prepared(terms: Terms, wanted: Sequence[Known], memo: str | None, units: int) -> Prepared:
    limit = terms.units or units
    if not 0 < limit <= MOST_UNITS or not 0 <= terms.micro_lamports <= MOST_U64:
        raise InvalidTransfer(f"the compute unit limit is at most {MOST_UNITS}, the price fits in 64 bits")
    first: list[Known] = [] if terms.nonce_account is None else [NonceAdvance(terms.nonce_account, terms.payer)]
    budget: list[Known] = [ComputeUnitLimit(limit)]
    if terms.micro_lamports:
        budget.append(ComputeUnitPrice(terms.micro_lamports))
    noted = [] if memo is None else [_memo(memo)]
    try:
        blockhash = Hash.from_string(terms.blockhash)
    except ParseHashError:
        raise InvalidTransfer("this is no blockhash") from None
    written = [encode(each) for each in (*first, *budget, *wanted, *noted)]
    message = MessageV0.try_compile(parse(terms.payer), written, [], blockhash)
    transaction = bytes(unsigned(message))
    if len(transaction) > MOST_BYTES:
        raise InvalidTransfer(f"the transaction is longer than {MOST_BYTES} bytes")
    return Prepared(to_base64(to_bytes_versioned(message)), to_base64(transaction), fee_of(message))


def _memo(text: str) -> Memo:
    if not 0 < len(text.encode()) <= MOST_MEMO_BYTES:
        raise InvalidTransfer(f"a memo has 1 to {MOST_MEMO_BYTES} bytes")
    return Memo(text)
