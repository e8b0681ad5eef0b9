"""What nodes' words are worth: a law for any answers, and the cases that decide."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from integrations.chains.errors import ChainError, ChainUnavailable, Failure, ProviderFailed
from services.chain_votes import Vote, count_votes

DOWN = ProviderFailed(Failure.UNREACHABLE, "cannot be reached")


@dataclass(frozen=True)
class Named:
    """A block that is nothing but its hash."""

    hash: str


def votes(text: str) -> Vote[Named]:
    """One letter for each node: its block, `-` for none, `!` for no answer."""
    said: dict[str, Named | ChainError | None] = {
        f"node-{number}": DOWN if letter == "!" else None if letter == "-" else Named(letter)
        for number, letter in enumerate(text, start=1)
    }
    return count_votes("ethereum", 7, said)


@pytest.mark.parametrize(
    ("text", "winner", "given_up", "stands"),
    [
        ("a", "a", False, True),
        ("b", "b", True, False),
        ("-", None, False, False),
        ("aa", "a", False, True),
        ("ab", None, False, False),
        ("bb", "b", True, False),
        ("a!", "a", False, False),
        ("b!", "b", False, False),
        ("b-", "b", False, False),
        ("aab", "a", False, False),
        ("abb", "b", True, False),
        ("abc", None, True, False),
        ("aa!", "a", False, True),
        ("bb!", "b", True, False),
        ("ab!", None, False, False),
        ("--!", None, False, False),
    ],
)
def test_what_is_made_of_it(text: str, winner: str | None, given_up: bool, stands: bool) -> None:
    """`a` is ours."""
    vote = votes(text)
    assert (vote.winner.hash if vote.winner else None) == winner
    assert (vote.has_given_up("a"), vote.stands("a")) == (given_up, stands)


@pytest.mark.parametrize(
    ("text", "witnessed"),
    [
        ("a", "a"),
        ("-", None),
        ("aa", "a"),
        ("a-", None),
        ("a!", None),
        ("ab", None),
        ("a--", None),
        ("a-!", None),
        ("ab-", None),
        ("aa-", "a"),
        ("aab", "a"),
        ("aabb", None),
    ],
)
def test_what_is_followed_has_as_many_behind_it_as_it_takes(text: str, witnessed: str | None) -> None:
    block = votes(text).witnessed
    assert (block.hash if block else None) == witnessed


def test_nobody_answers() -> None:
    with pytest.raises(ChainUnavailable, match="node-1: cannot be reached"):
        votes("!!")


@given(st.text(alphabet="ab-!", min_size=2, max_size=7), st.integers(0, 6), st.sampled_from("ab-!"))
def test_where_there_are_two_or_more_no_node_alone_gives_up_what_the_others_have(
    text: str, place: int, said: str
) -> None:
    """Whatever one node says: while none of the others has another block, ours is not given up; and what stands has two behind it."""
    letters = ["a" if letter == "b" else letter for letter in text]
    letters[place % len(letters)] = said
    if set(letters) == {"!"}:
        return
    vote = votes("".join(letters))
    assert not vote.has_given_up("a")
    assert not vote.stands("a") or letters.count("a") >= 2
