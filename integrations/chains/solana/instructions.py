"""The instructions that we write, and the same read back from any transaction.

Sources: the System, Compute Budget, SPL Token, Associated Token Account and Memo programs' instruction layouts (numbers little-endian).
"""

from dataclasses import dataclass

from solders.compute_budget import set_compute_unit_limit, set_compute_unit_price
from solders.instruction import AccountMeta, Instruction
from solders.pubkey import Pubkey
from solders.system_program import AdvanceNonceAccountParams, TransferParams, advance_nonce_account, transfer

from integrations.chains.solana.addresses import (
    ASSOCIATED_TOKEN_PROGRAM,
    COMPUTE_BUDGET_PROGRAM,
    MEMO_PROGRAM,
    MEMO_PROGRAMS,
    SYSTEM_PROGRAM,
    TOKEN_PROGRAMS,
    associated_token_address,
    parse,
)

_TRANSFER_CHECKED = 12
_CREATE_IDEMPOTENT = 1
_ADVANCE_NONCE = (4).to_bytes(4, "little")
_UNIT_LIMIT, _UNIT_PRICE = 2, 3


@dataclass(frozen=True, slots=True)
class SolTransfer:
    """Lamports from one account to another."""

    source: str
    target: str
    lamports: int

    @property
    def words(self) -> str:
        return f"send {self.lamports} lamports from {self.source} to {self.target}"


@dataclass(frozen=True, slots=True)
class TokenTransfer:
    """Tokens from one token account to another, in the token's smallest unit; `authority` signs for the source."""

    program: str
    source: str
    mint: str
    target: str
    authority: str
    amount: int
    decimals: int

    @property
    def words(self) -> str:
        return f"send {self.amount} units of token {self.mint} from {self.source} to {self.target}"


@dataclass(frozen=True, slots=True)
class TokenAccountCreation:
    """The owner's associated token account of a mint, made if it does not exist; `payer` pays its rent."""

    payer: str
    account: str
    owner: str
    mint: str
    program: str

    @property
    def words(self) -> str:
        return f"open the token account of {self.owner} for token {self.mint}, paid by {self.payer}"


@dataclass(frozen=True, slots=True)
class Memo:
    """A text on the chain."""

    text: str

    @property
    def words(self) -> str:
        return f"write the memo {self.text!r}"


@dataclass(frozen=True, slots=True)
class ComputeUnitLimit:
    """The most computing the transaction may use; the priority fee is paid for all of it."""

    units: int

    @property
    def words(self) -> str:
        return f"limit computing to {self.units} units"


@dataclass(frozen=True, slots=True)
class ComputeUnitPrice:
    """The priority fee: micro-lamports per compute unit."""

    micro_lamports: int

    @property
    def words(self) -> str:
        return f"pay {self.micro_lamports} micro-lamports per compute unit"


@dataclass(frozen=True, slots=True)
class NonceAdvance:
    """Uses up the nonce of an account, by which the transaction lives instead of by a blockhash; it must be the first instruction."""

    account: str
    authority: str

    @property
    def words(self) -> str:
        return f"use up the nonce of {self.account}"


@dataclass(frozen=True, slots=True)
class Other:
    """An instruction as it is: its program, its accounts, its data."""

    program: str
    accounts: tuple[str, ...]
    data: bytes

    @property
    def words(self) -> str:
        return f"call the program {self.program} with {len(self.accounts)} accounts and {len(self.data)} bytes"


Known = SolTransfer | TokenTransfer | TokenAccountCreation | Memo | ComputeUnitLimit | ComputeUnitPrice | NonceAdvance
Decoded = Known | Other


def encode(wanted: Known) -> Instruction:
    """The instruction as the chain reads it. Raises InvalidAddress."""
    match wanted:
        case SolTransfer():
            source, target = parse(wanted.source), parse(wanted.target)
            return transfer(TransferParams(from_pubkey=source, to_pubkey=target, lamports=wanted.lamports))
        case TokenTransfer():
            return _token_transfer(wanted)
        case TokenAccountCreation():
            return _creation(wanted)
        case Memo():
            return Instruction(Pubkey.from_string(MEMO_PROGRAM), wanted.text.encode(), [])
        case ComputeUnitLimit():
            return set_compute_unit_limit(wanted.units)
        case ComputeUnitPrice():
            return set_compute_unit_price(wanted.micro_lamports)
        case NonceAdvance():
            account, authority = parse(wanted.account), parse(wanted.authority)
            return advance_nonce_account(AdvanceNonceAccountParams(nonce_pubkey=account, authorized_pubkey=authority))


