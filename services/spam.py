"""Whether a token's own words are bait: most of what is sent to strangers unasked wants to lead them to a page, or looks like a coin it is not.

A symbol is compared in its skeleton: what a reader sees, whichever letters of whichever script draw it (after Unicode TS 39, section 4).
"""

import re
import unicodedata
from collections.abc import Iterable

LONGEST_SYMBOL, LONGEST_NAME = 24, 64
_LINK = re.compile(
    r"https?:|www\.|\bt\.me\b|telegram|discord|"
    r"[a-z0-9-]\s*[.\u3002\uff0e]\s*(com|org|net|io|xyz|app|site|top|online|info|pro|vip|club|gift|finance|live|link|claims?|fi|me|cc|gg|us|co|lol|fun|cash|events?|network|eth|dev|run|art|world|space|website|pw|ru|cn|to)\b",
    re.IGNORECASE,
)
_BAIT = re.compile(
    r"\b(claim|claims|claimable|airdrop|reward|rewards|bonus|voucher|giveaway|redeem|visit|eligible|winner|free\s*mint)\b",
    re.IGNORECASE,
)
_MONEY = re.compile(r"[$\u20ac\u00a3]\s*\d|\d\s*[$\u20ac\u00a3]")
_LOOKS_LIKE = str.maketrans(
    {
        **dict(zip("\u0430\u0432\u0435\u043a\u043c\u043d\u043e\u0440\u0441\u0442\u0443\u0445\u0456\u0458\u0455\u0501\u051b\u051d\u04bb\u0491", "abekmhopctyxijsdqwhr", strict=True)),
        **dict(zip("\u03b1\u03b2\u03b5\u03b6\u03b7\u03b9\u03ba\u03bc\u03bd\u03bf\u03c1\u03c4\u03c5\u03c7", "abezhikmnoptyx", strict=True)),
        "\u0131": "i",
        "0": "o",
        "1": "l",
        "i": "l",
        "|": "l",
        "5": "s",
        "$": "s",
        "\u20ae": "t",
    }
)  # fmt: skip
"""Letters that look like Latin ones: Cyrillic, Greek, and signs."""


def is_spam(symbol: str, name: str, known_symbols: Iterable[str] = ()) -> bool:
    """Whether the words of a token that nobody vouches for are bait. `known_symbols`: those of the tokens that this one is not."""
    if not symbol.strip() or len(symbol) > LONGEST_SYMBOL or len(name) > LONGEST_NAME:
        return True
    texts = (symbol, name)
    if any(_hides_something(text) or _LINK.search(text) or _BAIT.search(text) or _MONEY.search(text) for text in texts):
        return True
    return skeleton(symbol) in {skeleton(known) for known in known_symbols}


def skeleton(text: str) -> str:
    """The text as a hasty reader sees it: lower case, without marks and blanks, look-alikes replaced."""
    plain = unicodedata.normalize("NFKD", text).casefold()
    seen = "".join(each for each in plain if unicodedata.category(each)[0] not in "MCZ")
    return seen.translate(_LOOKS_LIKE)


def printable(text: str, longest: int) -> str:
    """The text in one line, what cannot be seen left out, and cut."""
    shown = "".join(each if each.isprintable() else " " for each in text)
    return " ".join(shown.split())[:longest]


def _hides_something(text: str) -> bool:
    """Control, format and private characters: direction marks, zero-width joiners and the like."""
    return any(unicodedata.category(each) in ("Cc", "Cf", "Co", "Cs") for each in text)
