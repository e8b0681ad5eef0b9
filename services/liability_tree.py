"""The Merkle-sum tree over what people own: every node binds its two children and what is below each of them.

Texts are hashed, so that a proof can be checked in any language; `docs/proof-of-liabilities.md` has the format, docs/verify_liability.py checks
it without this module. What it follows:
- Maxwell and Todd's tree of sums (2013), as told by Buterin in "Having a safe CEX: proof of solvency and beyond" (2022).
- Both children's sums stand in the hash, not only their total: with the total alone a node may claim less than its children have
  (Chalkias, Lewi, Mohassel, Nikolaenko: "Distributed Auditing Proofs of Liabilities", ZKProof 2020).
- The leaf binds the account's id, so that one leaf cannot be shown to two people of equal balances (Chalkias, Chatzigiannis, Ji: "Broken Proofs
  of Solvency in Blockchain Custodial Wallets and Exchanges", FC workshops 2022).
- Leaves and inner nodes are hashed under different tags; a node without a neighbour goes up as it is and is never paired with itself
  (CVE-2012-2459).

Layout: leaves stand in the order of a keyed hash of their accounts, which says nothing of them and by which one is found again. Each CHUNK leaves
make a subtree that is kept as one piece, together with the steps from its top to the root.
"""

import hmac
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import islice
from operator import itemgetter
from typing import Any, NamedTuple

import orjson

from core.ids import encode_id
from core.vocabulary import MerkleSide

CHUNK = 256
"""A power of two, so that chunks are whole subtrees."""
PLACE_BYTES = 16
_LEAF = "cryptovault/liability-leaf/1"
_NODE = "cryptovault/liability-node/1"

Units = Mapping[str, int]
"""By asset, in its smallest unit."""
Scales = Mapping[str, int]
"""By asset, how many of its digits stand after the point."""


class NegativeBalance(Exception):
    """Somebody has less than nothing: nothing may be signed that is not true."""


class Node(NamedTuple):
    """A leaf or an inner node: its hash, and what is below it, as integers and as the text that is hashed."""

    hash: str
    sums: Units
    text: str


class Step(NamedTuple):
    """The node beside the path to the root."""

    side: MerkleSide
    hash: str
    sums: Units


class Leaf(NamedTuple):
    """What an account has."""

    account: str
    units: Units


@dataclass(frozen=True, slots=True)
class Tree:
    """A tree in pieces. `firsts` are the places of the chunks' first leaves, one after the other."""

    root: Node
    accounts: int
    firsts: bytes
    chunks: Iterator[bytes]


def decimal_text(units: int, scale: int) -> str:
    """The one text of an amount: no exponent, no needless zero, no sign."""
    if not scale:
        return str(units)
    digits = str(units).zfill(scale + 1)
    whole, part = digits[:-scale], digits[-scale:].rstrip("0")
    return f"{whole}.{part}" if part else whole


def amounts_text(units: Units, scales: Scales) -> str:
    """The one text of amounts: `BTC=1.5,ETH=2`, by code, without those that are nothing."""
    return ",".join([f"{asset}={decimal_text(units[asset], scales[asset])}" for asset in sorted(units) if units[asset]])


def salt_of(secret: bytes, account: str) -> str:
    """What hides the account in its leaf: of this report alone, and known only to who has the report's secret."""
    return hmac.digest(secret, f"salt\n{account}".encode(), "sha256").hex()


def place_of(secret: bytes, account: str) -> bytes:
    """Where the account's leaf stands among the others, which nobody without the secret can tell."""
    return hmac.digest(secret, f"place\n{account}".encode(), "sha256")[:PLACE_BYTES]


def leaf_node(leaf: Leaf, secret: bytes, scales: Scales) -> Node:
    """The node of an account. Raises NegativeBalance."""
    if any(units < 0 for units in leaf.units.values()):
        raise NegativeBalance(f"{leaf.account} has less than nothing")
    text = amounts_text(leaf.units, scales)
    owner = encode_id("User", leaf.account)
    return Node(_hash(f"{_LEAF}\n{salt_of(secret, leaf.account)}\n{owner}\n{text}\n"), leaf.units, text)


