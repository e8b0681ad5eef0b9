"""Reading what trading did to an account from storage: its log, whose events are numbered from 1 without a gap."""

from collections.abc import AsyncGenerator

from events import codec
from events.trading import AccountLogged, Logged, in_order
from models.packs import MOST_IN_PACK, AccountLogDocument, overlapping


async def between(account: str, low: int, high: int) -> list[Logged]:
    """The account's events with low <= number < high, in order; the caller keeps the range narrow. Missing ones are not written yet."""
    found: dict[int, Logged] = {}
    for pack in await overlapping(AccountLogDocument, account, low, high):
        for event in in_order(_logged(pack.payload)):
            if low <= event.number < high:
                found[event.number] = event
    return [found[number] for number in sorted(found)]


async def following(account: str, after: int, through: int) -> AsyncGenerator[Logged, None]:
    """The account's events after < number <= through, in order, as far as they are written without a gap."""
    while after < through:
        events = await between(account, after + 1, min(after + MOST_IN_PACK, through) + 1)
        for event in events:
            if event.number != after + 1:
                return
            after = event.number
            yield event
        if not events:
            return


async def number_at(account: str, sequence: int, newest: int) -> int:
    """The number, at most, of the first event at or after this sequence of the journal: a few numbers early, never late."""
    low, high = 1, newest + 1
    while high - low > MOST_IN_PACK:
        middle = (low + high) // 2
        packs = await overlapping(AccountLogDocument, account, middle, middle + 1)
        if packs and _logged(packs[0].payload).sequence < sequence:
            low = middle
        else:
            high = middle
    return low


def _logged(payload: bytes) -> AccountLogged:
    event = codec.decode(payload)
    if not isinstance(event, AccountLogged):
        raise TypeError(f"an account's log holds {type(event).__name__}")
    return event
