"""A freeze reaches the exchange, at once or later, and the newest state is the one it ends with."""

import pytest

from core.account_vocabulary import UserStatus
from core.clock import ManualClock
from core.database import Database
from core.order_vocabulary import OrderErrorCode
from events.answers import Answer
from events.commands import Command, FreezeAccount
from models import user
from services.frozen_accounts import FrozenAccounts
from tests.account_life import done, proven, row_of
from tests.accounts import Person, World, world
from tests.trading import Asked, refusing

AWAY = refusing(OrderErrorCode.EXCHANGE_UNAVAILABLE)


async def somebody(exchange: Asked) -> tuple[World, Person]:
    here = World(gateway=exchange)
    await here.accounts.load()
    return here, await here.signed_up("anna@example.com")


def told(exchange: Asked) -> list[bool]:
    return [command.frozen for command in exchange.commands if isinstance(command, FreezeAccount)]


async def test_a_freeze_is_told_at_once_and_so_is_its_end(database: Database) -> None:
    exchange = Asked()
    here, anna = await somebody(exchange)
    await done(here, "freezeAccount", anna)
    assert told(exchange) == [True]
    anna = await here.logged_in("anna@example.com")
    await proven(here, "unfreezeAccount", anna)
    assert told(exchange) == [True, False]
    assert await here.accounts.frozen.reconcile() == 0
    assert told(exchange) == [True, False]


async def test_an_exchange_that_is_away_is_told_later(database: Database) -> None:
    exchange = Asked(AWAY)
    here, anna = await somebody(exchange)
    await done(here, "freezeAccount", anna)
    assert (await row_of(anna.user_id)).status is UserStatus.FROZEN
    assert await here.accounts.frozen.reconcile() == 1
    exchange.answer = lambda command: Answer()
    assert await here.accounts.frozen.reconcile() == 0
    assert told(exchange) == [True, True, True]
    assert await here.accounts.frozen.reconcile() == 0
    assert (await row_of(anna.user_id)).freeze_untold_ms is None


async def test_a_deleted_account_is_frozen_too(database: Database) -> None:
    exchange = Asked()
    here, anna = await somebody(exchange)
    await proven(here, "deleteAccount", anna)
    assert told(exchange) == [True]


async def test_a_state_that_changes_meanwhile_is_told_as_well(database: Database) -> None:
    exchange = Asked()
    here, anna = await somebody(exchange)
    now_ms = here.clock.now_ms()
    await user.set_status(anna.user_id, UserStatus.FROZEN, was=[UserStatus.ACTIVE], now_ms=now_ms, frozen_ms=now_ms)

    class Slow(Asked):
        async def ask(self, command: Command) -> Answer:
            if not self.commands:
                await user.set_status(
                    anna.user_id, UserStatus.ACTIVE, was=[UserStatus.FROZEN], now_ms=now_ms, frozen_ms=None
                )
            return await super().ask(command)

    slow = Slow()
    assert await FrozenAccounts(slow, ManualClock()).tell(anna.user_id)
    assert told(slow) == [True, False]


@pytest.mark.parametrize("status", [UserStatus.FROZEN, UserStatus.SUSPENDED])
async def test_nothing_of_a_frozen_account_reaches_the_exchange(database: Database, status: UserStatus) -> None:
    async with world(gateway=(exchange := Asked(AWAY))) as here:
        anna = await here.signed_up("anna@example.com")
        now_ms = here.clock.now_ms()
        await user.set_status(anna.user_id, status, was=[UserStatus.ACTIVE], now_ms=now_ms, frozen_ms=now_ms)
        await here.accounts.authority._states.changed(anna.user_id)
        found = await here.data(
            """mutation { placeOrder(input: {clientOrderId: "a", order: {symbol: "BTC-USDT", side: BUY, type: MARKET, quantity: "1"}}) {
              order { id } errors { code field } } }""",
            await here.current(anna),
        )
        assert found["placeOrder"] == {"order": None, "errors": [{"code": "ACCOUNT_FROZEN", "field": None}]}
        assert exchange.commands == []
