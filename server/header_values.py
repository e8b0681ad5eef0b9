"""A request's headers by their names, read in one pass."""

from collections.abc import Iterable

from server.origins import Header


def header_values(headers: Iterable[Header]) -> dict[bytes, str]:
    """The value of each header; those of several of one name joined by commas (RFC 9110, 5.3)."""
    found: dict[bytes, str] = {}
    for name, value in headers:
        text = value.decode("latin-1")
        found[name] = f"{found[name]},{text}" if name in found else text
    return found
