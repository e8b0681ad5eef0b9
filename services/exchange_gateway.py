"""The way to the exchange: every process asks its one writer through this, wherever the writer runs."""

from typing import Protocol

from core.order_vocabulary import OrderErrorCode
from events.answers import Answer, HouseState, PreviewOrder, PreviewState, RefusalState
from events.commands import Command


class ExchangeGateway(Protocol):
    """Asks the exchange. Nothing here raises for an exchange that does not answer: that is an answer, too.

    What could not be sent, or was too late, is refused with EXCHANGE_UNAVAILABLE or COMMAND_EXPIRED and changed nothing; of what was
    sent and not answered in time the refusal is OUTCOME_UNKNOWN: the same key may be tried again.
    """

    async def ask(self, command: Command) -> Answer:
        """Have a command executed, durably, before this returns."""
        ...

    async def preview(self, wish: PreviewOrder) -> PreviewState | None:
        """What an order would do now; None: the exchange does not answer."""
        ...

    async def house(self) -> HouseState | None:
        """The house's position; None: the exchange does not answer."""
        ...


class NoExchange:
    """The gateway of a process from which no exchange can be reached."""

    async def ask(self, command: Command) -> Answer:  # noqa: ARG002
        return Answer(RefusalState(OrderErrorCode.EXCHANGE_UNAVAILABLE))

    async def preview(self, wish: PreviewOrder) -> PreviewState | None:  # noqa: ARG002
        return None

    async def house(self) -> HouseState | None:
        return None
