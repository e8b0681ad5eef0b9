"""Addresses of Solana: 32 bytes in base58. Whether one can sign, and where tokens of an owner lie.

A wallet's address is a point on the curve of ed25519: a key signs for it. A program derived address (PDA) is not: no key exists, its program signs.
The chain lets anyone send SOL to a PDA, but most PDAs are a program's inside (a token account, a pool, a mint), where money sent by hand is lost.
So a PDA is refused to link, and to withdraw to. (Multisigs such as Squads own money at a PDA; who wants to be paid there is told so.)
"""

import re
from enum import StrEnum

from solders.pubkey import Pubkey
from solders.token.associated import get_associated_token_address

TOKEN_PROGRAM = "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA"  # noqa: S105
TOKEN_2022_PROGRAM = "TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb"  # noqa: S105
TOKEN_PROGRAMS = (TOKEN_PROGRAM, TOKEN_2022_PROGRAM)
ASSOCIATED_TOKEN_PROGRAM = "ATokenGPvbdGVxr1b2hvZbsiqW5xWH25efTNsLJA8knL"  # noqa: S105
MEMO_PROGRAM = "MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr"
MEMO_PROGRAMS = (MEMO_PROGRAM, "Memo1UhkJRfHyvLMcVucJwxXeuD728EqVDDwQDxFMNo")
COMPUTE_BUDGET_PROGRAM = "ComputeBudget111111111111111111111111111111"
SYSTEM_PROGRAM = "11111111111111111111111111111111"
INCINERATOR = "1nc1nerator11111111111111111111111111111111"
WRAPPED_SOL = "So11111111111111111111111111111111111111112"
NOT_WALLETS = frozenset(
    {
        *TOKEN_PROGRAMS,
        *MEMO_PROGRAMS,
        ASSOCIATED_TOKEN_PROGRAM,
        COMPUTE_BUDGET_PROGRAM,
        SYSTEM_PROGRAM,
        INCINERATOR,
        WRAPPED_SOL,
    }
)
"""Well-known addresses of the chain itself; some happen to lie on the curve, and what is sent to them is lost."""
_BASE58 = re.compile(r"[1-9A-HJ-NP-Za-km-z]{1,64}", re.ASCII)


class AddressProblem(StrEnum):
    """Why a text is no address that money may go to."""

    NOT_BASE58 = "NOT_BASE58"
    WRONG_LENGTH = "WRONG_LENGTH"
    OFF_CURVE = "OFF_CURVE"
    PROGRAM = "PROGRAM"


_SENTENCES = {
    AddressProblem.NOT_BASE58: "This is no Solana address: base58 has only letters and digits, without 0, O, I and l.",
    AddressProblem.WRONG_LENGTH: "This is no Solana address: it is not 32 bytes long. It may be cut off, or be an address of another chain.",
    AddressProblem.OFF_CURVE: "No key signs for this address: it belongs to a program, such as a token account. Give the wallet's own address.",
    AddressProblem.PROGRAM: "This is an address of the chain itself, not of a wallet: what is sent to it is lost.",
}


class InvalidAddress(ValueError):
    """A text that is no usable address; the message is a sentence for whoever gave it, and does not repeat it."""

    def __init__(self, problem: AddressProblem) -> None:
        super().__init__(_SENTENCES[problem])
        self.problem = problem


def parse(address: str) -> Pubkey:
    """The 32 bytes of any address, on the curve or off it. Raises InvalidAddress."""
    if _BASE58.fullmatch(address) is None:
        raise InvalidAddress(AddressProblem.NOT_BASE58)
    try:
        return Pubkey.from_string(address)
    except ValueError:
        raise InvalidAddress(AddressProblem.WRONG_LENGTH) from None


def parse_wallet(address: str) -> Pubkey:
    """The 32 bytes of an address that a key signs for: what may be linked, or paid to. Raises InvalidAddress."""
    key = parse(address)
    if address in NOT_WALLETS:
        raise InvalidAddress(AddressProblem.PROGRAM)
    if not key.is_on_curve():
        raise InvalidAddress(AddressProblem.OFF_CURVE)
    return key


def associated_token_address(owner: str, mint: str, program: str = TOKEN_PROGRAM) -> str:
    """Where the owner's tokens of a mint lie, whether that account exists or not; `program`: the mint's token program. Raises InvalidAddress.

    Source: the Associated Token Account program, `get_associated_token_address_with_program_id`.
    """
    return str(get_associated_token_address(parse(owner), parse(mint), parse(program)))
