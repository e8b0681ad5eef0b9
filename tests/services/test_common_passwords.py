"""What the list and its four rules recognise, and that they leave good passwords alone."""

import random
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.common_passwords import FILE, LEAST_WORD, CommonPasswords

COMMON = CommonPasswords.load()
ENTRIES = COMMON._entries.decode().splitlines()
WORDLIKE = [entry for entry in ENTRIES if entry[-1].isalpha()]
NAMES = ("alice.smith@example.org", "alice.smith", "alice", "smith", "example", "cryptovault")
ORDINARY = """
    anchor basket candle desert engine fabric garden hammer island jacket kettle ladder magnet napkin orange pencil
    quartz rabbit saddle tunnel urgent velvet window yellow zipper bridge copper dancer elbow forest guitar honest
    insect jungle kitten lemon mirror nephew oyster planet quiver ribbon silver timber umbrella violin walnut
    the of and in was is for as on with by he at from his an were are which this not also has or had first one their
"""
WORDS = ORDINARY.split()


@pytest.mark.parametrize(
    "password",
    [
        *("strawberry", "STRAWBERRY", "basketball", "qwerty12345", "1029384756", "q1w2e3r4t5y6", "привет123456"),
        *("password2024!", "Password123456789", "!!Monkey1987", "football24121990", "123dragon456", "summer.2025"),
        *("P@ssw0rd2024", "p455w0rd99", "1l0vey0u!!", "Sh4d0w1999!", "m0nk3y-2019", "pass-word 12", "i love you 22"),
    ],
)
def test_the_list_and_what_is_added_to_it_or_disguised(password: str) -> None:
    assert COMMON.is_common(password)


@pytest.mark.parametrize(
    "password",
    [
        *("aaaaaaaaaa", "aaabbbcccddd", "          ", "qwertyuiop", "poiuytrewq", "1234567890", "0987654321"),
        *("abcdefghij", "jihgfedcba", "abcd1234efgh", "qwertzuiopü", "azertyuiop", "1qaz2wsx3edc", "!@#$%^&*()"),
        *("asdfghjkl;'", "zaq12wsxcde3", "йцукенгшщз", "abcdefgh-12!", "x1234567890", "12345678901234567890"),
    ],
)
def test_runs(password: str) -> None:
    assert COMMON.is_common(password)


@pytest.mark.parametrize(
    "password",
    [
        *("abababababab", "xk7xk7xk7xk7", "hahahahaha", "hahahaha2024", "1212121212", "ab1ab1ab1ab1a"),
        *("passwordpassword", "monkey12monkey12", "P@ssw0rdP@ssw0rd", "dragon dragon dragon"),
    ],
)
def test_repetitions(password: str) -> None:
    assert COMMON.is_common(password)


@pytest.mark.parametrize(
    "password",
    [
        *("alice.smith", "AliceSmith", "smithalice99", "alice24121990", "alice.smith@example.org", "alice@example"),
        *("cryptovault", "CryptoVault1", "crypto-vault!", "Crypt0V4ult", "cryptovaultpassword", "4lice-5mith-1987"),
        *("myalice2024!", "alicealicealice", "smith1234567890"),
    ],
)
def test_the_owners_names(password: str) -> None:
    assert COMMON.is_made_of(password, NAMES)


@pytest.mark.parametrize(
    "password",
    [
        *("correct horse battery staple", "correct horse", "alice likes long trains", "alicex9$Kq2zT", "8391047265"),
        *("photosynthese im Walde", "Donaudampfschiff", "tower-velvet-91", "ich mag 4 Kekse", "monkeydragonqueue"),
        *(
            "my cryptovault key is blue",
            "dragon8472910462",
            "ξυνετοῖσιν ἀείδω",
            "正しい馬の電池の",
            "🐎🔋📎✅🌧🎻🪁🧂🧭🪵",
        ),
    ],
)
def test_good_passwords_are_left_alone(password: str) -> None:
    assert not COMMON.is_common(password)
    assert not COMMON.is_made_of(password, NAMES)


@pytest.mark.parametrize("separator", [" ", "-", ""])
@pytest.mark.parametrize("words", [4, 5])
def test_no_random_passphrase_is_refused(separator: str, words: int) -> None:
    chance = random.Random(words)
    refused = [
        phrase
        for phrase in (separator.join(chance.choices(WORDS, k=words)) for _ in range(200))
        if len(phrase) >= 10 and (COMMON.is_common(phrase) or COMMON.is_made_of(phrase, NAMES))
    ]
    assert refused == []


@pytest.mark.parametrize(
    "alphabet",
    [string.ascii_lowercase, string.ascii_letters + string.digits, string.printable.strip(), string.hexdigits],
)
def test_no_random_string_is_refused(alphabet: str) -> None:
    chance = random.Random(1)
    refused = [
        text
        for text in ("".join(chance.choices(alphabet, k=12 + number % 20)) for number in range(200))
        if COMMON.is_common(text) or COMMON.is_made_of(text, NAMES)
    ]
    assert refused == []


@given(entry=st.sampled_from(WORDLIKE), case=st.randoms(), added=st.from_regex(r"[0-9!?#*&]{0,8}", fullmatch=True))
def test_every_entry_is_recognised_in_any_case_and_with_anything_short_after_it(
    entry: str, case: random.Random, added: str
) -> None:
    password = "".join(case.choice((letter, letter.upper())) for letter in entry)
    assert COMMON.is_common(password + added)


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=300))
def test_it_has_an_answer_for_every_text(text: str) -> None:
    assert COMMON.is_common(text) in {True, False}
    assert COMMON.is_made_of(text, NAMES) in {True, False}


def test_the_file_is_small_and_in_order() -> None:
    assert FILE.stat().st_size < 150_000
    assert sorted(set(ENTRIES)) == ENTRIES
    assert all(len(entry) >= LEAST_WORD and entry == entry.casefold() == entry.strip() for entry in ENTRIES)


@pytest.mark.parametrize("place", [0, 1, len(ENTRIES) // 2, -2, -1])
def test_entries_are_found_at_both_ends_and_nothing_between_them(place: int) -> None:
    assert COMMON._is_listed(ENTRIES[place])
    assert not COMMON._is_listed(ENTRIES[place] + "\n")
    assert not COMMON._is_listed(ENTRIES[place][:-1] + "\x00")


def test_an_empty_list_knows_runs_and_repetitions_only() -> None:
    empty = CommonPasswords(b"")
    assert not empty.is_common("strawberry")
    assert empty.is_common("qwertyuiop")
