"""What the README tells a newcomer to send is what the API understands."""

import json
import re
from collections.abc import Iterator

import pytest
from graphql import build_schema, parse, validate

from tests.components import ROOT, schema_text

README = (ROOT / "README.md").read_text()


def documents() -> Iterator[str]:
    """Every GraphQL document of the README: its own blocks, bodies of curl commands, and strings of programs."""
    yield from re.findall(r"^```graphql\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    for body in re.findall(r"-d '(\{.*?\})'$", README, re.MULTILINE | re.DOTALL):
        yield json.loads(body)["query"]
    yield from re.findall(r"= '(subscription .*?)'$", README, re.MULTILINE)


@pytest.mark.parametrize("document", list(documents()), ids=lambda document: " ".join(document.split())[:40])
def test_documents_are_valid(document: str) -> None:
    assert validate(build_schema(schema_text()), parse(document)) == []


def test_the_tour_has_queries_and_a_subscription() -> None:
    assert len(list(documents())) >= 5
    assert any(document.startswith("subscription") for document in documents())
