"""The languages people are spoken to in: English, which stands in the code, and those of `core/languages/*.json`.

A file maps an English template to the same one in its language, with the same `{names}`. Codes, names of fields and the API's own
descriptions are English everywhere.
"""

import json
from functools import lru_cache
from pathlib import Path

FOLDER = Path(__file__).with_name("languages")
DEFAULT_LOCALE = "en"
_TEXTS: dict[str, dict[str, str]] = {file.stem: json.loads(file.read_text()) for file in sorted(FOLDER.glob("*.json"))}
LOCALES = (DEFAULT_LOCALE, *_TEXTS)
"""BCP 47 codes of the languages there are."""
_LONGEST_HEADER = 500


def translated(text: str, locale: str) -> str:
    """The template in this language, or as it is."""
    return _TEXTS.get(locale, {}).get(text, text)


@lru_cache(maxsize=256)
def accepted_locale(accept_language: str) -> str:
    """The best of our languages for an Accept-Language header (RFC 9110, 12.5.4)."""
    best, best_quality = DEFAULT_LOCALE, 0.0
    for entry in accept_language[:_LONGEST_HEADER].split(","):
        name, *parameters = (part.strip().lower() for part in entry.split(";"))
        locale = name.partition("-")[0]
        quality = _quality(parameters)
        if locale in LOCALES and quality > best_quality:
            best, best_quality = locale, quality
    return best


def _quality(parameters: list[str]) -> float:
    for parameter in parameters:
        key, _, value = parameter.partition("=")
        if key.strip() == "q":
            try:
                return float(value)
            except ValueError:
                return 0.0
    return 1.0
