"""Types of contracts' arguments and results, as a JSON ABI names them (Solidity's documentation, "Contract ABI Specification")."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from core.refusals import WalletRefused
from core.wallet_vocabulary import WalletErrorCode

MOST_DEPTH = 6
MOST_COMPONENTS = 64
MOST_LENGTH = 1024
WORD = 32
_ARRAY = re.compile(r"(.+)\[([1-9][0-9]{0,3})?\]", re.ASCII)
_NUMBER = re.compile(r"(u?int)([1-9][0-9]{0,2})?", re.ASCII)
_BYTES = re.compile(r"bytes([1-9][0-9]?)", re.ASCII)
LONGEST_NAME = 128


class AbiInvalid(WalletRefused):
    """An ABI, a function or an argument that does not fit. `field` is the path below `input`."""

    def __init__(self, text: str, values: Mapping[str, str | int] | None = None, *, field: Sequence[str]) -> None:
        super().__init__(text, values, reason=WalletErrorCode.ABI_INVALID, field=field)


@dataclass(frozen=True, slots=True)
class AbiType:
    """`text` is the canonical spelling. `kind`: uint, int, address, bool, fixed (bytesN), bytes, string, array or tuple.

    `bits` of numbers; `length` of bytesN and of arrays with one (None: any); `names` of a tuple's `parts`; an array's one part is its item.
    """

    text: str
    kind: str
    bits: int = 0
    length: int | None = None
    parts: tuple["AbiType", ...] = ()
    names: tuple[str, ...] = ()

    @property
    def is_dynamic(self) -> bool:
        """Whether it stands apart from where it is listed."""
        if self.kind == "array":
            return self.length is None or self.parts[0].is_dynamic
        return self.kind in ("bytes", "string") or any(part.is_dynamic for part in self.parts)

    @property
    def size(self) -> int:
        """Bytes where it is listed."""
        if self.is_dynamic:
            return WORD
        if self.kind == "array":
            return (self.length or 0) * self.parts[0].size
        return sum(part.size for part in self.parts) if self.kind == "tuple" else WORD


def read_type(parameter: object, field: Sequence[str], depth: int = 0) -> AbiType:
    """The type of an ABI's parameter. Raises AbiInvalid."""
    if not isinstance(parameter, dict) or not isinstance(parameter.get("type"), str):
        raise AbiInvalid("a parameter of an ABI is an object with a `type`", field=field)
    return _read(parameter["type"], parameter, field, depth)


def name_of(parameter: Mapping[str, object]) -> str:
    """What a parameter is called; empty without a name."""
    name = parameter.get("name")
    return name if isinstance(name, str) and len(name) <= LONGEST_NAME else ""


def _read(text: str, parameter: Mapping[str, object], field: Sequence[str], depth: int) -> AbiType:
    if depth > MOST_DEPTH:
        raise AbiInvalid("types are nested too deeply; at most {most} levels", {"most": MOST_DEPTH}, field=field)
    array = _ARRAY.fullmatch(text) if len(text) <= LONGEST_NAME else None
    if array is not None:
        length = None if array[2] is None else int(array[2])
        if length is not None and length > MOST_LENGTH:
            raise AbiInvalid("an array has at most {most} items", {"most": MOST_LENGTH}, field=field)
        item = _read(array[1], parameter, field, depth + 1)
        return AbiType(f"{item.text}[{array[2] or ''}]", "array", length=length, parts=(item,))
    if text == "tuple":
        return _tuple(parameter, field, depth)
    if text in ("address", "bool", "bytes", "string"):
        return AbiType(text, text)
    found = _plain(text)
    if found is None:
        raise AbiInvalid("there is no ABI type {given}", {"given": text[:40]}, field=field)
    return found


def _plain(text: str) -> AbiType | None:
    number = _NUMBER.fullmatch(text)
    if number is not None:
        bits = int(number[2] or 256)
        return AbiType(f"{number[1]}{bits}", number[1], bits=bits) if bits % 8 == 0 and 8 <= bits <= 256 else None
    fixed = _BYTES.fullmatch(text)
    if fixed is not None and int(fixed[1]) <= WORD:
        return AbiType(text, "fixed", length=int(fixed[1]))
    return None


def _tuple(parameter: Mapping[str, object], field: Sequence[str], depth: int) -> AbiType:
    components = parameter.get("components")
    if not isinstance(components, list) or not 0 < len(components) <= MOST_COMPONENTS:
        raise AbiInvalid("a tuple has 1 to {most} `components`", {"most": MOST_COMPONENTS}, field=field)
    parts = tuple(read_type(each, field, depth + 1) for each in components)
    names = tuple(name_of(each) for each in components)
    return AbiType("(" + ",".join(part.text for part in parts) + ")", "tuple", parts=parts, names=names)
