"""What several nodes of a chain say of one block number, and what that is worth. Pure.

One node can lie, lag, or follow a fork for a while. Where there is more than one, nothing that moves money rests on the word of one alone.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from integrations.chains.errors import ChainError, ChainUnavailable

WITNESSES = 2
"""So many nodes must say it, where there are as many."""


class Block(Protocol):
    """A block of any chain."""

    @property
    def hash(self) -> str: ...


A = TypeVar("A")
B = TypeVar("B", bound=Block)


@dataclass(frozen=True, slots=True)
class Vote(Generic[B]):
    """Which blocks nodes have at a number, by the names of the nodes; those that have none there, or did not answer, have no say. `asked`: all of this chain.

    `silent`: why those did not answer that did not.
    """

    number: int
    blocks: Mapping[str, B]
    asked: int
    silent: Mapping[str, str] = field(default_factory=dict)

    @property
    def winner(self) -> B | None:
        """The block that more than half of those have that have one there."""
        counted = Counter(block.hash for block in self.blocks.values())
        best = max(counted, key=counted.__getitem__, default=None)
        if best is None or counted[best] * 2 <= len(self.blocks):
            return None
        return next(block for block in self.blocks.values() if block.hash == best)

    @property
    def witnessed(self) -> B | None:
        """The winner, where enough nodes have it: one that runs ahead of the others, or makes blocks up, is not followed."""
        block = self.winner
        return block if block is not None and len(self.behind(block.hash)) >= self.needed else None

    @property
    def needed(self) -> int:
        """How many nodes it takes."""
        return min(WITNESSES, self.asked)

    def behind(self, hash_: str) -> list[str]:
        """The nodes that have this block there."""
        return sorted(name for name, block in self.blocks.items() if block.hash == hash_)

    def against(self, hash_: str) -> list[str]:
        """The nodes that have another block there."""
        return sorted(name for name, block in self.blocks.items() if block.hash != hash_)

    def has_given_up(self, hash_: str) -> bool:
        """Whether the chain has another block in the place of this one: most of those say so that have one there, and enough of them."""
        against = len(self.against(hash_))
        return against >= self.needed and against * 2 > len(self.blocks)

    def stands(self, hash_: str) -> bool:
        """Whether all say so that have a block there, and enough of them."""
        return len(self.blocks) >= self.needed and not self.against(hash_)


def answers_in(said: Mapping[str, A | ChainError]) -> list[A]:
    """What was answered. Raises ChainError when no node did."""
    answers = [each for each in said.values() if not isinstance(each, ChainError)]
    if not answers:
        raise next((each for each in said.values() if isinstance(each, ChainError)), ChainError("no node answers"))
    return answers


def require_witnesses(chain: str, said: Mapping[str, object]) -> None:
    """Returns when as many nodes answered as it takes to believe what they say with one voice. Raises ChainError."""
    silent = {name: str(each) for name, each in said.items() if isinstance(each, ChainError)}
    if len(said) - len(silent) < max(1, min(WITNESSES, len(said))):
        told = "; ".join(f"{name}: {reason}" for name, reason in silent.items())
        raise ChainError(f"too few nodes of {chain} answer to be believed ({told})")


def count_votes(chain: str, number: int, said: Mapping[str, B | ChainError | None]) -> Vote[B]:
    """What was said. Raises ChainUnavailable when no node answered."""
    failures = {name: str(answer) for name, answer in said.items() if isinstance(answer, ChainError)}
    if len(failures) == len(said):
        raise ChainUnavailable(chain, failures)
    blocks = {name: each for name, each in said.items() if each is not None and not isinstance(each, ChainError)}
    return Vote(number, blocks, len(said), failures)
