"""Reading what an aggregator said: every value is checked for its type and range. Whatever does not fit is a `ProviderFailed(MALFORMED)`."""

import re
from decimal import ROUND_CEILING, Decimal

from eth_utils.address import is_hex_address, to_checksum_address

from integrations.chains.shapes import as_text, malformed

NOBODY = "0x0000000000000000000000000000000000000000"
NATIVE = "0xEeeeeEeeeEeEeeEeEeEeeEEEeeeeEeeeeeeeEEeE"
"""How some say a chain's own coin (ERC-7528); others say the zero address."""
MOST_DATA_BYTES = 64 * 1024
_MOST_TEXT = 64
_MOST_GAS = 1_000_000_000
_MOST_SECONDS = 10_000_000
_UNITS = re.compile(r"0|[1-9][0-9]{0,33}", re.ASCII)
_HEX_NUMBER = re.compile(r"0x[0-9a-fA-F]{1,64}", re.ASCII)
_HEX_DATA = re.compile(r"0x([0-9a-fA-F]{2}){4,}", re.ASCII)


def as_units(value: object, what: str) -> int:
    """An amount: a whole number as text, of at most 34 digits, which is what can be stored."""
    if not isinstance(value, str) or _UNITS.fullmatch(value) is None:
        raise malformed(what, "a whole number as text")
    return int(value)


def as_hex_number(value: object, what: str) -> int:
    """A number in hexadecimal, with leading zeros or without."""
    if not isinstance(value, str) or _HEX_NUMBER.fullmatch(value) is None:
        raise malformed(what, "a hexadecimal number")
    return int(value, 16)


def as_call_data(value: object, what: str) -> bytes:
    """What a contract is called with: at least a selector."""
    if not isinstance(value, str) or len(value) > 2 * MOST_DATA_BYTES + 2 or _HEX_DATA.fullmatch(value) is None:
        raise malformed(what, f"4 to {MOST_DATA_BYTES} bytes")
    return bytes.fromhex(value[2:])


def as_address(value: object, what: str) -> str:
    """An address in whatever letters, with its checksum."""
    if not isinstance(value, str) or not value.startswith("0x") or not is_hex_address(value):
        raise malformed(what, "an address")
    return str(to_checksum_address(value))


def as_contract(value: object, what: str) -> str | None:
    """A token's contract; None for either way to say the chain's own coin."""
    address = as_address(value, what)
    return None if address in (NOBODY, NATIVE) else address


def as_seconds(value: object, what: str) -> int:
    """A duration, rounded up."""
    if isinstance(value, bool) or not isinstance(value, int | Decimal) or not 0 <= value <= _MOST_SECONDS:
        raise malformed(what, "a number of seconds")
    return int(Decimal(value).to_integral_value(ROUND_CEILING))


def as_gas(number: int, what: str) -> int:
    """An estimate of gas that could be in a block."""
    if number > _MOST_GAS:
        raise malformed(what, f"at most {_MOST_GAS}")
    return number


def as_name(value: object, what: str) -> str:
    """A short text that can be shown."""
    text = "".join(letter for letter in as_text(value, what) if letter.isprintable())[:_MOST_TEXT].strip()
    return text or "?"