def build(leaves: Iterable[Leaf], secret: bytes, scales: Scales) -> Tree:
    """The tree of at least one leaf; its chunks are made as they are asked for. Raises NegativeBalance."""
    placed = sorted([(place_of(secret, leaf.account), leaf) for leaf in leaves], key=itemgetter(0))
    pieces = [placed[start : start + CHUNK] for start in range(0, len(placed), CHUNK)]
    tops = [_root([leaf_node(leaf, secret, scales) for _, leaf in piece], scales) for piece in pieces]
    levels = _levels(tops, scales)
    chunks = (_dump([leaf for _, leaf in piece], _path(levels, place)) for place, piece in enumerate(pieces))
    return Tree(levels[-1][0], len(placed), b"".join(piece[0][0] for piece in pieces), chunks)


def chunk_of(firsts: bytes, place: bytes) -> int | None:
    """The number of the chunk in which a place is; None when it is before all."""
    starts = [firsts[start : start + PLACE_BYTES] for start in range(0, len(firsts), PLACE_BYTES)]
    found = bisect_right(starts, place) - 1
    return None if found < 0 else found


def prove(chunk: bytes, account: str, secret: bytes, scales: Scales) -> tuple[Leaf, Node, list[Step]] | None:
    """From the chunk in which the account would be: what it has, its node, and the steps to the root. None: it is not there."""
    held = orjson.loads(chunk)
    leaves = [Leaf(owner, _read(units)) for owner, units in held["leaves"]]
    position = next((place for place, leaf in enumerate(leaves) if leaf.account == account), None)
    if position is None:
        return None
    nodes = [leaf_node(leaf, secret, scales) for leaf in leaves]
    above = [Step(MerkleSide(side), digest, _read(units)) for side, digest, units in held["above"]]
    return leaves[position], nodes[position], [*_path(_levels(nodes, scales), position), *above]


def _hash(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def _join(left: Node, right: Node, scales: Scales) -> Node:
    sums = dict(left.sums)
    for asset, units in right.sums.items():
        sums[asset] = sums.get(asset, 0) + units
    digest = _hash(f"{_NODE}\n{left.hash}\n{left.text}\n{right.hash}\n{right.text}\n")
    return Node(digest, sums, amounts_text(sums, scales))


def _above(nodes: Sequence[Node], scales: Scales) -> list[Node]:
    """The next level: pairs joined, the last one without a neighbour as it is."""
    waiting = iter(nodes)
    level = []
    while pair := tuple(islice(waiting, 2)):
        level.append(_join(*pair, scales) if len(pair) == 2 else pair[0])
    return level


def _levels(nodes: Sequence[Node], scales: Scales) -> list[Sequence[Node]]:
    levels = [nodes]
    while len(levels[-1]) > 1:
        levels.append(_above(levels[-1], scales))
    return levels


def _root(nodes: Sequence[Node], scales: Scales) -> Node:
    return _levels(nodes, scales)[-1][0]


def _path(levels: Sequence[Sequence[Node]], position: int) -> list[Step]:
    steps = []
    for level in levels[:-1]:
        beside = position ^ 1
        if beside < len(level):
            side = MerkleSide.LEFT if beside < position else MerkleSide.RIGHT
            steps.append(Step(side, level[beside].hash, level[beside].sums))
        position //= 2
    return steps


def _dump(leaves: Sequence[Leaf], above: Sequence[Step]) -> bytes:
    """Integers are text, since they may pass 64 bits."""
    return orjson.dumps(
        {
            "leaves": [[leaf.account, _texts(leaf.units)] for leaf in leaves],
            "above": [[step.side, step.hash, _texts(step.sums)] for step in above],
        }
    )


def _texts(units: Units) -> dict[str, str]:
    return {asset: str(amount) for asset, amount in units.items() if amount}


def _read(units: Mapping[str, Any]) -> dict[str, int]:
    return {asset: int(amount) for asset, amount in units.items()}
