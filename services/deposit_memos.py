"""Memos of deposits: ten digits that name an account, the last two of which check the others, so that a slip of the hand names nobody. Pure but for chance."""

import re
from collections.abc import Iterable

from core.ids import random_number

_NUMBERS = 10**8
_MEMO = re.compile(r"[0-9]{10}", re.ASCII)
_BLANKS = re.compile(r"\s+")


def new_memo() -> str:
    """A memo by chance. Whether it is taken already, the database tells."""
    return with_check(random_number(_NUMBERS))


def with_check(number: int) -> str:
    """The memo of a number of eight digits (ISO 7064, MOD 97-10: one wrong digit, or two that were swapped, do not pass)."""
    return f"{number:08}{98 - number * 100 % 97:02}"


def read_memo(texts: Iterable[str]) -> str | None:
    """The memo among the texts of a transaction, blanks left out; None where there is none, or several."""
    found = {plain for text in texts if _is_memo(plain := _BLANKS.sub("", text))}
    return found.pop() if len(found) == 1 else None


def _is_memo(text: str) -> bool:
    return _MEMO.fullmatch(text) is not None and int(text) % 97 == 1
