"""The changes of an account's transfers as a stream: what is now, then every state one takes on, read from the log; none is skipped and none told twice."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import TypeVar

from core.bus import Bus, BusMessage
from events.transfer import DepositState, TransferLogged, WithdrawalState, transfers_topic
from models import transfer_event
from models.transfer_event import TransferEventDocument
from services.trading_accounts import ReadMarks
from services.transfer_log import read_payload

State = TypeVar("State", DepositState, WithdrawalState)
_AT_ONCE = 100


async def follow(account: str, after: int, bus: Bus) -> AsyncGenerator[TransferEventDocument, None]:
    """Rows of the account's log after a number, as they are added. It is read at the reader's pace; messages of the bus are hints alone."""
    async with bus.subscribe(transfers_topic(account)) as subscription:
        seen = after
        told = aiter(subscription)
        while True:
            while rows := await transfer_event.between(account, seen + 1, seen + 1 + _AT_ONCE):
                for row in rows:
                    seen = row.number
                    yield row
            item = await anext(told, None)
            while isinstance(item, BusMessage) and _is_known(item.event, seen):
                item = await anext(told, None)
            if item is None:
                return


async def changes_of(
    account: str, kind: type[State], bus: Bus, now: Callable[[], Awaitable[list[State]]]
) -> AsyncGenerator[State, None]:
    """What `now` gives, then every later state of this kind."""
    start = await transfer_event.newest(account)
    shown: dict[str, int] = {}
    for state in await now():
        shown[state.id] = state.version
        yield state
    async with aclosing(follow(account, start, bus)) as rows:
        async for row in rows:
            changed = read_payload(row.payload)
            if isinstance(changed, kind) and changed.version > shown.get(changed.id, 0):
                yield changed


async def shown(marks: ReadMarks, state: DepositState | WithdrawalState) -> None:
    """Returns when the documents hold what a state tells of the ledger, or after a moment: then whoever reads next waits for them."""
    if isinstance(state, DepositState) and state.sequence:
        marks.raise_to(state.account, state.sequence)
        await marks.wait(state.account, state.sequence)


def _is_known(event: object, seen: int) -> bool:
    return isinstance(event, TransferLogged) and event.number <= seen
