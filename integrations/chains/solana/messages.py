"""What nodes of Solana told, checked and typed. Amounts are integers: lamports (1 SOL = 10^9), or a token's smallest units."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from integrations.chains.solana.errors import TransactionProblem


class Commitment(StrEnum):
    """How settled a block is that an answer is taken from: voted on by nobody yet, by two thirds of the stake, or so that it cannot be undone."""

    PROCESSED = "processed"
    CONFIRMED = "confirmed"
    FINALIZED = "finalized"


@dataclass(frozen=True, slots=True)
class Blockhash:
    """A recent blockhash, by which a transaction lives: until the chain's block height is past `last_valid_block_height`.

    `slot`: of the answer. No transaction with this hash is in an earlier one than the hash's own, which is not far below: what is asked about the
    transaction's fate needs history back to there (`outcomes.py`).
    """

    hash: str
    last_valid_block_height: int
    slot: int


@dataclass(frozen=True, slots=True)
class TokenHolding:
    """A token account: `account` is its own address; `associated` whether it lies where everyone looks for the owner's tokens of that mint."""

    account: str
    program: str
    mint: str
    amount: int
    decimals: int
    frozen: bool
    associated: bool


@dataclass(frozen=True, slots=True)
class Holdings:
    """What an address owns, as of a slot: the lowest of those that the parts were told for."""

    lamports: int
    tokens: tuple[TokenHolding, ...]
    slot: int


@dataclass(frozen=True, slots=True)
class Account:
    """An account as it is stored."""

    lamports: int
    owner: str
    executable: bool
    data: bytes


@dataclass(frozen=True, slots=True)
class PriorityFees:
    """Micro-lamports per compute unit, for three speeds."""

    slow: int
    standard: int
    fast: int


@dataclass(frozen=True, slots=True)
class Simulation:
    """What would come of a transaction now. `problem`: None when it would succeed."""

    problem: TransactionProblem | None
    units: int
    logs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SignatureStatus:
    """How far a transaction is; `problem` when it is on the chain and failed (its fee is spent)."""

    slot: int
    commitment: Commitment
    problem: TransactionProblem | None


@dataclass(frozen=True, slots=True)
class SignatureRecord:
    """A line of an address's history. `memo` is the node's word: take memos from the transaction."""

    signature: str
    slot: int
    failed: bool
    memo: str | None
    time_ms: int | None


@dataclass(frozen=True, slots=True)
class TokenChange:
    """How a token account was before and after a transaction. `owner_before`, `owner_after`: None where the account did not exist."""

    account: str
    program: str
    mint: str
    decimals: int
    before: int
    after: int
    owner_before: str | None
    owner_after: str | None


@dataclass(frozen=True, slots=True)
class ChainTransaction:
    """A transaction on the chain. Its message is proven by its signatures; balances, `problem` and `fee` are the node's word.

    `lamports`: of each account before and after; `memos`: texts of its own memo instructions, not of those that programs called.
    """

    signature: str
    slot: int
    time_ms: int | None
    problem: TransactionProblem | None
    fee: int
    signers: tuple[str, ...]
    lamports: Mapping[str, tuple[int, int]]
    tokens: tuple[TokenChange, ...]
    memos: tuple[str, ...]

    @property
    def fee_payer(self) -> str:
        return self.signers[0]

    @property
    def cost(self) -> int:
        """Lamports beside what was paid: the fee, and the rent of token accounts that were opened."""
        opened = {each.account for each in self.tokens if each.owner_before is None}
        return self.fee + sum(max(0, self.lamports_of(account)) for account in opened)

    def lamports_of(self, address: str) -> int:
        """What this address got (or, negative, gave, fee included)."""
        before, after = self.lamports.get(address, (0, 0))
        return after - before

    def tokens_of(self, owner: str) -> dict[str, int]:
        """By mint, what all token accounts of this owner got or gave together; an account that changed hands counts whole."""
        found: dict[str, int] = {}
        for change in self.tokens:
            came = change.after if change.owner_after == owner else 0
            went = change.before if change.owner_before == owner else 0
            if came != went:
                found[change.mint] = found.get(change.mint, 0) + came - went
        return {mint: delta for mint, delta in found.items() if delta}


@dataclass(frozen=True, slots=True)
class Block:
    """A block without its transactions' content."""

    slot: int
    parent_slot: int
    hash: str
    parent_hash: str
    height: int | None
    time_ms: int | None
    signatures: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Tip:
    """The newest block at a commitment: its slot and its height (slots without a block are not counted in heights)."""

    slot: int
    height: int
