"""The way to the writer when it does not answer: what is known to have happened is told, and nothing else."""

import pytest

from core.clock import SystemClock
from core.database import Database
from core.order_vocabulary import OrderErrorCode, OrderType
from core.vocabulary import OrderSide
from events.answers import Answer, PreviewOrder
from events.commands import CancelAll, HoldWithdrawal, MoveFunds, OrderWish, PlaceOrder, SettleWithdrawal
from models.client_key import UsedKey, insert_keys
from services import exchange_gateway
from services.exchange_gateway import LocalGateway
from services.exchange_inbox import Inbox
from tests.exchange.floor import EXACT

WISH = OrderWish(EXACT.symbol, OrderSide.BUY, OrderType.LIMIT, quantity=EXACT.lot, price=EXACT.tick)


@pytest.fixture
def silent(monkeypatch: pytest.MonkeyPatch) -> LocalGateway:
    """To a writer that never looks."""
    monkeypatch.setattr(exchange_gateway, "DEADLINE_MS", 0)
    monkeypatch.setattr(exchange_gateway, "GRACE_SECONDS", 0.001)
    return LocalGateway(Inbox(), SystemClock())


def code(answer: Answer) -> OrderErrorCode | None:
    return None if answer.refusal is None else answer.refusal.code


@pytest.mark.parametrize(
    "command",
    [
        PlaceOrder("ann", "mine", "digest", WISH),
        MoveFunds("ann", "house:test-funds", "ETH", 5, "mine", "digest"),
        HoldWithdrawal("ann", "ETH", 5, "mine", "digest"),
        SettleWithdrawal("ann", 3, "house:hot:ethereum", 0, "mine", "digest"),
    ],
)
async def test_without_an_answer_the_key_is_looked_up(
    database: Database, silent: LocalGateway, command: PlaceOrder | MoveFunds | HoldWithdrawal | SettleWithdrawal
) -> None:
    assert code(await silent.ask(command)) is OrderErrorCode.OUTCOME_UNKNOWN
    await insert_keys([UsedKey("ann", "mine", "digest", 7)])
    found = await silent.ask(command)
    assert (found.refusal, found.made, found.replayed, found.sequence) == (None, 7, True, 7)
    assert code(await silent.ask(command._replace(digest="other"))) is OrderErrorCode.OUTCOME_UNKNOWN


async def test_what_has_no_key_stays_unknown(database: Database, silent: LocalGateway) -> None:
    assert code(await silent.ask(CancelAll("ann"))) is OrderErrorCode.OUTCOME_UNKNOWN
    assert await silent.preview(PreviewOrder("ann", WISH)) is None
    assert await silent.house() is None


async def test_a_full_inbox_takes_nothing(database: Database) -> None:
    gateway = LocalGateway(Inbox(capacity=0), SystemClock())
    assert code(await gateway.ask(PlaceOrder("ann", "mine", "digest", WISH))) is OrderErrorCode.EXCHANGE_UNAVAILABLE
