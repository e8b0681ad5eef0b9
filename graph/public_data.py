"""Which fields are public market data, and what their values are made of. What is not marked is private.

A resolver is marked by `metadata=public(...)`, with every source that it reads. A class is marked by `@public_attributes`, which holds for
its plain attributes: they were read by the resolver that made the object. A marked resolver answers at once (it is no coroutine), reads no clock,
no database and nothing of who asks: tests/graph/public holds it to that.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from graphql import EnumValueNode, FieldNode

from core.vocabulary import MarketDataOrigin

PUBLIC = "public_data"
"""In a field's metadata: its `PublicReads`."""
_ATTRIBUTES = "__public_attributes__"
Class = TypeVar("Class", bound=type)


class MarketSource(StrEnum):
    """Data that an answer may be made of."""

    CATALOGUE = "CATALOGUE"
    """Assets, chains, markets with their status and rules."""
    TICK = "TICK"
    """Newest prices of the reference."""
    TICKER = "TICKER"
    """Tickers of the reference."""
    FEED = "FEED"
    """Where the reference's prices come from, and how well."""
    EXCHANGE_TICKER = "EXCHANGE_TICKER"
    """Tickers of this exchange."""


@dataclass(frozen=True, slots=True)
class PublicReads:
    """What a public field reads, given its arguments."""

    always: frozenset[MarketSource]
    by_origin: Mapping[MarketDataOrigin, MarketSource] | None = None
    """What it also reads by its argument `origin`."""
    of_one_market: bool = False
    """Whether it reads nothing but the market that it is a field of."""

    def sources(self, node: FieldNode) -> frozenset[MarketSource]:
        """Everything that may be read for this use of the field."""
        if self.by_origin is None:
            return self.always
        given = next((each.value for each in node.arguments or () if each.name.value == "origin"), None)
        if given is None:
            return self.always | {self.by_origin[MarketDataOrigin.REFERENCE]}
        if isinstance(given, EnumValueNode) and given.value in MarketDataOrigin.__members__:
            return self.always | {self.by_origin[MarketDataOrigin[given.value]]}
        return self.always | frozenset(self.by_origin.values())


def public(
    *sources: MarketSource,
    by_origin: Mapping[MarketDataOrigin, MarketSource] | None = None,
    of_one_market: bool = False,
) -> dict[object, object]:
    """Metadata of a public field's resolver; without sources what it shows never changes."""
    return {PUBLIC: PublicReads(frozenset(sources), by_origin, of_one_market)}


def public_attributes(marked: Class) -> Class:
    """Mark a class of the schema: its plain attributes are public wherever a public resolver gave the object."""
    setattr(marked, _ATTRIBUTES, True)
    return marked


def has_public_attributes(marked: type) -> bool:
    """Whether a class is marked."""
    return bool(getattr(marked, _ATTRIBUTES, False))
