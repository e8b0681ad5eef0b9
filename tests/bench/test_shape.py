"""Peers serve what we serve: the same fields of the same types, the same answers, the same ticks."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import httpx
import orjson
import pytest
from graphql import GraphQLObjectType, GraphQLSchema, build_schema, is_introspection_type, parse, validate

from bench import measuring, shape
from bench.peers import limits, stock
from bench.rows import ROWS, FanRow, QueryRow
from tests.components import ROOT, free_port, schema_text

OURS = build_schema(schema_text())
PEERS = build_schema((ROOT / "bench" / "peers" / "schema.graphql").read_text())
QUERIES = [row for row in ROWS if isinstance(row, QueryRow)]
FANS = [row for row in ROWS if isinstance(row, FanRow)]


def test_peers_serve_fields_of_ours() -> None:
    for name, served in PEERS.type_map.items():
        if isinstance(served, GraphQLObjectType) and not is_introspection_type(served):
            ours = OURS.type_map[name]
            assert isinstance(ours, GraphQLObjectType)
            for field, definition in served.fields.items():
                assert str(definition.type) == str(ours.fields[field].type), f"{name}.{field}"


@pytest.mark.parametrize("schema", [OURS, PEERS], ids=["ours", "peers"])
def test_operations_are_valid(schema: GraphQLSchema) -> None:
    texts = [row.query.text for row in QUERIES]
    texts += [str(payload["query"]) for row in FANS for payload in shape.tick_operations(row.operations, row.symbols)]
    assert len(texts) > 20
    for text in texts:
        assert validate(schema, parse(text)) == []


def test_there_are_as_many_operations_and_markets_as_the_rows_say() -> None:
    for row in FANS:
        payloads = shape.tick_operations(row.operations, row.symbols)
        assert len({payload["query"] for payload in payloads}) == row.operations
        assert len(set(shape.tick_symbols(row.symbols))) == row.symbols
    assert len({pair.symbol for pair in shape.pairs()}) == shape.MARKETS == 100


def test_a_tick_has_the_fields_that_operations_choose_from() -> None:
    tick = orjson.loads(measuring.tick_line("BTC-USDT", "2026-01-02T03:04:05.678Z", 123))
    assert (*tick,) == (*shape.TICK_FIELDS, "sequence")
    assert tick == {
        "symbol": "BTC-USDT",
        "price": "60030.75",
        "bid": "60030.24",
        "ask": "60031.26",
        "time": "2026-01-02T03:04:05.678Z",
        "sequence": 123,
    }


@pytest.mark.parametrize("row", QUERIES, ids=lambda row: row.key)
async def test_stock_answers_what_the_limits_send(row: QueryRow, tmp_path: Path) -> None:
    token = shape.peer_token()
    file = shape.write_shape(tmp_path / "shape", token, row.query.answer)
    app = stock.build(stock.Data(file), free_port())
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://bench") as client:
        headers = {"authorization": f"Bearer {token.token}"} if row.signed_in else {}
        answer = await client.post("/graphql", json={"query": row.query.text}, headers=headers)
    assert answer.json() == row.query.answer


async def test_stock_tells_ticks_and_follows_them(tmp_path: Path) -> None:
    data = stock.Data(shape.write_shape(tmp_path / "shape", shape.peer_token(), {}))
    reading = data.read(["BTC-USD"])
    first = asyncio.ensure_future(anext(reading))
    await asyncio.sleep(0)
    moment = datetime(2026, 1, 2, tzinfo=UTC).isoformat()
    for symbol in ("ETH-USD", "BTC-USD"):
        data.take(measuring.tick_line(symbol, moment, 7))
    tick = await first
    ticker = data.markets["ETH-USD"].ticker
    assert (tick.symbol, tick.sequence) == ("BTC-USD", 7)
    assert ticker is not None
    assert ticker.last == "60001.75"
    await reading.aclose()


@pytest.mark.parametrize(
    ("length", "head"), [(125, b"\x81\x7d"), (126, b"\x81\x7e\x00\x7e"), (300, b"\x81\x7e\x01\x2c")]
)
def test_frames_of_the_limit(length: int, head: bytes) -> None:
    payload = b"x" * length
    assert limits.frame_of(payload) == head + payload


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ({"rows": [{"a": "x"}], "none": None}, None),
        ({"rows": [{"a": 1}], "none": None}, "data.rows.0.a is int, not str"),
        ({"rows": [{"a": "1"}, {"a": "2"}], "none": None}, "data.rows has 2 rows, not 1"),
        ({"rows": [{"b": "1"}], "none": None}, "data.rows.0 has b, not a"),
        (None, "data is NoneType, not dict"),
    ],
)
def test_differences_of_answers(found: object, said: str | None) -> None:
    assert shape.difference({"rows": [{"a": "1"}], "none": None}, found) == said
