"""Calls of contracts from JSON, and their results as JSON."""

from contextlib import suppress
from typing import Any

import pytest
from eth_abi.abi import decode, encode
from hypothesis import given, settings
from hypothesis import strategies as st

from core.wallet_vocabulary import WalletErrorCode
from services.abi_arguments import AbiFunction, ResultUnreadable, call_data, function_of, results
from services.abi_types import AbiInvalid
from tests.evm import FRIEND, calldata

ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=70),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)
PAIR = {"type": "tuple", "components": [{"name": "who", "type": "address"}, {"name": "much", "type": "int128"}]}


def function(*types: object, outputs: tuple[object, ...] = ()) -> AbiFunction:
    def parameters(listed: tuple[object, ...]) -> list[object]:
        return [{"type": each} if isinstance(each, str) else each for each in listed]

    entry = {"type": "function", "name": "f", "inputs": parameters(types), "outputs": parameters(outputs)}
    return function_of([entry], "f")


def test_a_call_is_what_other_encoders_make_of_it() -> None:
    assert call_data(function("address", "uint256"), [FRIEND, "5"]) == calldata("f(address,uint256)", FRIEND, 5)
    values = [[{"who": FRIEND, "much": "-7"}, [FRIEND.lower(), 8]], "0x0102", "ä", [True, False]]
    data = call_data(function({**PAIR, "type": "tuple[]"}, "bytes", "string", "bool[2]"), values)
    pairs, raw, text, flags = decode(["(address,int128)[]", "bytes", "string", "bool[2]"], data[4:])
    assert pairs == ((FRIEND.lower(), -7), (FRIEND.lower(), 8))
    assert (raw, text, flags) == (b"\1\2", "ä", (True, False))


@pytest.mark.parametrize(
    ("type_", "value"),
    [
        *(("uint8", each) for each in (256, -1, "256", "1e2", " 1", "01", "0x1", True, 1.0, None, "9" * 90)),
        *(("int8", each) for each in (128, -129, "-0128")),
        *(("address", each) for each in (FRIEND[:-1], FRIEND.swapcase(), FRIEND.upper(), 5, FRIEND[2:])),
        *(("bytes4", each) for each in ("0x", "0x0102030405", "01020304", "0x0102030g", [1, 2, 3, 4])),
        *(("bool", each) for each in (1, 0, "true", None)),
        *(("string", each) for each in (5, "\ud800", None)),
        *(("uint8[2]", each) for each in ([1], [1, 2, 3], "12", {"0": 1, "1": 2}, [1, 256])),
        *((PAIR, each) for each in ({"who": FRIEND}, {"who": FRIEND, "much": 1, "x": 1}, [FRIEND], FRIEND)),
        ("uint8[]", [1] * 10_001),
    ],
)
def test_arguments_that_do_not_fit_are_named(type_: object, value: object) -> None:
    with pytest.raises(AbiInvalid) as refused:
        call_data(function(type_), [value])
    assert refused.value.reason is WalletErrorCode.ABI_INVALID
    assert refused.value.field is not None
    assert refused.value.field[0] == "arguments"


@pytest.mark.parametrize(
    "type_", ["uint", "uint257", "uint7", "bytes33", "bytes0", "uint8[0]", "function", "", "tuple", "uint8" + "[]" * 8]
)
def test_types_that_there_are_not_are_refused(type_: str) -> None:
    if type_ == "uint":
        assert function(type_).signature == "f(uint256)"
        return
    with pytest.raises(AbiInvalid) as refused:
        function(type_)
    assert refused.value.field == ["abi"]


def test_of_functions_that_share_a_name_one_is_named_by_its_signature() -> None:
    abi = [{"name": "f", "inputs": [{"type": type_}]} for type_ in ("uint256", "address")]
    with pytest.raises(AbiInvalid, match=r"f\(address\), f\(uint256\)"):
        function_of(abi, "f")
    assert function_of(abi, "f(address)").signature == "f(address)"


@given(ANY_JSON, st.text(max_size=20), st.lists(ANY_JSON, max_size=3))
def test_whatever_is_given_for_an_abi_is_refused_by_code(abi: object, name: str, arguments: list[object]) -> None:
    for candidate in (abi, [abi], [{"name": name, "inputs": abi}], [{"name": name, "inputs": [{"type": abi}]}]):
        with suppress(AbiInvalid):
            call_data(function_of(candidate, name), arguments)


@given(ANY_JSON)
def test_whatever_is_given_for_an_argument_is_encoded_or_refused(value: object) -> None:
    for type_ in ("uint256", "int8", "address", "bool", "bytes", "bytes32", "string", "uint8[]", "string[2]", PAIR):
        called = function(type_)
        try:
            data = call_data(called, [value])
        except AbiInvalid:
            continue
        assert decode([called.inputs.parts[0].text], data[4:])


@given(
    st.lists(st.tuples(st.integers(-(2**127), 2**127 - 1), st.binary(max_size=70), st.text(max_size=20)), max_size=5)
)
def test_results_are_what_other_decoders_read(values: list[tuple[int, bytes, str]]) -> None:
    part = {"type": "tuple[]", "components": [{"type": "int128"}, {"type": "bytes"}, {"type": "string"}]}
    answer = encode(["(int128,bytes,string)[]"], [values])
    assert results(function(outputs=(part,)), answer) == [
        [[str(number), "0x" + raw.hex(), text] for number, raw, text in values]
    ]


@settings(max_examples=300)
@given(st.binary(max_size=400))
def test_any_answer_is_read_or_refused(answer: bytes) -> None:
    called = function(outputs=("uint8", "bytes[]", {**PAIR, "type": "tuple[2]"}, "string"))
    try:
        read: list[Any] = results(called, answer)
    except ResultUnreadable:
        return
    assert len(read) == 4


def test_an_answer_whose_parts_point_at_each_other_does_not_grow_without_end() -> None:
    count = 40
    level = count.to_bytes(32, "big") + (32 * count).to_bytes(32, "big") * count
    answer = (32).to_bytes(32, "big") + level * 4 + bytes(32)
    with pytest.raises(ResultUnreadable):
        results(function(outputs=("uint8" + "[]" * 5,)), answer)
