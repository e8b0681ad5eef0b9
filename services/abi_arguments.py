"""Calls of contracts from JSON, and their results as JSON: strictly, so that nobody signs something other than what they wrote.

A number is a JSON integer or, best of all, a decimal text; bytes are 0x and hexadecimal digits; an array is a list; a tuple is a list, or an object by its
names. Results have the same forms, every integer as a text.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from eth_abi.abi import encode
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from services.abi_types import MOST_COMPONENTS, WORD, AbiInvalid, AbiType, name_of, read_type
from services.wallet_proofs.addresses import is_evm_address

MOST_ENTRIES = 1000
MOST_VALUES = 10_000
"""In the arguments of a call, and in a result; 32 bytes of bytes or text count as one."""
_INTEGER = re.compile(r"-?(0|[1-9][0-9]{0,77})", re.ASCII)
_HEX = re.compile(r"0x([0-9a-fA-F]{2})*", re.ASCII)


@dataclass(frozen=True, slots=True)
class AbiFunction:
    """A function: how it is called and what it answers."""

    signature: str
    inputs: AbiType
    outputs: AbiType
    payable: bool

    @property
    def selector(self) -> bytes:
        """The first four bytes of a call."""
        return keccak(text=self.signature)[:4]


class ResultUnreadable(ValueError):
    """What a contract answered is not what its ABI says."""


def function_of(abi: object, wanted: str) -> AbiFunction:
    """The function of this name, or of this signature where several share a name. Raises AbiInvalid for `abi` or `function`."""
    if not isinstance(abi, list) or len(abi) > MOST_ENTRIES or not all(isinstance(each, dict) for each in abi):
        raise AbiInvalid(
            "expected a contract's ABI: a list of at most {most} objects", {"most": MOST_ENTRIES}, field=["abi"]
        )
    name = wanted.partition("(")[0]
    named = [_function(each) for each in abi if each.get("type", "function") == "function" and each.get("name") == name]
    found = {each.signature: each for each in named}
    chosen = list(found.values()) if wanted == name else [each for each in found.values() if each.signature == wanted]
    if not name or not chosen:
        raise AbiInvalid("the ABI has no such function", field=["function"])
    if len(chosen) > 1:
        known = ", ".join(sorted(found))[:300]
        raise AbiInvalid("there are several; name one by its signature: {known}", {"known": known}, field=["function"])
    return chosen[0]


def call_data(function: AbiFunction, arguments: Sequence[object]) -> bytes:
    """What is sent to the contract. Raises AbiInvalid that names the argument by its path."""
    count = len(function.inputs.parts)
    if len(arguments) != count:
        raise AbiInvalid(
            "{signature} takes {count} arguments",
            {"signature": function.signature, "count": count},
            field=["arguments"],
        )
    budget = _Budget(["arguments"])
    pairs = zip(function.inputs.parts, arguments, strict=True)
    values = [_value(type_, given, ["arguments", str(place)], budget) for place, (type_, given) in enumerate(pairs)]
    return function.selector + encode([part.text for part in function.inputs.parts], values)


def results(function: AbiFunction, answer: bytes) -> list[Any]:
    """What a contract answered, as JSON. Raises ResultUnreadable."""
    return _Reader(answer).frame(function.outputs.parts, 0)


def _function(entry: Mapping[str, object]) -> AbiFunction:
    inputs = _parameters(entry.get("inputs", []))
    outputs = _parameters(entry.get("outputs", []))
    payable = entry.get("stateMutability") == "payable" or entry.get("payable") is True
    return AbiFunction(f"{entry['name']}{inputs.text}", inputs, outputs, payable)


def _parameters(listed: object) -> AbiType:
    if not isinstance(listed, list) or len(listed) > MOST_COMPONENTS:
        raise AbiInvalid(
            "a function's inputs and outputs are lists of at most {most}", {"most": MOST_COMPONENTS}, field=["abi"]
        )
    parts = tuple(read_type(each, ["abi"]) for each in listed)
    text = "(" + ",".join(part.text for part in parts) + ")"
    return AbiType(text, "tuple", parts=parts, names=tuple(name_of(each) for each in listed))


class _Budget:
    """Counts values, so that no small input becomes a large one."""

    def __init__(self, field: Sequence[str]) -> None:
        self._left = MOST_VALUES
        self._field = field

    def spend(self, values: int) -> None:
        self._left -= values
        if self._left < 0:
            raise AbiInvalid("at most {most} values in one call", {"most": MOST_VALUES}, field=self._field)


def _value(type_: AbiType, given: object, path: list[str], budget: _Budget) -> object:
    budget.spend(1)
    match type_.kind:
        case "array" | "tuple":
            return _values(type_, given, path, budget)
        case "uint" | "int":
            return _integer(type_, given, path)
        case "address":
            if isinstance(given, str) and is_evm_address(given):
                return given
            raise AbiInvalid("expected an address: 0x and 40 hexadecimal digits, its checksum right", field=path)
        case "bool":
            if isinstance(given, bool):
                return given
            raise AbiInvalid("expected true or false", field=path)
        case "string":
            return _text(given, path, budget)
        case _:
            return _bytes(type_, given, path, budget)


def _values(type_: AbiType, given: object, path: list[str], budget: _Budget) -> list[object]:
    if type_.kind == "tuple" and isinstance(given, dict):
        if set(given) != set(type_.names) or len(given) != len(type_.names):
            raise AbiInvalid("expected exactly the fields of {type}", {"type": type_.text[:200]}, field=path)
        given = [given[name] for name in type_.names]
    if not isinstance(given, list):
        raise AbiInvalid("expected a list for {type}", {"type": type_.text[:200]}, field=path)
    length = len(type_.parts) if type_.kind == "tuple" else type_.length
    if length is not None and len(given) != length:
        raise AbiInvalid("expected {count} values for {type}", {"count": length, "type": type_.text[:200]}, field=path)
    parts = type_.parts if type_.kind == "tuple" else type_.parts * len(given)
    pairs = enumerate(zip(parts, given, strict=True))
    return [_value(part, each, [*path, str(place)], budget) for place, (part, each) in pairs]


def _integer(type_: AbiType, given: object, path: list[str]) -> int:
    is_text = isinstance(given, str) and _INTEGER.fullmatch(given) is not None
    if isinstance(given, bool) or not (is_text or isinstance(given, int)):
        raise AbiInvalid('expected an integer, such as "1000000", for {type}', {"type": type_.text}, field=path)
    number = int(given) if isinstance(given, str | int) else 0
    low, high = bounds(type_)
    if not low <= number <= high:
        raise AbiInvalid("the number does not fit into {type}", {"type": type_.text}, field=path)
    return number


def bounds(type_: AbiType) -> tuple[int, int]:
    """The lowest and the highest integer of a number's type."""
    half: int = 2 ** (type_.bits - 1)
    return (0, 2 * half - 1) if type_.kind == "uint" else (-half, half - 1)