def creation_of(payer: str, owner: str, mint: str, program: str) -> TokenAccountCreation:
    """The creation of the owner's associated token account. Raises InvalidAddress."""
    account = associated_token_address(owner, mint, program)
    return TokenAccountCreation(payer, account, owner, mint, program)


def _token_transfer(wanted: TokenTransfer) -> Instruction:
    data = bytes([_TRANSFER_CHECKED]) + wanted.amount.to_bytes(8, "little") + bytes([wanted.decimals])
    accounts = [
        AccountMeta(parse(wanted.source), is_signer=False, is_writable=True),
        AccountMeta(parse(wanted.mint), is_signer=False, is_writable=False),
        AccountMeta(parse(wanted.target), is_signer=False, is_writable=True),
        AccountMeta(parse(wanted.authority), is_signer=True, is_writable=False),
    ]
    return Instruction(parse(wanted.program), data, accounts)


def _creation(wanted: TokenAccountCreation) -> Instruction:
    accounts = [
        AccountMeta(parse(wanted.payer), is_signer=True, is_writable=True),
        AccountMeta(parse(wanted.account), is_signer=False, is_writable=True),
        AccountMeta(parse(wanted.owner), is_signer=False, is_writable=False),
        AccountMeta(parse(wanted.mint), is_signer=False, is_writable=False),
        AccountMeta(parse(SYSTEM_PROGRAM), is_signer=False, is_writable=False),
        AccountMeta(parse(wanted.program), is_signer=False, is_writable=False),
    ]
    return Instruction(parse(ASSOCIATED_TOKEN_PROGRAM), bytes([_CREATE_IDEMPOTENT]), accounts)


def decode(instruction: Other) -> Decoded:
    """What an instruction does, when it is exactly one of ours; every other stays as it is."""
    program, accounts, data = instruction.program, instruction.accounts, instruction.data
    found: Known | None = None
    if program == SYSTEM_PROGRAM:
        found = _decode_system(accounts, data)
    elif program in TOKEN_PROGRAMS:
        found = _decode_token(program, accounts, data)
    elif program == ASSOCIATED_TOKEN_PROGRAM and len(accounts) == 6 and data == bytes([_CREATE_IDEMPOTENT]):
        found = TokenAccountCreation(accounts[0], accounts[1], accounts[2], accounts[3], accounts[5])
    elif program in MEMO_PROGRAMS:
        found = _decode_memo(data)
    elif program == COMPUTE_BUDGET_PROGRAM:
        found = _decode_budget(data)
    return instruction if found is None else found


def _decode_system(accounts: tuple[str, ...], data: bytes) -> Known | None:
    if data == _ADVANCE_NONCE and len(accounts) == 3:
        return NonceAdvance(accounts[0], accounts[2])
    if len(data) != 12 or int.from_bytes(data[:4], "little") != 2 or len(accounts) < 2:
        return None
    return SolTransfer(accounts[0], accounts[1], int.from_bytes(data[4:], "little"))


def _decode_token(program: str, accounts: tuple[str, ...], data: bytes) -> Known | None:
    if len(data) != 10 or data[0] != _TRANSFER_CHECKED or len(accounts) != 4:
        return None
    source, mint, target, authority = accounts
    return TokenTransfer(program, source, mint, target, authority, int.from_bytes(data[1:9], "little"), data[9])


def _decode_memo(data: bytes) -> Known | None:
    try:
        return Memo(data.decode())
    except UnicodeDecodeError:
        return None


def _decode_budget(data: bytes) -> Known | None:
    if len(data) == 5 and data[0] == _UNIT_LIMIT:
        return ComputeUnitLimit(int.from_bytes(data[1:], "little"))
    if len(data) == 9 and data[0] == _UNIT_PRICE:
        return ComputeUnitPrice(int.from_bytes(data[1:], "little"))
    return None
