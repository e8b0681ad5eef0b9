"""Many orders at the same moment, over real HTTP: nothing is spent twice, no key is used twice, and the sums stay."""

import random
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import pytest

from tests.flows.servers import Server, server
from tests.flows.traders import (
    PRICE,
    Json,
    Trader,
    at_once,
    ledger_is_sound,
    steady_prices,
    sum_of,
    traders,
    until_priced,
)

FUNDS = {"USDT": "100000", "BTC": "2"}
UNIT = Decimal("0.000001")
"""The smallest amount of USDT."""


@dataclass
class Floor:
    """Two people with funds at one server."""

    running: Server
    folder: Path
    ann: Trader
    ben: Trader


@pytest.fixture
async def floor(tmp_path: Path) -> AsyncIterator[Floor]:
    settings = steady_prices(tmp_path / "prices.csv")
    async with server(tmp_path, "dev", settings=settings) as running, traders(running, "ann", "ben") as (ann, ben):
        await until_priced(running)
        for person in (ann, ben):
            for asset, amount in FUNDS.items():
                await person.claim(asset, amount)
        yield Floor(running, tmp_path, ann, ben)


def codes(payload: Json) -> list[str]:
    return [error["code"] for error in payload["errors"]]


async def test_many_at_once(floor: Floor) -> None:
    """One after the other at the same server, which takes its time to start."""
    await only_one_can_pay(floor)
    await one_key_is_one_order(floor)
    await one_key_and_other_content(floor)
    await two_trade_with_each_other(floor)
    assert " 0 problems" in await ledger_is_sound(floor.folder)


async def only_one_can_pay(floor: Floor) -> None:
    """Twenty orders of which each needs everything that there is, the fee included."""
    ann = floor.ann
    asked = [ann.place(f"all-{place}", quantity="2.49", price=PRICE) for place in range(20)]
    payloads = await at_once(*asked)
    assert Counter(code for payload in payloads for code in codes(payload)) == {"INSUFFICIENT_FUNDS": 19}
    (accepted,) = [payload["order"] for payload in payloads if payload["order"] is not None]
    assert accepted["status"] == "OPEN"
    assert [order["id"] for order in await ann.orders()] == [accepted["id"]]
    available, held = (await ann.balances())["USDT"]
    assert available + held == Decimal(FUNDS["USDT"])
    assert held >= Decimal("2.49") * Decimal(PRICE)
    refused = next(place for place, payload in enumerate(payloads) if payload["errors"])
    freed = await ann.data(
        "mutation($id: ID!) { cancelOrder(input: {by: {id: $id}}) { errors { code } } }", id=accepted["id"]
    )
    assert freed["cancelOrder"]["errors"] == []
    again = await ann.placed(f"all-{refused}", quantity="0.001", price="39000")
    assert again["status"] == "OPEN", "a refusal uses up no key"


async def one_key_is_one_order(floor: Floor) -> None:
    before = len(await floor.ann.orders())
    payloads = await at_once(*(floor.ann.place("the key", price="39000") for _ in range(50)))
    assert [codes(payload) for payload in payloads] == [[]] * 50
    assert len({payload["order"]["id"] for payload in payloads}) == 1
    assert Counter(payload["replayed"] for payload in payloads) == {True: 49, False: 1}
    assert len(await floor.ann.orders()) == before + 1


async def one_key_and_other_content(floor: Floor) -> None:
    """Ten contents under one key: one wins, and is what the key means from then on."""
    wishes = [f"0.00{place}" for place in range(1, 10)]
    payloads = await at_once(*(floor.ben.place("contested", quantity=wish, price="39000") for wish in wishes))
    assert Counter(code for payload in payloads for code in codes(payload)) == {"IDEMPOTENCY_MISMATCH": 8}
    (won,) = [payload["order"] for payload in payloads if payload["order"] is not None]
    replayed = await floor.ben.place("contested", quantity=won["quantity"] + "0", price="39000.0")
    assert (replayed["replayed"], replayed["order"]["id"]) == (True, won["id"])
    mismatch = await floor.ben.place("contested", quantity=won["quantity"], price="39000.01")
    assert codes(mismatch) == ["IDEMPOTENCY_MISMATCH"]
    assert mismatch["order"] is None


async def two_trade_with_each_other(floor: Floor) -> None:
    seed = random.randrange(10**6)
    chance = random.Random(seed)
    before = sum_of([await floor.ann.balances(), await floor.ben.balances()])
    asked = []
    for place in range(200):
        who, side = (floor.ann, "BUY") if place % 2 else (floor.ben, "SELL")
        price, quantity = chance.randint(3_999_000, 4_001_000), chance.randint(20, 500)
        asked.append(who.place(f"t-{place}", side=side, price=f"{price / 100:.2f}", quantity=f"0.00{quantity:03d}"))
    payloads = await at_once(*asked)
    assert [codes(payload) for payload in payloads] == [[]] * 200, f"seed {seed}"
    after = sum_of([await floor.ann.balances(), await floor.ben.balances()])
    fees = await paid_fees(floor)
    assert fees["USDT"] > 0
    rounded = {asset: before[asset] - after[asset] - fees[asset] for asset in before}
    assert rounded["BTC"] == 0
    assert 0 <= rounded["USDT"] <= 200 * UNIT, f"seed {seed}: at most a unit of each trade goes to the house"


async def paid_fees(floor: Floor) -> dict[str, Decimal]:
    """What both have paid, by their fills; and both have the same number of fills."""
    document = """query($after: String) { viewer { fills(first: 100, after: $after) {
      totalCount nodes { id fee feeAsset { code } } pageInfo { endCursor hasNextPage }
    } } }"""
    fees = {"USDT": Decimal(0), "BTC": Decimal(0)}
    counts = []
    for person in (floor.ann, floor.ben):
        after, seen = None, set()
        while True:
            page = (await person.data(document, after=after))["viewer"]["fills"]
            for fill in page["nodes"]:
                seen.add(fill["id"])
                fees[fill["feeAsset"]["code"]] += Decimal(fill["fee"])
            after = page["pageInfo"]["endCursor"]
            if not page["pageInfo"]["hasNextPage"]:
                break
        assert len(seen) == page["totalCount"]
        counts.append(len(seen))
    assert counts[0] == counts[1] > 20
    return fees
