"""Changing a deposit or withdrawal, and telling its owner: one transaction changes the row and adds what it became to the account's log."""

from collections.abc import Awaitable, Callable, Sequence

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
        return await self.commit_all(change, [becomes], time_ms)

    async def commit_all(self, change: Change, become: Sequence[DepositState | WithdrawalState], time_ms: int) -> bool:
        """Make a change of several and log what each of them becomes, or none of it. False when the change did not take place. Raises PyMongoError."""
        told = await self._tried(change, become, time_ms)
        for hint in told or ():
            self.tell(transfers_topic(hint.account), hint)
        return told is not None

    def tell(self, topic: str, hint: TransferLogged) -> None:
        """Publish a hint about what was logged otherwise."""
        self._bus.publish(topic, hint)

    async def _tried(
        self, change: Change, become: Sequence[DepositState | WithdrawalState], time_ms: int
    ) -> list[TransferLogged] | None:
        tries = 0
        while True:
            tries += 1
            try:
                return await self._once(change, become, time_ms)
            except PyMongoError as error:
                if tries == _TRIES or not error.has_error_label(_TRANSIENT):
                    raise

    async def _once(
        self, change: Change, become: Sequence[DepositState | WithdrawalState], time_ms: int
    ) -> list[TransferLogged] | None:
        """What was added to whose log; None: the change did not take place."""
        async with transaction(TransferEventDocument) as session:
            if not await change(session):
                await session.abort_transaction()
                return None
            return await log_all(become, time_ms, session)


async def log_all(
    states: Sequence[DepositState | WithdrawalState], time_ms: int, session: AsyncClientSession
) -> list[TransferLogged]:
    """Add these to their owners' logs, in their order; gives the newest number of each log, which is what its readers need to be told."""
    by_account: dict[str, list[bytes]] = {}
    for state in states:
        by_account.setdefault(state.account, []).append(codec.encode(state))
    return [
        TransferLogged(account, await transfer_event.append(account, payloads, time_ms, session))
        for account, payloads in sorted(by_account.items())
    ]


def read_payload(payload: bytes) -> DepositState | WithdrawalState:
    """The state that a row of the log holds. Raises UnknownEvent."""
    state = codec.decode(payload)
    if not isinstance(state, DepositState | WithdrawalState):
        raise codec.UnknownEvent("not a transfer")
    return state
