"""People who trade at a running server over HTTP, and the prices it is given."""

import asyncio
import csv
import re
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx

from tests.accounts import LOG_IN, PASSWORD, SIGN_UP
from tests.flows.servers import NO_TLS, Server, query, until
from tests.server.test_account_commands import command

SEQUENCE = "x-exchange-sequence"
SYMBOL = "BTC-USDT"
PRICE = "40000"
Json = dict[str, Any]
SETTINGS = {
    "BREACHED_PASSWORD_CHECK": "false",
    "COST_LIMIT_PER_MINUTE": "600000000",
    "LIQUIDITY": "none",
    "TEST_FUNDS_DAILY_USD": "1000000000",
}
"""Nothing but what people ask for trades, and nobody is slowed down."""
VERIFY = "mutation($token: String!) { verifyEmail(input: {token: $token}) { errors { code } } }"
ORDER = "id clientOrderId status side quantity price filledQuantity remainingQuantity sequence"
PLACE = f"""mutation($input: PlaceOrderInput!) {{ placeOrder(input: $input) {{
  order {{ {ORDER} }} replayed errors {{ code field message }}
}} }}"""
CANCEL = f"""mutation($input: CancelOrderInput!) {{ cancelOrder(input: $input) {{
  order {{ {ORDER} }} errors {{ code field message }}
}} }}"""
CLAIM = """mutation($input: ClaimTestFundsInput!) { claimTestFunds(input: $input) {
  balances { asset { code } available } replayed errors { code field message }
} }"""
BALANCES = "{ viewer { balances { asset { code } available held total } } }"
ORDERS = f"""query($after: String) {{ viewer {{ orders(orderBy: OLDEST_FIRST, first: 100, after: $after) {{
  nodes {{ {ORDER} }} pageInfo {{ endCursor hasNextPage }}
}} }} }}"""
FRESH_SECONDS = 60
LAST = "query($symbol: String!) { market(symbol: $symbol) { feed { status } ticker { last } } }"


@dataclass
class Shown:
    """The highest sequence of the exchange that an answer has named."""

    sequence: int = 0


@dataclass
class Trader:
    """Somebody who is signed in. Their access token outlives a restart of the server. What one has been `shown`, the next read of all who share it holds."""

    http: httpx.AsyncClient
    email: str
    shown: Shown
    access: str = ""
    claims: int = field(default=0)

    async def ask(self, document: str, **variables: Any) -> Json:
        """The whole answer. Raises httpx.TransportError when there is none."""
        headers = {SEQUENCE: str(self.shown.sequence)} | (
            {"authorization": f"Bearer {self.access}"} if self.access else {}
        )
        answer = await self.http.post("/graphql", json={"query": document, "variables": variables}, headers=headers)
        self.shown.sequence = max(self.shown.sequence, int(answer.headers.get(SEQUENCE, 0)))
        body: Json = answer.json()
        return body

    async def data(self, document: str, **variables: Any) -> Json:
        """What an operation without errors gives; a query is asked again until its documents hold all that was shown."""
        async with asyncio.timeout(FRESH_SECONDS):
            body = await self.ask(document, **variables)
            while not document.startswith("mutation") and "staleSince" in body.get("extensions", ()):
                body = await self.ask(document, **variables)
        assert "errors" not in body, body
        data: Json = body["data"]
        return data

    async def place(self, key: str, **terms: Any) -> Json:
        """The payload of an order: to buy 0.001 at the price, but for these terms."""
        given = {"symbol": SYMBOL, "side": "BUY", "type": "LIMIT", "quantity": "0.001", "price": PRICE, **terms}
        payload: Json = (await self.data(PLACE, input={"clientOrderId": key, "order": given}))["placeOrder"]
        return payload

    async def placed(self, key: str, **terms: Any) -> Json:
        """An order that is accepted."""
        payload = await self.place(key, **terms)
        assert payload["errors"] == [], payload
        order: Json = payload["order"]
        return order

    async def claim(self, asset: str, amount: str) -> None:
        """Take test funds."""
        self.claims += 1
        given = {"clientClaimId": f"claim {self.claims}", "asset": asset, "amount": amount}
        payload = (await self.data(CLAIM, input=given))["claimTestFunds"]
        assert payload["errors"] == [], payload

    async def balances(self) -> dict[str, tuple[Decimal, Decimal]]:
        """Available and held of each asset."""
        held = (await self.data(BALANCES))["viewer"]["balances"]
        return {each["asset"]["code"]: (Decimal(each["available"]), Decimal(each["held"])) for each in held}

    async def orders(self) -> list[Json]:
        """All orders, oldest first."""
        found: list[Json] = []
        after = None
        while True:
            page = (await self.data(ORDERS, after=after))["viewer"]["orders"]
            found += page["nodes"]
            if not page["pageInfo"]["hasNextPage"]:
                return found
            after = page["pageInfo"]["endCursor"]

    async def sign_up(self, mails: Server) -> None:
        """Sign up, follow the link in the mail that this server printed, log in."""
        await self.data(SIGN_UP, email=self.email, password=PASSWORD)
        await self.data(VERIFY, token=await mailed_token(mails, self.email))
        payload = (await self.data(LOG_IN, email=self.email, password=PASSWORD))["logIn"]
        assert payload["errors"] == [], payload
        self.access = payload["tokens"]["accessToken"]


