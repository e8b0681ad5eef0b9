"""Passwords that guessing programs try first, and what people trivially make of them.

`common_passwords.txt.gz` holds 46,000 entries, one a line, sorted by code points, in lower case. It joins the common
passwords of zxcvbn (MIT) and of Django (BSD, 3 clauses) with zxcvbn's lists of names and its 10,000 most frequent
English words: of each the part from its first letter to its last if that has four characters or more, and as a whole
what has ten characters or more and is not recognised by such a part.

Four rules recognise a password; 1 and 3 also without what is only added before its first letter and after its last:
1. it is in the list, if need be with letters for the digits and signs that look like them;
2. at least two thirds of it are runs: three or more neighbours of a keyboard or an alphabet, or of one character;
3. it repeats up to five characters, or something common, over and over;
4. it is made of its owner's names, with something common or little at all added.
"""

import gzip
from bisect import bisect_left
from collections.abc import Iterable
from pathlib import Path

FILE = Path(__file__).with_name("common_passwords.txt.gz")
LEAST_WORD = 4
"""Characters of the shortest entries; what is shorter is part of too many good passwords."""
MOST_ADDED = 8
"""A date has as many digits."""
MOST_LETTERS_ADDED = 3
_LONGEST_SYLLABLE = 5
_RUN = 3
_SEQUENCES = (
    *("abcdefghijklmnopqrstuvwxyz", "абвгдеёжзийклмнопрстуфхцчшщъыьэюя", "01234567890"),
    *("qwertyuiop[]", "asdfghjkl;'", "zxcvbnm,./", "!@#$%^&*()_+", "1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik,9ol.0p;/"),
    *("1q2w3e4r5t6y7u8i9o0p", "q1w2e3r4t5y6u7i8o9p0", "qazwsxedcrfvtgbyhnujmik,ol.p;/"),
    *("qwertzuiopü+", "asdfghjklöä#", "yxcvbnm,.-", '!"§$%&/()=', "1qay2wsx3edc"),
    *("azertyuiop", "qsdfghjklm", "wxcvbn,;:!", "йцукенгшщзхъ", "фывапролджэ", "ячсмитьбю."),
)
"""English, German, French and Russian keyboards, read along their rows and down their columns."""
_DISGUISES = {"0": "o", "3": "e", "4": "a", "5": "s", "7": "t", "8": "b", "9": "g", "@": "a", "$": "s", "€": "e"}
_SEPARATORS: dict[str, None] = dict.fromkeys(" ._-")
_UNDISGUISED = tuple(
    str.maketrans({**_DISGUISES, **_SEPARATORS, **dict.fromkeys("1!|", letter)}) for letter in ("i", "l")
)
"""Letters for the digits and signs that look like them; 1 is an i or an l."""


class CommonPasswords:
    """Judges passwords by a list. About 1 ms for a password of a thousand characters, far less for ordinary ones."""

    def __init__(self, entries: bytes) -> None:
        """`entries`: as in the file, unpacked."""
        self._entries = entries
        ways = [way for sequence in _SEQUENCES for way in (sequence, sequence[::-1])]
        self._neighbours = frozenset(way[at : at + _RUN] for way in ways for at in range(len(way) - _RUN + 1))

    @classmethod
    def load(cls) -> "CommonPasswords":
        """With the list of this repository: 400 KB in memory."""
        return cls(gzip.decompress(FILE.read_bytes()))

    def is_common(self, password: str) -> bool:
        """Whether the password (NFKC) is common or a trivial variation of what is."""
        plain = password.casefold()
        stripped = self._stripped(plain)
        return (
            len(self._without_runs(plain)) * 3 <= len(plain)
            or any(map(self._is_known, stripped))
            or any(map(self._is_listed, _undisguised(stripped)))
        )

    def is_made_of(self, password: str, names: Iterable[str]) -> bool:
        """Whether the password (NFKC) is made of these names (lower case), with at most a common word or little else."""
        longest_first = sorted({name for name in names if len(name) >= LEAST_WORD}, key=len, reverse=True)
        stripped = self._stripped(password.casefold())
        for variation in stripped | _undisguised(stripped):
            rest = variation
            for name in longest_first:
                rest = rest.replace(name, "")
            if rest != variation and (self._is_only_added(rest) or self._is_known(rest)):
                return True
        return False

    def _stripped(self, plain: str) -> set[str]:
        """The password as it is, and without what is only added after its last letter, or there and before its first.

        The first way keeps a digit in front that disguises a letter.
        """
        front, word, back = _around_letters(plain)
        found = {plain}
        if self._is_only_added(back):
            found.add(front + word)
        if self._is_only_added(front + back):
            found.add(word)
        return {variation for variation in found if len(variation) >= LEAST_WORD}

    def _is_known(self, text: str) -> bool:
        return self._is_listed(text) or self._repeats(text)

    def _is_only_added(self, text: str) -> bool:
        """Whether a text adds little to a word: a few characters, hardly a letter; runs of any length count nothing."""
        rest = self._without_runs(text)
        return len(rest) <= MOST_ADDED and sum(map(str.isalpha, rest)) <= MOST_LETTERS_ADDED

    def _without_runs(self, text: str) -> str:
        in_run = bytearray(len(text))
        for at in range(len(text) - _RUN + 1):
            part = text[at : at + _RUN]
            if part in self._neighbours or part == part[0] * _RUN:
                in_run[at : at + _RUN] = b"\1" * _RUN
        return "".join(character for character, skipped in zip(text, in_run, strict=True) if not skipped)

    def _repeats(self, text: str) -> bool:
        for length in range(1, len(text) // 2 + 1):
            if text.startswith(text[length:]):
                return length <= _LONGEST_SYLLABLE or self.is_common(text[:length])
        return False

    def _is_listed(self, text: str) -> bool:
        entry = text.encode()
        at = bisect_left(range(len(self._entries)), entry, key=self._line_at)
        return at < len(self._entries) and self._line_at(at) == entry

    def _line_at(self, position: int) -> bytes:
        start = self._entries.rfind(b"\n", 0, position) + 1
        return self._entries[start : self._entries.index(b"\n", position)]


def _undisguised(variations: Iterable[str]) -> set[str]:
    """The same with letters for the digits and signs that look like them, and without separators."""
    return {variation.translate(table) for variation in variations for table in _UNDISGUISED}


def _around_letters(text: str) -> tuple[str, str, str]:
    """What stands before the first letter, from there to the last one, and after it."""
    places = [at for at, character in enumerate(text) if character.isalpha()]
    if not places:
        return text, "", ""
    start, end = places[0], places[-1] + 1
    return text[:start], text[start:end], text[end:]
