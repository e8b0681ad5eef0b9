"""Reading what a node said, which is untrusted: every value is checked for its type and range before it is used.

Whatever does not fit is a `ProviderFailed(MALFORMED)`: another node is asked. Its text names the field and never quotes the content.
"""

import re
from collections.abc import Mapping, Sequence

from integrations.chains.errors import Failure, ProviderFailed

JsonObject = Mapping[str, object]
_QUANTITY = re.compile(r"0x(0|[1-9a-fA-F][0-9a-fA-F]{0,63})", re.ASCII)
_DATA = re.compile(r"0x([0-9a-fA-F]{2})*", re.ASCII)
_HASH = re.compile(r"0x[0-9a-fA-F]{64}", re.ASCII)


def malformed(what: str, expected: str) -> ProviderFailed:
    """A node that said something else than was expected."""
    return ProviderFailed(Failure.MALFORMED, f"{what}: expected {expected}")


def as_object(value: object, what: str) -> JsonObject:
    """The value itself, when it is a JSON object."""
    if not isinstance(value, dict):
        raise malformed(what, "an object")
    return value


def as_list(value: object, what: str) -> Sequence[object]:
    """The value itself, when it is a JSON array."""
    if not isinstance(value, list):
        raise malformed(what, "an array")
    return value


def as_text(value: object, what: str) -> str:
    """The value itself, when it is a text."""
    if not isinstance(value, str):
        raise malformed(what, "a text")
    return value


def as_int(value: object, what: str) -> int:
    """The value itself, when it is a whole number that is not negative."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise malformed(what, "a whole number")
    return value


def as_quantity(value: object, what: str) -> int:
    """The number of an Ethereum QUANTITY (execution-apis, "Hex value encoding")."""
    if not isinstance(value, str) or _QUANTITY.fullmatch(value) is None:
        raise malformed(what, "a quantity")
    return int(value, 16)


def as_data(value: object, what: str) -> bytes:
    """The bytes of an Ethereum DATA."""
    if not isinstance(value, str) or _DATA.fullmatch(value) is None:
        raise malformed(what, "bytes")
    return bytes.fromhex(value[2:])


def as_hash(value: object, what: str) -> str:
    """A 32-byte hash, in lower case."""
    if not isinstance(value, str) or _HASH.fullmatch(value) is None:
        raise malformed(what, "a hash")
    return value.lower()