@asynccontextmanager
async def traders(running: Server, *names: str, mails: Server | None = None) -> AsyncIterator[list[Trader]]:
    """People who have signed up, each with a connection pool of their own; all of them read at least what one was shown."""
    shown = Shown()
    people = [
        Trader(httpx.AsyncClient(base_url=running.base_url, timeout=30, verify=NO_TLS), f"{name}@example.com", shown)
        for name in names
    ]
    try:
        for person in people:
            await person.sign_up(mails or running)
        yield people
    finally:
        for person in people:
            await person.http.aclose()


async def mailed_token(mails: Server, email: str) -> str:
    """The token in the mail that was printed for this address."""
    pattern = re.compile(rf"^To: +{re.escape(email)}\n(?:.*\n)*?.*/verify-email#token=(\S+)", re.MULTILINE)

    async def look() -> str | None:
        found = pattern.search(mails.log())
        return found[1] if found else None

    return await until(look, bool) or ""


async def until_priced(running: Server) -> Decimal:
    """The reference's price, once there is one."""

    async def look() -> Any:
        body: Any = await query(running, LAST, symbol=SYMBOL)
        return body["data"]["market"]["ticker"]

    return Decimal((await until(look, bool))["last"])


def steady_prices(file: Path, price: str = PRICE, *, seconds: int = 600) -> dict[str, str]:
    """Settings of a replay that trades at this price, once a second for so long."""
    start_ms = 1_700_000_000_000
    rows = [(start_ms + place * 1_000, place + 1, price, "0.5", place % 2 == 0) for place in range(seconds)]
    return replay_of(file, rows, speed="1")


def replay_of(file: Path, rows: Iterable[Sequence[object]], *, speed: str) -> dict[str, str]:
    """Settings of a replay of these rows."""
    with file.open("w", newline="") as output:
        writer = csv.writer(output)
        writer.writerow(("time_ms", "trade_id", "price", "quantity", "buyer_maker"))
        writer.writerows(rows)
    settings = {"PRICE_SOURCES": "replay", "REPLAY_FILE": str(file), "REPLAY_SPEED": speed, "REPLAY_SYMBOL": SYMBOL}
    return {**SETTINGS, **settings}


async def ledger_is_sound(folder: Path | None = None, url: str | None = None) -> str:
    """What `ledger audit` says of a server's folder, or of a database; fails when it finds a problem."""
    status, out, err = await command(url, "ledger", "audit", data_dir=folder and folder / "data")
    assert status == 0, err or out
    return out


def sum_of(balances: Iterable[dict[str, tuple[Decimal, Decimal]]]) -> dict[str, Decimal]:
    """What these people own together."""
    total: dict[str, Decimal] = {}
    for each in balances:
        for asset, (available, held) in each.items():
            total[asset] = total.get(asset, Decimal(0)) + available + held
    return total


async def at_once(*deeds: Any) -> list[Any]:
    """All of these at the same time."""
    return list(await asyncio.gather(*deeds))
