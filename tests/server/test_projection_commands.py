"""`projections rebuild` as an operator calls it, on the folder of a `dev` that has traded."""

import asyncio
import random
import sys
import time
from operator import itemgetter
from pathlib import Path
from typing import Any

import bson
from pymongo import AsyncMongoClient
from pymongo.errors import PyMongoError

from core.settings import Settings
from events import codec
from events.trading import in_order
from models import DOCUMENTS
from models.projection import PROJECTED, SnapshotChunkDocument, SnapshotDocument
from server.command_database import command_database
from server.data_folder import URL_FILE
from services import statement_rows
from tests import components
from tests.faults.order_load import Load, funded
from tests.flows.servers import server
from tests.flows.traders import Trader, ledger_is_sound, steady_prices, traders, until_priced
from tests.server.test_account_commands import command

PACKED = {"account_log", "statements"}
MARKET_DATA = ("reference_trades", "candles", "market_states")
HOUR_MS = 3_600_000
OCO = """mutation { placeOco(input: {clientGroupId: "group", oco: {
  symbol: "BTC-USDT", side: SELL, quantity: "0.01", takeProfitPrice: "41000", stopPrice: "39000"
}}) { errors { code } } }"""


async def test_what_is_made_anew_is_what_was_there(tmp_path: Path) -> None:
    settings, data, port = steady_prices(tmp_path / "prices.csv"), tmp_path / "data", components.free_port()
    async with (
        server(tmp_path, "dev", settings=settings, port=port) as running,
        traders(running, "ann", "ben") as people,
    ):
        await until_priced(running)
        await funded(people)
        load = Load(people, random.Random(7))
        async with load.running():
            await load.more(60)
        await groups_and_cancels(people[0])
        seen = [await person.orders() for person in people]
        status, _, err = await command(None, "projections", "rebuild", data_dir=data)
        assert (status, "a projection worker runs" in err) == (1, True), err
        running.process.terminate()
        assert await running.process.wait() == 0
        before = await documents(data)
        assert all(before[name] for name in ("orders", "fills", "order_groups", "client_keys", "reference_trades"))
        await killed_rebuild(data)
        assert await rebuilt(data) == before, "begun again after it was killed"
        assert " 0 problems" in await ledger_is_sound(tmp_path)
        async with server(tmp_path, "dev", settings=settings, port=port):
            assert [await person.orders() for person in people] == seen


async def groups_and_cancels(ann: Trader) -> None:
    assert (await ann.data(OCO))["placeOco"]["errors"] == []
    kept = await ann.placed("kept", price="38000")
    assert kept["status"] == "OPEN"


async def rebuilt(data: Path) -> dict[str, Any]:
    """The documents after a rebuild."""
    status, out, err = await command(None, "projections", "rebuild", data_dir=data)
    assert status == 0, err
    assert out.startswith("projected anew up to event ")
    return await documents(data)


async def killed_rebuild(data: Path) -> None:
    """A rebuild that dies as soon as it has begun, without giving its lease back."""
    environment = {"DATA_DIR": str(data), "ENCRYPTION_KEY": components.ENCRYPTION_KEY, "PATH": ""}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "server", "projections", "rebuild", cwd=components.ROOT, env=environment
    )
    async with asyncio.timeout(components.START_SECONDS):
        while process.returncode is None and not await _is_leased(data):
            await asyncio.sleep(0.005)
    if process.returncode is None:
        process.kill()
    await process.wait()


async def _is_leased(data: Path) -> bool:
    try:
        url = (data / URL_FILE).read_text()
    except OSError:
        return False
    async with AsyncMongoClient[dict[str, Any]](url, timeoutMS=1_000) as client:
        try:
            row = await client["cryptovault"]["leases"].find_one({"_id": "projection"})
        except PyMongoError:
            return False
    return row is not None and row["expires_ms"] > time.time() * 1000 + HOUR_MS


async def documents(data: Path) -> dict[str, Any]:
    """Everything that is projected, by collection and id; what is packed, unpacked.

    Whether the newest candle of an interval is over was told by the clock, where no trade came after it: that is left out.
    """
    settings = Settings(_env_file=None, data_dir=data)
    kept = {model.Settings.name for model in PROJECTED} - {
        model.Settings.name for model in (SnapshotDocument, SnapshotChunkDocument)
    }
    found: dict[str, Any] = {}
    async with command_database(settings) as database:
        names = {model.Settings.name for model in DOCUMENTS}
        assert names >= {*kept, *MARKET_DATA, "projections"}
        for name in sorted({*kept, "projections"}):
            rows = [row async for row in database.handle[name].find({})]
            found[name] = _unpacked(rows, name) if name in PACKED else {row["_id"]: _opened(row) for row in rows}
        for name in MARKET_DATA:
            field = "state." if name == "market_states" else ""
            rows = [row async for row in database.handle[name].find({f"{field}series": "EXCHANGE"})]
            found[name] = sorted(
                ({key: value for key, value in row.items() if key != "_id"} for row in rows if not _is_empty(row)),
                key=repr,
            )
    newest = {(row["symbol"], row["interval"]): row for row in sorted(found["candles"], key=itemgetter("open_time_ms"))}
    for row in newest.values():
        del row["closed"]
    return found


def _is_empty(row: dict[str, Any]) -> bool:
    """Whether it is the state of a market without trades, which is as good as none."""
    return "state" in row and row["state"]["trades_through"] == 0


def _opened(row: dict[str, Any]) -> dict[str, Any]:
    """A row whose packed value, if it has one, is told by its fields. `sequence` is how far it holds: that of the flush that wrote it."""
    if "payload" not in row:
        return row
    fields: dict[str, Any] = bson.decode(row["payload"])
    assert fields.pop("sequence") > 0
    return fields


def _unpacked(rows: list[dict[str, Any]], name: str) -> dict[tuple[str, int], Any]:
    unpacked: dict[tuple[str, int], Any] = {}
    for row in rows:
        payload = bytes(row["payload"])
        if name == "statements":
            events: Any = statement_rows.decode(payload)
        else:
            events = in_order(codec.decode(payload))  # type: ignore[arg-type]
        unpacked |= {(row["account"], event.number): event for event in events}
    return unpacked
