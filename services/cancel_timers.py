"""Timers that end orders unless they are set again in time: for programs that may lose their connection."""

from collections.abc import Sequence
from decimal import Decimal

from core.order_vocabulary import OrderErrorCode
from core.refusals import OrderRefused
from events.answers import TimerState
from events.commands import SetCancelTimer
from services.exchange_gateway import ExchangeGateway
from services.order_reads import OrderReads
from services.order_refusals import refused
from services.read_marks import Reader, ReadMarks
from services.viewer import Viewer

LONGEST_SECONDS = 86_400


class CancelTimers:
    """Sets timers, one for each session and API key, and reads them."""

    def __init__(self, gateway: ExchangeGateway, marks: ReadMarks, reads: OrderReads) -> None:
        self._gateway = gateway
        self._marks = marks
        self._reads = reads

    async def set(self, viewer: Viewer, seconds: int, symbols: Sequence[str], reader: Reader) -> TimerState | None:
        """Let orders (in these markets, where any are named) end in so many seconds; 0 disarms, then None. Raises OrderRefused."""
        if not 0 <= seconds <= LONGEST_SECONDS:
            raise OrderRefused(
                OrderErrorCode.INVALID_INPUT,
                field=["timeoutSeconds"],
                limit=Decimal(LONGEST_SECONDS if seconds > 0 else 0),
                actual=Decimal(seconds),
            )
        command = SetCancelTimer(viewer.user_id, owner_of(viewer), seconds * 1000, tuple(dict.fromkeys(symbols)))
        answer = await self._gateway.ask(command)
        if answer.refusal is not None:
            raise refused(answer.refusal)
        self._marks.show(viewer.user_id, answer.sequence, reader)
        return answer.timer

    async def of(self, account: str, reader: Reader) -> list[TimerState]:
        """The account's timers, the next first."""
        row = await self._reads.account(account, reader) or {}
        timers = [
            TimerState(timer["owner"], tuple(timer.get("symbols", ())), timer["expires_ms"])
            for timer in row.get("timers", [])
        ]
        return sorted(timers, key=lambda timer: (timer.expires_ms, timer.owner))


def owner_of(viewer: Viewer) -> str:
    """Whose timer a viewer sets: that of the session or of the API key."""
    return f"key:{viewer.api_key_id}" if viewer.session_id is None else f"session:{viewer.session_id}"
