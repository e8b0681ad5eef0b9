"""What a document may be: each limit by table, and documents made to hang."""

import contextlib
import time

import pytest
from graphql import get_introspection_query
from hypothesis import given, settings
from hypothesis import strategies as st

from graph.documents import Documents
from graph.errors import RequestRefused
from graph.limits import DocumentLimits, DocumentRefused, parse_document
from tests.graph.sample import build_schema

LIMITS = DocumentLimits()
GRAPHIQL_INTROSPECTION = get_introspection_query(
    specified_by_url=True,
    directive_is_repeatable=True,
    schema_description=True,
    input_value_deprecation=True,
    one_of=True,
)


def nested(levels: int, name: str = "self") -> str:
    """A document of this many levels of fields."""
    return "{" + f"{name} {{" * (levels - 1) + "symbol" + "}" * levels


def doubling(levels: int, body: str) -> str:
    """Fragments of which each spreads the next twice; `body` stands in the last."""
    fragments = "".join(
        f"fragment f{level} on Market {{ a: self {{ ...f{level + 1} }} self {{ ...f{level + 1} }} }} "
        for level in range(levels)
    )
    return f'{{ market(symbol: "A") {{ ...f0 }} }} {fragments} fragment f{levels} on Market {{ {body} }}'


def code_of(text: str) -> str:
    """The code a document is refused with."""
    started = time.process_time()
    with pytest.raises(DocumentRefused) as refused:
        parse_document(text, LIMITS)
    assert time.process_time() - started < 1
    assert refused.value.details["limit"]
    return refused.value.code


@pytest.mark.parametrize(
    "text",
    [
        nested(12),
        "{" + " ".join(f"a{index}: symbol" for index in range(15)) + "}",
        "{ symbol " + "@include(if: true) " * 50 + "}",
        "{" + " ".join(f"field{index}" for index in range(50)) + "}",
        "{" + "symbol " * 21 + "}",
        "{" + " ".join(f"f{index}" for index in range(49)) + " a { " + " ".join(f"g{i}" for i in range(944)) + "}}",
        "#\n" * 1_000 + "{ symbol }",
        get_introspection_query(),
        GRAPHIQL_INTROSPECTION,
        "query A { a: symbol } query B { b: symbol }",
    ],
    ids=lambda text: text[:30],
)
def test_documents_at_a_limit_pass(text: str) -> None:
    parse_document(text, LIMITS)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (nested(13), "DEPTH_LIMIT"),
        (nested(199), "DEPTH_LIMIT"),
        ("{" + "...{" * 60 + "symbol" + "}" * 61, "DEPTH_LIMIT"),
        ('{ market { ...f } } fragment f on Market { self { ...g } } fragment g on Market ' + nested(12), "DEPTH_LIMIT"),
        ("query A " + nested(3) + " query B " + nested(13), "DEPTH_LIMIT"),
        ("{ __schema " + nested(21, "ofType") + "}", "DEPTH_LIMIT"),
        ("{" + " ".join(f"a{index}: symbol" for index in range(16)) + "}", "ALIAS_LIMIT"),
        ("{" + "...f " * 4 + "} fragment f on Query { a: b c: d e: f g: h }", "ALIAS_LIMIT"),
        ("query A { " + "...f " * 2 + "} query B { " + "...f " * 2 + "} fragment f on Query { a: b c: d e: f g: h }", "ALIAS_LIMIT"),
        (doubling(11, "symbol"), "DEPTH_LIMIT"),
        (doubling(8, "symbol"), "ALIAS_LIMIT"),
        ("{ symbol " + "@include(if: true) " * 51 + "}", "DIRECTIVE_LIMIT"),
        ("query " + "@x " * 51 + "{ symbol }", "DIRECTIVE_LIMIT"),
        ("{ ...f ...f } fragment f on Query { symbol " + "@x " * 26 + "}", "DIRECTIVE_LIMIT"),
        ("{" + " ".join(f"field{index}" for index in range(51)) + "}", "ROOT_FIELD_LIMIT"),
        ("{ ...f ...f } fragment f on Query {" + " ".join(f"field{index}" for index in range(26)) + "}", "ROOT_FIELD_LIMIT"),
        ("{" + "symbol " * 22 + "}", "REPEATED_FIELD_LIMIT"),
        ("{ market {" + "symbol " * 300 + "} }", "REPEATED_FIELD_LIMIT"),
        ("{ symbol } fragment unused on Market {" + "self { symbol } " * 200 + "}", "REPEATED_FIELD_LIMIT"),
        ("{" + " ".join(f"f{index}" for index in range(999)) + "}", "DOCUMENT_TOO_LONG"),
        ("{" + "symbol " * 3_000 + "}", "DOCUMENT_TOO_LONG"),
        ("#\n" * 1_001 + "{ symbol }", "DOCUMENT_TOO_LONG"),
        ("{ symbol }" + " " * 40_000, "DOCUMENT_TOO_LONG"),
        ('{ market(symbol: "' + "x" * 200_000 + '") { symbol } }', "DOCUMENT_TOO_LONG"),
    ],
    ids=lambda text: text[:30],
)  # fmt: skip
def test_documents_beyond_a_limit_are_refused_at_once(text: str, code: str) -> None:
    assert code_of(text) == code