def _text(given: object, path: list[str], budget: _Budget) -> str:
    if not isinstance(given, str):
        raise AbiInvalid("expected a text", field=path)
    try:
        budget.spend(len(given.encode()) // WORD)
    except UnicodeEncodeError:
        raise AbiInvalid("the text is no Unicode", field=path) from None
    return given


def _bytes(type_: AbiType, given: object, path: list[str], budget: _Budget) -> bytes:
    if not isinstance(given, str) or _HEX.fullmatch(given) is None:
        raise AbiInvalid("expected 0x and pairs of hexadecimal digits for {type}", {"type": type_.text}, field=path)
    raw = bytes.fromhex(given[2:])
    if type_.length is not None and len(raw) != type_.length:
        raise AbiInvalid(
            "expected exactly {count} bytes for {type}", {"count": type_.length, "type": type_.text}, field=path
        )
    budget.spend(len(raw) // WORD)
    return raw


class _Reader:
    """Reads an answer. Its budget stops answers whose parts point at each other to become endlessly large."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._left = MOST_VALUES

    def frame(self, types: Sequence[AbiType], base: int) -> list[Any]:
        """Values that are listed from `base` on."""
        found, head = [], base
        for type_ in types:
            found.append(self._one(type_, base + self._number(head) if type_.is_dynamic else head))
            head += type_.size
        return found

    def _one(self, type_: AbiType, at: int) -> Any:
        self._spend(1)
        match type_.kind:
            case "array":
                return self._array(type_, at)
            case "tuple":
                return self._tuple(type_, at)
            case "bytes" | "string":
                raw = self._run(at)
                return "0x" + raw.hex() if type_.kind == "bytes" else raw.decode(errors="replace")
            case "uint" | "int":
                return str(self._integer(type_, at))
            case _:
                return self._plain(type_, self._slice(at, WORD))

    def _array(self, type_: AbiType, at: int) -> list[Any]:
        length = type_.length
        if length is None:
            length, at = self._number(at), at + WORD
        if length > self._left:
            raise ResultUnreadable("there are too many values")
        return self.frame(type_.parts * length, at)

    def _tuple(self, type_: AbiType, at: int) -> list[Any] | dict[str, Any]:
        values = self.frame(type_.parts, at)
        has_names = all(type_.names) and len(set(type_.names)) == len(values)
        return dict(zip(type_.names, values, strict=True)) if has_names else values

    def _plain(self, type_: AbiType, word: bytes) -> Any:
        if type_.kind == "address" and not any(word[:12]):
            return to_checksum_address(word[12:])
        if type_.kind == "bool" and not any(word[:31]) and word[31] <= 1:
            return word[31] == 1
        if type_.kind == "fixed" and not any(word[type_.length :]):
            return "0x" + word[: type_.length].hex()
        raise ResultUnreadable(f"a value is no {type_.text}")

    def _integer(self, type_: AbiType, at: int) -> int:
        number = int.from_bytes(self._slice(at, WORD), "big", signed=type_.kind == "int")
        low, high = bounds(type_)
        if not low <= number <= high:
            raise ResultUnreadable(f"a value is no {type_.text}")
        return number

    def _number(self, at: int) -> int:
        number = int.from_bytes(self._slice(at, WORD), "big")
        if number > len(self._data):
            raise ResultUnreadable("a part lies outside of the answer")
        return number

    def _run(self, at: int) -> bytes:
        length = self._number(at)
        self._spend(length // WORD)
        return self._slice(at + WORD, length)

    def _slice(self, at: int, length: int) -> bytes:
        found = self._data[at : at + length]
        if len(found) != length:
            raise ResultUnreadable("the answer is too short")
        return found

    def _spend(self, values: int) -> None:
        self._left -= values
        if self._left < 0:
            raise ResultUnreadable("there are too many values")
