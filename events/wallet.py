"""What wallets hold, as the chains told it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from core.wallet_vocabulary import ChainTxStatus, TransferDirection, WalletErrorCode
from events.token import TokenState


@dataclass(frozen=True, slots=True)
class TokenHolding:
    """So many smallest units of a token in a wallet, as of a block (on Solana: a slot)."""

    token: TokenState
    units: int
    block: int | None
    time_ms: int


@dataclass(frozen=True, slots=True)
class ChainTrouble:
    """Why something is not known of a chain: an English template, and what stands in it."""

    chain: str
    code: WalletErrorCode
    text: str
    values: dict[str, str | int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class WalletHoldings:
    """What is known, and what is not."""

    address: str
    items: Sequence[TokenHolding]
    failures: Sequence[ChainTrouble]


@dataclass(frozen=True, slots=True)
class OnChainFunds:
    """What an account's wallets hold together: amounts by chain and asset, in whole units; and by chain, the assets of which it is not known how much there is."""

    amounts: Mapping[str, Mapping[str, Decimal]]
    unknown: Mapping[str, frozenset[str]]
    failures: Sequence[ChainTrouble]

    @property
    def unknown_assets(self) -> frozenset[str]:
        """Of any chain."""
        return frozenset().union(*self.unknown.values())

    def amount(self, asset: str) -> Decimal:
        """What is known of an asset, on all chains."""
        return sum((of_chain.get(asset, Decimal(0)) for of_chain in self.amounts.values()), Decimal(0))


@dataclass(frozen=True, slots=True)
class WalletMovement:
    """So many smallest units of a token from or to a wallet. `place` is its place in the chain, and its cursor; `part` tells it from
    others of its transaction, whatever the block; `time_ms` of its block, if that is known. `counterparty` is None where there are several, or it has no
    address. `cursor` stands in for the place where that does not find it again."""

    place: int
    hash: str
    part: str
    direction: TransferDirection
    token: TokenState
    units: int
    counterparty: str | None
    status: ChainTxStatus
    confirmations: int
    time_ms: int | None
    cursor: str | None = None
