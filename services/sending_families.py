"""Sending from wallets of people's own, in words that fit every family of chains: what a family must be able to do, and which one a chain is of.

A chain lets something be spent only once: an EVM chain the sender's nonce, Bitcoin outputs, Solana a blockhash until its end. Two signed transactions that
spend the same can never both happen; that is what `spends` is about.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Protocol

from core.refusals import WalletRefused
from core.vocabulary import ChainFamily
from core.wallet_vocabulary import FeeSpeed, WalletErrorCode
from models.chain import ChainEntry
from models.prepared_transaction import PreparedTransactionDocument


@dataclass(frozen=True, slots=True)
class TransferWish:
    """A transfer: `token` is a contract, or the symbol of the coin or of a token that this server vouches for; `amount` in whole units, None to send all."""

    chain: str
    sender: str
    to: str
    token: str
    amount: Decimal | None
    send_all: bool
    speed: FeeSpeed


@dataclass(frozen=True, slots=True)
class Signed:
    """What a wallet has signed. `raw` is what nodes get; `hash` is what people find it by; `spends` can be spent once; `counterparties` are who receives
    something or may spend it, and the contracts that are called; `terms`: what else its family must remember of it."""

    hash: str
    raw: bytes
    sender: str
    spends: tuple[str, ...]
    counterparties: tuple[str, ...] = ()
    terms: Mapping[str, str] = field(default_factory=dict)


class SightKind(StrEnum):
    """What nodes say of a transaction."""

    UNKNOWN = "UNKNOWN"
    """No node knows it; what it spends is unspent, as far as that was asked."""
    WAITING = "WAITING"
    INCLUDED = "INCLUDED"
    FAILED = "FAILED"
    """In a block, where it did nothing but cost its fee."""
    TAKEN = "TAKEN"
    """Another transaction has spent the same."""
    EXPIRED = "EXPIRED"
    """It can never be included any more, and nothing took its place."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """Of one transaction. `final`: enough nodes agree that this never changes again; it is never said of WAITING and UNKNOWN. `fee` in the chain's coin;
    `error` an English template with its values; `by`: of one that is TAKEN the hash of what took its place, when it was found; `same`: that does the same, with
    another fee."""

    kind: SightKind
    confirmations: int = 0
    block: int | None = None
    fee: Decimal | None = None
    final: bool = False
    error: str | None = None
    error_values: Mapping[str, str | int] = field(default_factory=dict)
    by: str | None = None
    same: bool = False


class Spending(Protocol):
    """What is remembered of a transaction that was sent here. `replaced_by`: what took its place, when that was seen before."""

    @property
    def raw(self) -> bytes: ...

    @property
    def sender(self) -> str: ...

    @property
    def spends(self) -> Sequence[str]: ...

    @property
    def terms(self) -> Mapping[str, str]: ...

    @property
    def replaced_by(self) -> str | None: ...


class SendingFamily(Protocol):
    """Of one family. Everything that asks nodes may raise ChainError; WalletRefused is what the person who asks has to hear."""

    async def transfer(self, user_id: str, wish: TransferWish) -> PreparedTransactionDocument:
        """A transfer, looked up, kept and ready to be signed. Raises WalletRefused."""
        ...

    async def read(self, chain: str, text: str) -> Signed:
        """What a wallet gave back. Raises WalletRefused for what is not signed, or is of another chain."""
        ...

    def differences(self, signed: Signed, prepared: PreparedTransactionDocument) -> Sequence[str]:
        """How it differs from what was prepared; what wallets may rightly change is none. Pure."""
        ...

    async def send(self, chain: str, raw: bytes, hash_: str) -> None:
        """Hand it to the nodes; one that the chain has already is fine. Raises WalletRefused when it was surely not taken, ChainError when nobody knows."""
        ...

    def transaction_hash(self, given: str) -> str:
        """A hash in the form it is stored in. Raises WalletRefused for the field `hash`."""
        ...

    async def sight(self, chain: str, hash_: str, sent: Spending | None = None) -> Sighting:
        """What became of a transaction; of one that was sent here also whether something else took its place."""
        ...


class SendingFamilies:
    """One per process."""

    def __init__(self, entries: Mapping[str, ChainEntry], families: Mapping[ChainFamily, SendingFamily]) -> None:
        self._entries = entries
        self._families = families

    def of(self, chain: str, *, field: Sequence[str] = ("chain",)) -> SendingFamily:
        """The family of a chain. Raises WalletRefused, which names the input `field`."""
        entry = self._entries.get(chain)
        if entry is None:
            text = "there is no such chain here; `chains` lists those that there are"
            raise WalletRefused(text, reason=WalletErrorCode.UNKNOWN_CHAIN, field=field)
        family = self._families.get(entry.family)
        if family is None:
            text = "nothing can be sent on chains of this kind from here"
            raise WalletRefused(text, reason=WalletErrorCode.NOT_ENABLED, field=field)
        return family
