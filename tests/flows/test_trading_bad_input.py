"""Orders that cannot be: each is refused by its own code, the first of several faults by the documented order, and nothing changes."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import pytest

from core.database import Database
from core.order_vocabulary import OrderErrorCode
from exchange.snapshot import digest
from tests.accounts import Person, World
from tests.attacks.people import as_operator
from tests.exchange.floor import EXACT, ROUNDING
from tests.resolvers.test_market_status import SET
from tests.resolvers.test_orders_at_the_exchange import PLACE
from tests.trading_house import FUNDS, TradingHouse

STRICT = EXACT._replace(min_lots=10, min_value=5_000_000, band_ppm=100_000)
"""ETH-USDT: ticks of 0.01, lots of 0.0001, at least 0.001 and 5 USDT, prices within a tenth of the last one."""
SOUND = {"symbol": "ETH-USDT", "side": "BUY", "type": "LIMIT", "quantity": "1", "price": "2000"}
HALTED = ROUNDING.symbol
USED = "used"
FORTY = "1" * 40
Terms = dict[str, Any]
FAULTS: Mapping[str, list[Terms]] = {
    "IDEMPOTENCY_MISMATCH": [{"key": USED}],
    "UNKNOWN_MARKET": [{"symbol": "NO-SUCH"}, {"symbol": "eth-usdt "}, {"symbol": ""}],
    "MARKET_HALTED": [{"symbol": HALTED}],
    "MALFORMED_NUMBER": [
        *(
            {"price": text}
            for text in ("NaN", "-NaN", "Infinity", "-1", "0", "-0", "", "ten", "0x10", FORTY, f"0.{FORTY}")
        ),
        *({"quantity": text} for text in ("NaN", "-Infinity", "-0.5", "0", "1,5", "1e30", FORTY, "٣")),
        {"stopPrice": "-1"},
    ],
    "PRICE_REQUIRED": [{"price": None}],
    "PRICE_OFF_TICK": [{"price": "2000.001"}, {"price": "2000.000000000000000001"}],
    "QUANTITY_OFF_LOT": [{"quantity": "1.00001"}, {"quantity": "0.00001"}],
    "QUANTITY_TOO_SMALL": [{"quantity": "0.0009"}],
    "QUANTITY_TOO_LARGE": [{"quantity": "100000.0001"}, {"quantity": "999999999999"}],
    "NOTIONAL_TOO_SMALL": [{"quantity": "0.0011"}],
    "PRICE_OUT_OF_BAND": [{"price": "2200.01"}, {"price": "1799.99"}],
    "TERMS_CONFLICT": [{"trailingDelta": "1"}, {"maxSlippage": "0.01"}, {"displayQuantity": "200000"}],
    "EXPIRY_IN_PAST": [{"timeInForce": "GTD", "goodTillTime": "2020-01-01T00:00:00Z"}],
    "INSUFFICIENT_FUNDS": [{"quantity": "60000"}],
    "POST_ONLY_WOULD_TAKE": [{"postOnly": True}],
    "FOK_NOT_FILLABLE": [{"timeInForce": "FOK"}],
}
"""By code, in the order of precedence, what makes a sound order wrong."""
PICTURE = """{ viewer {
  orders { totalCount nodes { id status sequence filledQuantity } } fills { totalCount }
  balances(nonZero: false) { asset { code } available held sequence } eventCursor events(first: 500) { nodes { cursor } }
} }"""


@dataclass
class Room:
    """Ann, who asks for what cannot be, and Ben, who offers half an ETH at the price."""

    here: World
    house: TradingHouse
    ann: Person
    ben: Person
    bens: str = ""

    async def place(self, who: Person, key: str, terms: Terms) -> dict[str, Any]:
        body = await self.here.ask(PLACE, who, input={"clientOrderId": key, "order": terms})
        assert "errors" not in body, body
        found: dict[str, Any] = body["data"]["placeOrder"]
        return found

    async def refusal(self, changes: Terms, who: Person | None = None, key: str = "unused") -> str:
        """The code by which a sound order with these changes is refused."""
        terms = {**SOUND, **changes}
        found = await self.place(who or self.ann, terms.pop("key", key), terms)
        assert found["order"] is None, (changes, found)
        (error,) = found["errors"]
        assert error["message"]
        return str(error["code"])

    async def picture(self) -> list[Any]:
        """Everything that both see, and how far the exchange has come."""
        await self.house.projected()
        seen = [await self.here.data(PICTURE, person) for person in (self.ann, self.ben)]
        return [self.house.writer.exchange.state.sequence, digest(self.house.writer.exchange.state), seen]


@pytest.fixture
async def room(database: Database) -> AsyncIterator[Room]:
    house = TradingHouse(rules=(STRICT, ROUNDING))
    here = World(gateway=house.gateway, bus=house.bus)  # type: ignore[arg-type]
    await here.accounts.load()
    async with house.open():
        ann, ben = [await here.signed_up(f"{name}@example.com") for name in ("ann", "ben")]
        for person in (ann, ben):
            for asset, units in FUNDS.items():
                await house.give(person.user_id, asset, units)
        made = Room(here, house, ann, ben)
        assert (await made.place(made.ann, USED, {**SOUND, "quantity": "0.5"}))["errors"] == []
        offered = await made.place(made.ben, "offer", {**SOUND, "side": "SELL"})
        assert offered["order"]["status"] == "PARTIALLY_FILLED", "half of it has set the last price"
        made.bens = offered["order"]["id"]
        await halt(made)
        yield made


async def halt(room: Room) -> None:
    """Let an administrator halt a market."""
    admin = await as_operator(room.here, await room.here.signed_up("admin@example.com"))
    given = {"symbol": HALTED, "status": "HALTED", "reason": "a fault upstream"}
    proof = await room.here.proof(admin, "setMarketStatus", given)
    body = await room.here.ask(SET, admin, input={**given, "stepUpProof": proof})
    assert body["data"]["setMarketStatus"]["errors"] == []


def test_the_faults_are_in_the_documented_order() -> None:
    documented = [code.value for code in OrderErrorCode]
    assert list(FAULTS) == sorted(FAULTS, key=documented.index)


async def test_each_fault_has_its_code_and_changes_nothing(room: Room) -> None:
    before = await room.picture()
    for code, faults in FAULTS.items():
        for changes in faults:
            assert await room.refusal(changes) == code, changes
    assert await room.picture() == before
    accepted = await room.place(room.ann, "unused", {**SOUND, "price": "1900"})
    assert (accepted["errors"], accepted["replayed"]) == ([], False), "refusals use up no key"


async def test_of_two_faults_the_first_in_order_is_named(room: Room) -> None:
    before = await room.picture()
    pairs = 0
    for (first, firsts), (_, seconds) in combinations(FAULTS.items(), 2):
        for one in firsts:
            for other in seconds[:2]:
                if not set(one) & set(other) and first_is_independent(first, other):
                    pairs += 1
                    assert await room.refusal({**other, **one}) == first, (one, other)
    assert pairs > 150
    assert await room.picture() == before


def first_is_independent(first: str, other: Terms) -> bool:
    """Whether the first fault is one beside the other, too."""
    return not (first == "POST_ONLY_WOULD_TAKE" and other.get("timeInForce") == "FOK")


async def test_who_asks_comes_first(room: Room) -> None:
    """A frozen account, then an unproven address, then everything about the order."""
    cleo = await room.here.signed_up("cleo@example.com")
    await room.here.accounts.freezes.by_owner(cleo.viewer, room.here.caller(cleo).client)
    frozen = await room.here.logged_in("cleo@example.com")
    unproven = await room.here.signed_up("dan@example.com", verified=False)
    for person, code in ((frozen, "ACCOUNT_FROZEN"), (unproven, "EMAIL_NOT_VERIFIED")):
        for faults in FAULTS.values():
            for changes in faults[:1]:
                assert await room.refusal(changes, person) == code


async def test_somebody_elses_order_is_unknown(room: Room) -> None:
    before = await room.picture()
    cancel = "mutation($by: OrderRef!) { found: cancelOrder(input: {by: $by}) { order { id } errors { code } } }"
    amend = """mutation($by: OrderRef!) {
      found: amendOrder(input: {by: $by, quantity: "0.7"}) { order { id } errors { code } }
    }"""
    for document in (cancel, amend):
        for by in ({"id": room.bens}, {"clientOrderId": "offer"}, {"clientOrderId": "never used"}):
            found = (await room.here.data(document, room.ann, by=by))["found"]
            assert found == {"order": None, "errors": [{"code": "UNKNOWN_ORDER"}]}, by
    assert (await room.here.data("query($id: ID!) { order(by: {id: $id}) { id } }", room.ann, id=room.bens)) == {
        "order": None
    }
    assert await room.picture() == before
