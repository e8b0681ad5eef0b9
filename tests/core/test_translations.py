"""What people meet is told in their language: every text in the code has its translation, and no translation is left over."""

import ast
import importlib
import inspect
import string
from collections.abc import Iterator
from types import ModuleType

import pytest

from core import translations
from core.errors import RateLimited, TranslatableError
from tests.components import ROOT

FOLDERS = ("core", "graph", "integrations", "resolvers", "server", "services")


def modules() -> Iterator[tuple[ModuleType, ast.Module]]:
    """Every module of ours with its text, but for those that do something when they are imported."""
    for folder in FOLDERS:
        for file in sorted((ROOT / folder).rglob("*.py")):
            parts = file.relative_to(ROOT).with_suffix("").parts
            if parts[-1] not in ("__init__", "__main__", "tether"):
                yield importlib.import_module(".".join(parts)), ast.parse(file.read_text())


def is_translatable(module: ModuleType, called: ast.expr) -> bool:
    """Whether this is called with a text: a translatable error, the constructor of one, or a maker named for it."""
    if isinstance(called, ast.Attribute):
        return called.attr == "__init__"
    known = getattr(module, called.id, None) if isinstance(called, ast.Name) else None
    is_maker = isinstance(called, ast.Name) and called.id == "_unknown"
    return is_maker or (inspect.isclass(known) and issubclass(known, TranslatableError))


def texts() -> set[str]:
    """The English texts: literals given to a translatable error, named `text` to be given to one, or in a table of `_TEXTS`."""
    found = set()
    for module, tree in modules():
        for node in ast.walk(tree):
            literal: ast.expr | None = None
            if isinstance(node, ast.Call) and node.args and is_translatable(module, node.func):
                literal = node.args[0] if not isinstance(node.func, ast.Attribute) or len(node.args) == 2 else None
            elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                literal = node.value if node.targets[0].id == "text" else None
            elif (
                isinstance(node, ast.AnnAssign)
                and isinstance(node.target, ast.Name)
                and node.target.id.endswith("_TEXTS")
            ):
                table = node.value.values if isinstance(node.value, ast.Dict) else []
                found |= {
                    each.value for each in table if isinstance(each, ast.Constant) and isinstance(each.value, str)
                }
            if isinstance(literal, ast.Constant) and isinstance(literal.value, str) and " " in literal.value:
                found.add(literal.value)
    return found


def names(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


@pytest.mark.parametrize("locale", [each for each in translations.LOCALES if each != translations.DEFAULT_LOCALE])
def test_every_text_is_translated_with_the_same_names(locale: str) -> None:
    spoken = translations._TEXTS[locale]
    written = texts()
    assert len(written) > 50
    assert sorted(written - spoken.keys()) == []
    assert sorted(spoken.keys() - written) == []
    assert [text for text, other in spoken.items() if names(text) != names(other)] == []
    assert [text for text, other in spoken.items() if text == other] == []


def test_an_error_keeps_its_code_and_details_in_every_language() -> None:
    error = RateLimited("too many tries; try again in {seconds} s", {"seconds": 7}, retryAfter=7)
    assert error.message == error.message_in("en") == error.message_in("fr") == "too many tries; try again in 7 s"
    assert error.message_in("de") == "zu viele Versuche; in 7 s wieder möglich"
    assert (error.code, error.details) == ("RATE_LIMITED", {"retryAfter": 7})


@pytest.mark.parametrize(
    ("header", "locale"),
    [
        ("", "en"),
        ("de", "de"),
        ("de-AT,de;q=0.9,en;q=0.8", "de"),
        ("en-GB,de;q=0.9", "en"),
        ("fr,de;q=0.5,en;q=0.6", "en"),
        ("DE;q=1", "de"),
        ("de;q=0", "en"),
        ("de;q=x", "en"),
        ("*", "en"),
        (",;q=,de;;q=1", "de"),
    ],
)
def test_the_browser_says_which_language(header: str, locale: str) -> None:
    assert translations.accepted_locale(header) == locale
