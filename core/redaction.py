"""Secrets are taken out of whatever leaves the process as diagnostics: log lines and error reports."""

import math
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache

from pydantic import SecretStr

from core.settings import Settings

HIDDEN = "***"
_SECRET_NAME = re.compile(
    r"authorization|cookie|password|passwd|secret|token|api_?key|private_?key|encryption_?key|mnemonic|seed_?phrase|signature|credential|dsn|variables",
    re.IGNORECASE,
)
_PATTERNS = (
    (re.compile(r"(\b[a-z][a-z0-9+.-]*://)[^/\s@]+@", re.IGNORECASE), rf"\1{HIDDEN}@"),
    (re.compile(r"\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{6,}", re.IGNORECASE), rf"\1 {HIDDEN}"),
    (re.compile(r"\beyJ[\w-]+\.[\w-]+\.[\w-]*"), HIDDEN),
    (re.compile(r"(\b[\w-]*(?:key|token|secret|signature|password)=)[^&\s\"',;]+", re.IGNORECASE), rf"\1{HIDDEN}"),
)
_SUSPICIOUS = re.compile(r"://|=|eyJ|bearer|basic", re.IGNORECASE)
"""Stands in every text that a pattern could change; most have none."""
_SHORTEST_SECRET = 6
_DEEPEST = 20


class Redactor:
    """Replaces known secrets wherever they stand, values under telling names, URL credentials, and tokens, by `***`."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._secrets = tuple(sorted((s for s in secrets if len(s) >= _SHORTEST_SECRET), key=len, reverse=True))

    def clean_fields(self, fields: Mapping[str, object]) -> dict[str, object]:
        """A copy of named values without secrets. Names that begin with `_` are the logging machinery's own and stay as they are."""
        if self._has_none(fields):
            return dict(fields)
        return {
            name: value if name.startswith("_") else HIDDEN if _tells(name) and value is not None else self.clean(value)
            for name, value in fields.items()
        }

    def _has_none(self, fields: Mapping[str, object]) -> bool:
        """Whether these are scalars without a secret, as in nearly every line: their texts are looked through together."""
        texts = []
        for name, value in fields.items():
            if _tells(name):
                return False
            if type(value) is str:
                texts.append(value)
            elif not _is_number(value):
                return False
        together = "\0".join(texts)
        return not (_SUSPICIOUS.search(together) or any(secret in together for secret in self._secrets))

    def clean(self, value: object, depth: int = 0) -> object:
        """A copy without secrets of a value made of mappings, sequences and scalars."""
        if isinstance(value, str):
            return self.text(value)
        if _is_number(value):
            return value
        if isinstance(value, SecretStr | bytes) or depth > _DEEPEST:
            return HIDDEN
        if isinstance(value, Mapping):
            return {
                key: HIDDEN if _tells(str(key)) and item is not None else self.clean(item, depth + 1)
                for key, item in value.items()
            }
        if isinstance(value, list | tuple | set | frozenset):
            return [self.clean(item, depth + 1) for item in value]
        return self.text(str(value))

    def text(self, text: str) -> str:
        """The text without secrets."""
        for secret in self._secrets:
            text = text.replace(secret, HIDDEN)
        if _SUSPICIOUS.search(text):
            for pattern, replacement in _PATTERNS:
                text = pattern.sub(replacement, text)
        return text


def _is_number(value: object) -> bool:
    """Or nothing at all."""
    return value is None or isinstance(value, int) or (isinstance(value, float) and math.isfinite(value))


@lru_cache(maxsize=1024)
def _tells(name: str) -> bool:
    """Whether a value under this name is to be hidden."""
    return _SECRET_NAME.search(name) is not None


def redactor_for(settings: Settings) -> Redactor:
    """A redactor that knows every secret of this configuration."""
    values = (getattr(settings, name) for name in type(settings).model_fields)
    return Redactor(value.get_secret_value() for value in values if isinstance(value, SecretStr))
