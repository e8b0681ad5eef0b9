"""What a market accepts: the exchange decides, the operator's act is recorded, everybody is told."""

from typing import Any

from core.account_vocabulary import AuditAction
from core.database import Database
from core.order_vocabulary import OrderErrorCode
from core.vocabulary import MarketStatus
from events.answers import Answer
from events.commands import SetMarketStatus
from events.market import MARKET_TOPIC, MarketStatusChanged
from models.market import all_markets
from tests.accounts import Person, World
from tests.attacks.people import as_operator
from tests.stored import audited
from tests.trading import Asked, refusing

SET = """mutation($input: SetMarketStatusInput!) {
  setMarketStatus(input: $input) { market { symbol status } errors { code field } }
}"""
GIVEN = {"symbol": "BTC-USDT", "status": "HALTED", "reason": "a fault upstream"}


async def proven(here: World, admin: Person, given: dict[str, Any]) -> dict[str, Any]:
    proof = await here.proof(admin, "setMarketStatus", given)
    return await here.ask(SET, admin, input={**given, "stepUpProof": proof})


async def test_a_market_is_halted(database: Database) -> None:
    exchange = Asked()
    here = World(gateway=exchange)
    await here.accounts.load()
    admin = await as_operator(here, await here.signed_up("admin@example.com"))
    async with here.bus.subscribe(MARKET_TOPIC) as told:
        body = await proven(here, admin, GIVEN)
        assert body["data"]["setMarketStatus"] == {"market": {"symbol": "BTC-USDT", "status": "HALTED"}, "errors": []}
        item = await anext(aiter(told))
    assert getattr(item, "event", None) == MarketStatusChanged("BTC-USDT", MarketStatus.HALTED)
    assert exchange.commands == [SetMarketStatus("BTC-USDT", MarketStatus.HALTED, "a fault upstream")]
    assert [market.status for market in await all_markets()] == [MarketStatus.HALTED]
    detail = {"market": "BTC-USDT", "status": "HALTED", "reason": "a fault upstream"}
    assert [found for _, found in await audited(admin.user_id, AuditAction.OPERATED)] == [detail]
    missing = await proven(here, admin, {**GIVEN, "symbol": "NO-SUCH"})
    assert missing["data"]["setMarketStatus"]["errors"] == [{"code": "NOT_FOUND", "field": ["symbol"]}]


async def test_an_exchange_that_is_away_changes_nothing(database: Database) -> None:
    exchange = Asked(refusing(OrderErrorCode.EXCHANGE_UNAVAILABLE))
    here = World(gateway=exchange)
    await here.accounts.load()
    admin = await as_operator(here, await here.signed_up("admin@example.com"))
    body = await proven(here, admin, GIVEN)
    assert body["errors"][0]["extensions"]["code"] == "EXCHANGE_UNAVAILABLE"
    assert await all_markets() == []
    exchange.answer = lambda command: Answer()
    found = await here.data('{ market(symbol: "BTC-USDT") { status } }')
    assert found["market"]["status"] == "TRADING"
