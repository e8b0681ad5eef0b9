"""What the README tells a newcomer to send is what the API understands."""

import json
import re
from collections.abc import Iterator

import pytest
from graphql import build_schema, parse, validate

from tests.components import ROOT, schema_text

README = (ROOT / "README.md").read_text()
SCHEMA = build_schema(schema_text())
PROSE = re.sub(r"^```.*?^```$", "", README, flags=re.MULTILINE | re.DOTALL)


def documents() -> Iterator[str]:
    """Every GraphQL document: blocks, bodies of curl, what `gql` sends, strings of programs, and what stands in sentences."""
    yield from re.findall(r"^```graphql\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    for body in re.findall(r"-d '(\{.*?\})'$", README, re.MULTILINE | re.DOTALL):
        yield json.loads(body)["query"]
    yield from re.findall(r"\bgql '([^']*)'", README)
    yield from re.findall(r"= '(subscription .*?)'$", README, re.MULTILINE)
    for code in re.findall(r"`([^`]+)`", PROSE):
        if code.startswith(("subscription", "query", "mutation", "{")):
            yield code
        elif re.match(r"\w+\(input: ", code):
            yield f"mutation {{ {code} {{ __typename }} }}"


@pytest.mark.parametrize("document", list(documents()), ids=lambda document: " ".join(document.split())[:40])
def test_documents_are_valid(document: str) -> None:
    assert validate(SCHEMA, parse(document)) == []


def test_none_is_overlooked() -> None:
    found = "\n".join(documents())
    for operation in re.findall(r"\b(?:subscription|query|mutation)\b *(?:\([^)]*\))? *\{\s*\w+", README):
        assert operation in found
    assert README.count("gql ") == len(re.findall(r"\bgql '[^']*'", README))
    for name in (
        "signUp",
        "linkWallet",
        "finishWalletLogIn",
        "broadcastTransaction",
        "requestWithdrawal",
        "depositUpdated",
    ):
        assert name in found
