"""Mints and token accounts as the token programs store them, with Token-2022's extensions as far as they matter for a transfer. Pure.

Sources: `spl_token::state` (Mint 82 bytes, Account 165), `spl_token_2022::extension` (after 165 bytes a kind, then type, length and value of each).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from solders.pubkey import Pubkey

from integrations.chains.solana.addresses import TOKEN_2022_PROGRAM, TOKEN_PROGRAMS
from integrations.chains.solana.messages import Account

_MINT_BYTES, _ACCOUNT_BYTES = 82, 165
_MINT_KIND, _ACCOUNT_KIND = 1, 2
_DECIMALS_AT, _INITIALIZED_AT = 44, 45
_OWNER_AT, _AMOUNT_AT, _STATE_AT = 32, 64, 108
_FROZEN = 2
_FEE, _NOT_TRANSFERABLE, _HOOK, _METADATA, _PAUSABLE = 1, 9, 14, 19, 26
_OLDER_FEE_AT, _NEWER_FEE_AT = 88, 106
"""Basis points in the extension TransferFeeConfig."""
_HEADER_BYTES = 4
_PER_ACCOUNT = {_FEE: 8, _NOT_TRANSFERABLE: 0, _HOOK: 1, _PAUSABLE: 0}
"""What an extension of the mint adds to each account, without its header."""


@dataclass(frozen=True, slots=True)
class Mint:
    """A token: its program, decimals, and extensions by number. `symbol`, `name`: as it says itself, empty where it says nothing."""

    program: str
    decimals: int
    extensions: Mapping[int, bytes] = field(default_factory=dict)
    symbol: str = ""
    name: str = ""

    @property
    def takes_a_fee(self) -> bool:
        """Whether less arrives than was sent."""
        found = self.extensions.get(_FEE, b"")
        return any(found[at : at + 2] not in (b"", bytes(2)) for at in (_OLDER_FEE_AT, _NEWER_FEE_AT))

    @property
    def calls_a_program(self) -> bool:
        """Whether each transfer runs a program of the issuer's, which needs accounts that only it knows."""
        found = self.extensions.get(_HOOK, b"")
        return found[32:64] not in (b"", bytes(32))

    @property
    def account_bytes(self) -> int:
        """Of an associated token account: in Token-2022 with the mark that its owner cannot change, and what the mint asks for."""
        if self.program != TOKEN_2022_PROGRAM:
            return _ACCOUNT_BYTES
        asked = sum(_HEADER_BYTES + size for kind, size in _PER_ACCOUNT.items() if kind in self.extensions)
        return _ACCOUNT_BYTES + 1 + _HEADER_BYTES + asked


@dataclass(frozen=True, slots=True)
class TokenAccount:
    """Tokens of one mint, in its smallest units."""

    program: str
    mint: str
    owner: str
    amount: int
    frozen: bool


def read_mint(account: Account) -> Mint | None:
    """The mint that an account is; None: it is none."""
    data = account.data
    if account.owner not in TOKEN_PROGRAMS or len(data) < _MINT_BYTES or data[_INITIALIZED_AT] != 1:
        return None
    if len(data) > _MINT_BYTES and (len(data) <= _ACCOUNT_BYTES or data[_ACCOUNT_BYTES] != _MINT_KIND):
        return None
    extensions = dict(_extensions(data[_ACCOUNT_BYTES + 1 :]))
    name, symbol = _words(extensions.get(_METADATA, b""))
    return Mint(account.owner, data[_DECIMALS_AT], extensions, symbol, name)


def read_token_account(account: Account) -> TokenAccount | None:
    """The token account that an account is; None: it is none."""
    data = account.data
    if account.owner not in TOKEN_PROGRAMS or len(data) < _ACCOUNT_BYTES or data[_STATE_AT] == 0:
        return None
    if len(data) > _ACCOUNT_BYTES and data[_ACCOUNT_BYTES] != _ACCOUNT_KIND:
        return None
    return TokenAccount(
        program=account.owner,
        mint=str(Pubkey(data[:_OWNER_AT])),
        owner=str(Pubkey(data[_OWNER_AT:_AMOUNT_AT])),
        amount=int.from_bytes(data[_AMOUNT_AT : _AMOUNT_AT + 8], "little"),
        frozen=data[_STATE_AT] == _FROZEN,
    )


def _extensions(data: bytes) -> list[tuple[int, bytes]]:
    found, at = [], 0
    while at + _HEADER_BYTES <= len(data):
        kind, size = (int.from_bytes(data[start : start + 2], "little") for start in (at, at + 2))
        if kind == 0:
            break
        at += _HEADER_BYTES + size
        found.append((kind, data[at - size : at]))
    return found


def _words(metadata: bytes) -> tuple[str, str]:
    """Name and symbol: after two addresses, each with its length before it."""
    found, at = [], 64
    for _ in range(2):
        size = int.from_bytes(metadata[at : at + 4], "little")
        found.append(metadata[at + 4 : at + 4 + size].decode(errors="replace"))
        at += 4 + size
    return found[0], found[1]
