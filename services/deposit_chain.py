"""What reading deposits needs of a chain, whatever its family: who has which block, what a block brings, and whether all nodes tell the same of a deposit."""

from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Protocol

from integrations.chains.errors import ChainError
from models.deposit import DepositDocument
from services.deposit_forms import Form
from services.house_transfers import HouseWallets, Sorted


class ChainBlock(Protocol):
    """A block as a node names it."""

    @property
    def number(self) -> int: ...

    @property
    def hash(self) -> str: ...

    @property
    def parent(self) -> str: ...


class DepositChain(Protocol):
    """One chain's nodes. Everything may raise ChainError."""

    async def heads(self) -> Collection[int]:
        """The number of the newest block of every node that answers."""
        ...

    async def blocks_at(self, number: int) -> Mapping[str, ChainBlock | ChainError | None]:
        """The block of this number as every node has it, by the node's name; None: it has none."""
        ...

    async def brought(self, block: ChainBlock, wallets: Callable[[], Awaitable[HouseWallets]]) -> Sorted:
        """What this block brings. `wallets` is asked for once the block is there: whatever address it can pay to is known by then."""
        ...

    async def attested(self, row: DepositDocument, form: Form) -> None:
        """Returns when every node that can tell has the deposit in its block, and as many can tell as it takes.

        Raises:
            NodesContradict: one has the transaction in another block, or with other content.
            ChainUnavailable: too few can tell.
        """
        ...
