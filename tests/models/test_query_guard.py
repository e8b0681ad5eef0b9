from core.database import Database
from models.trade import TradeDocument
from tests.models import query_guard


async def test_a_query_without_an_index_is_found(database: Database) -> None:
    trades = TradeDocument.get_pymongo_collection()
    with query_guard.RECORDER.recording(database.handle.name) as queries:
        await trades.find_one({"_id": "LIVE:BTC-USDT:1"})
        await trades.find({"series": "LIVE", "symbol": "BTC-USDT", "sequence": {"$gte": 1, "$lt": 3}}).to_list()
        await trades.find_one({"_id": "LIVE:BTC-USDT:1", "sequence": 1})
        await trades.find_one({"_id": {"$in": ["LIVE:BTC-USDT:1"]}, "sequence": 1})
        assert await query_guard.scans(database.handle, queries) == []
        await trades.find_one({"_id": "LIVE:BTC-USDT:1", "$or": [{"sequence": 1}, {"price": 1}]})
        await trades.find_one({"_id": {"$gt": "LIVE:BTC-USDT:1"}, "price": 1})
        await trades.find_one({"time_ms": 5})
        await trades.update_one({"price": 1}, {"$set": {"price": 2}})
        await trades.delete_many({"symbol": "BTC-USDT"})
        await (await trades.aggregate([{"$match": {"taker_side": "BUY"}}])).to_list()
        await trades.find({}).to_list()
        found = await query_guard.scans(database.handle, queries)
    assert [text.split(" ", 1)[1] for text in found] == [
        '{"_id": "?", "$or": "?"}',
        '{"_id": {"$gt": "?"}, "price": "?"}',
        '{"time_ms": "?"}',
        '{"price": "?"}',
        '{"symbol": "?"}',
        '{"taker_side": "?"}',
        "{}",
    ]


async def test_a_collection_of_a_handful_of_documents_may_be_scanned(database: Database) -> None:
    with query_guard.RECORDER.recording(database.handle.name) as queries:
        await database.handle["leases"].find_one({"holder": "a"})
    assert len(queries) == 1
    assert await query_guard.scans(database.handle, queries) == []


async def test_small_collections_may_be_read_whole(database: Database) -> None:
    with query_guard.RECORDER.recording(database.handle.name) as queries:
        await database.handle["markets"].find({}).to_list()
        assert await query_guard.scans(database.handle, queries) == []
        await database.handle["markets"].find({"symbol": "BTC-USDT"}).to_list()
        assert len(await query_guard.scans(database.handle, queries)) == 1
