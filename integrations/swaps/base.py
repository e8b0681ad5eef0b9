"""Aggregators of swaps: what they are asked, what they answer, and how they fail.

Everything an aggregator says is untrusted: an answer that is not what was asked for is `SwapUntrue` and never becomes a transaction. Amounts are in the
smallest unit of their token. Only EVM chains, by their EIP-155 ids; addresses and contracts with their EIP-55 checksum, None for a chain's own coin.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from core.wallet_vocabulary import SwapProvider

MOST_BASIS_POINTS = 10_000


class SwapSourceError(Exception):
    """An aggregator gave no quote; the message is for logs and repeats neither addresses nor keys."""


class SwapUnavailable(SwapSourceError):
    """It did not answer, or not in its own protocol. `retry_after_seconds`: how long it asked to be left alone."""

    def __init__(self, message: str, *, retry_after_seconds: float = 0.0) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class SwapRefused(SwapSourceError):
    """It understood and said no; the message is its reason."""


class SwapUntrue(SwapSourceError):
    """It offers something else than it was asked for, or what it offers does something else than it says."""


@dataclass(frozen=True, slots=True)
class SwapAsk:
    """So much of one token for another; `address` pays and is paid. `slippage_bps`: how far below the quote the outcome may be."""

    from_chain: int
    to_chain: int
    from_token: str | None
    to_token: str | None
    amount: int
    address: str
    slippage_bps: int

    def least_of(self, amount_out: int) -> int:
        """The least that may arrive when so much is quoted, rounded down to a whole unit."""
        return amount_out * (MOST_BASIS_POINTS - self.slippage_bps) // MOST_BASIS_POINTS


@dataclass(frozen=True, slots=True)
class ProviderToken:
    """A token in the aggregator's words; `decimals` None: it does not tell."""

    chain: int
    contract: str | None
    symbol: str
    name: str
    decimals: int | None


@dataclass(frozen=True, slots=True)
class ProviderStep:
    """One exchange or bridge on the way."""

    tool: str
    from_token: ProviderToken
    to_token: ProviderToken
    seconds: int | None


@dataclass(frozen=True, slots=True)
class ProviderFee:
    """What is taken on the way. `on_top`: paid beside the amount, and not out of it."""

    token: ProviderToken
    amount: int
    on_top: bool


@dataclass(frozen=True, slots=True)
class SwapCall:
    """A transaction without nonce and fees. `value` in wei; `gas` is the aggregator's estimate."""

    to: str
    data: bytes
    value: int
    gas: int | None


@dataclass(frozen=True, slots=True)
class ProviderQuote:
    """An offer that was found to be what it was asked for.

    `spender` may take what is sold, None where the chain's own coin is. `settler`: a contract inside the call that has to be proven genuine on its
    chain. `bridge` is the tool that carries it to another chain.
    """

    provider: SwapProvider
    amount_out: int
    minimum_out: int
    spender: str | None
    call: SwapCall
    fees: tuple[ProviderFee, ...]
    steps: tuple[ProviderStep, ...]
    valid_seconds: int
    settler: str | None = None
    bridge: str | None = None


class SwapSource(Protocol):
    """An aggregator."""

    @property
    def provider(self) -> SwapProvider: ...

    @property
    def crosses_chains(self) -> bool:
        """Whether it finds ways from one chain to another."""
        ...

    async def quote(self, ask: SwapAsk) -> ProviderQuote | None:
        """Its best offer; None: it knows no way. Raises SwapSourceError."""
        ...

    async def close(self) -> None: ...


class Progress(StrEnum):
    """What an aggregator says of a swap across chains."""

    UNKNOWN = "UNKNOWN"
    PENDING = "PENDING"
    DONE = "DONE"
    REFUNDED = "REFUNDED"
    FAILED = "FAILED"


@dataclass(frozen=True, slots=True)
class SwapProgress:
    """How far it is, and the transaction that ended it on the other chain (of a refund: on whichever)."""

    kind: Progress
    hash: str | None = None


class SwapFollower(Protocol):
    """Who can tell what became of a swap across chains."""

    async def progress(self, hash_: str, from_chain: int, to_chain: int, bridge: str | None) -> SwapProgress:
        """Of the swap that this transaction on the first chain began. Raises SwapSourceError."""
        ...
