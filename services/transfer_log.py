"""Changing a deposit or withdrawal, and telling its owner: one transaction changes the row and adds what it became to the account's log."""

from collections.abc import Awaitable, Callable

from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.errors import PyMongoError

from core.bus import Bus
from events import codec
from events.transfer import DepositState, TransferLogged, WithdrawalState, transfers_topic
from models import transfer_event
from models.base import transaction
from models.transfer_event import TransferEventDocument

Change = Callable[[AsyncClientSession], Awaitable[bool]]
_TRIES = 8
_TRANSIENT = "TransientTransactionError"


class TransferLog:
    """One per process."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def commit(self, change: Change, becomes: DepositState | WithdrawalState, time_ms: int) -> bool:
        """Make a change and log what it leads to, or neither. False when the change did not take place. Raises PyMongoError."""
        number = await self._tried(change, becomes, time_ms)
        if number:
            self._bus.publish(transfers_topic(becomes.account), TransferLogged(becomes.account, number))
        return number > 0

    def tell(self, topic: str, hint: TransferLogged) -> None:
        """Publish a hint about what was logged otherwise."""
        self._bus.publish(topic, hint)

    async def _tried(self, change: Change, becomes: DepositState | WithdrawalState, time_ms: int) -> int:
        tries = 0
        while True:
            tries += 1
            try:
                return await self._once(change, becomes, time_ms)
            except PyMongoError as error:
                if tries == _TRIES or not error.has_error_label(_TRANSIENT):
                    raise

    async def _once(self, change: Change, becomes: DepositState | WithdrawalState, time_ms: int) -> int:
        """The number under which it is logged; 0: the change did not take place."""
        async with transaction(TransferEventDocument) as session:
            if not await change(session):
                await session.abort_transaction()
                return 0
            return await transfer_event.append(becomes.account, codec.encode(becomes), time_ms, session)


def read_payload(payload: bytes) -> DepositState | WithdrawalState:
    """The state that a row of the log holds. Raises UnknownEvent."""
    state = codec.decode(payload)
    if not isinstance(state, DepositState | WithdrawalState):
        raise codec.UnknownEvent("not a transfer")
    return state