def test_30_levels_of_doubling_fragments_are_refused_at_once() -> None:
    same_level = "".join(f"fragment f{n} on Market {{ ...f{n + 1} ...f{n + 1} }} " for n in range(30))
    text = f'{{ market(symbol: "A") {{ ...f0 }} }} {same_level} fragment f30 on Market {{ a: symbol }}'
    assert code_of(text) == "ALIAS_LIMIT"


@pytest.mark.parametrize(
    "text",
    [
        "{ ...f } fragment f on Query { ...f }",
        "{ ...f } fragment f on Query { sequence ...g } fragment g on Query { ...f }",
        "{ market(symbol: \"A\") { ...f } } fragment f on Market { self { ...f } }",
        "{ sequence } " + "".join(f"fragment f{n} on Query {{ ...f{(n + 1) % 40} }} " for n in range(40)),
        "".join(f"fragment f{n} on Market {{ ...f{n + 1} ...f{n + 1} }} " for n in range(30)) + "{ sequence }",
        "{ __schema { types { fields { type { fields { type { fields { name } } } } } } } }",
        "{ required(number: " + "9" * 5_000 + ") }",
        "{ " + " ".join(f"nothing{n}" for n in range(49)) + " }",
        "query (" + " ".join(f"$v{n}: Int" for n in range(200)) + ") { sequence }",
        "{ market(" + " ".join(f"a{n}: 1" for n in range(300)) + ") { symbol } }",
        "{ nodes(ids: [" + "{a: " * 150 + "1" + "}" * 150 + "]) { symbol } }",
        "{ market(symbol: \"A\") {" + " ".join("...f" + str(n) for n in range(60)) + "} }"
        + "".join(f"fragment f{n} on Market {{ self {{ symbol }} }} " for n in range(60)),
        "type Query { a: Int }",
        "{ sequence } extend type Query { a: Int }",
    ],
    ids=lambda text: text[:40],
)  # fmt: skip
def test_validation_never_hangs_or_breaks(text: str) -> None:
    documents = Documents(build_schema(), LIMITS, suggestions=False)
    started = time.process_time()
    with contextlib.suppress(RequestRefused):
        documents.read(text)
    assert time.process_time() - started < 1


def test_introspection_passes_validation() -> None:
    documents = Documents(build_schema(), LIMITS, suggestions=False)
    for query in (get_introspection_query(), GRAPHIQL_INTROSPECTION):
        assert documents.read(query).operation("IntrospectionQuery")


@pytest.mark.parametrize("suggestions", [False, True])
def test_suggestions_follow_the_setting(suggestions: bool) -> None:
    documents = Documents(build_schema(), LIMITS, suggestions=suggestions)
    messages = []
    for text in ("{ sequenc }", "{ market(symbl: 1) { symbol } }", "{ ... on Markt { symbol } }"):
        with pytest.raises(RequestRefused) as refused:
            documents.read(text)
        messages += [str(error) for error in refused.value.errors]
    assert any("Did you mean" in message for message in messages) is suggestions


def test_documents_are_read_once_and_the_oldest_are_forgotten() -> None:
    documents = Documents(build_schema(), LIMITS, suggestions=False)
    first = documents.read("{ sequence }")
    assert documents.read("{ sequence }") is first
    for number in range(10):
        documents.read("{ sequence }" + " " * (20_000 + number))
    assert documents.read("{ sequence }") is not first


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            ["{", "}", "a", "...", "on", "(", ")", ":", "$", "@", "[", "]", "!", '"x"', "1", "fragment", "query", "..."]
        ),
        max_size=80,
    )
)
def test_any_sequence_of_tokens_is_read_or_refused(tokens: list[str]) -> None:
    documents = Documents(build_schema(), LIMITS, suggestions=False)
    with contextlib.suppress(RequestRefused):
        documents.read(" ".join(tokens))
