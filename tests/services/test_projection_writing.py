"""A write of which nobody heard whether it succeeded is neither lost nor taken for somebody else's."""

import asyncio

import pytest
from pymongo.errors import NetworkTimeout

from models import projection
from services.projection import Projector
from tests.trading_house import TradingHouse


@pytest.mark.parametrize("is_written", [True, False])
@pytest.mark.parametrize("end", [asyncio.CancelledError(), NetworkTimeout("no answer")], ids=["given up", "no answer"])
@pytest.mark.usefixtures("database")
async def test_a_try_without_an_answer(monkeypatch: pytest.MonkeyPatch, end: BaseException, is_written: bool) -> None:
    house, store, ends = TradingHouse(), Projector._store, [end]

    async def silent(self: Projector, *given: object) -> None:
        if is_written or not ends:
            await store(self, *given)  # type: ignore[arg-type]
        if ends:
            raise ends.pop()

    monkeypatch.setattr(Projector, "_store", silent)
    await house.writer.open()
    writing = asyncio.create_task(house.writer.serve())
    await house.projector.load()
    await house.give("ann", "USDT", 10)
    if isinstance(end, asyncio.CancelledError):
        with pytest.raises(asyncio.CancelledError):
            await house.projector.catch_up()
        assert ((await projection.read_watermark()).batch > 0) is is_written
        await house.give("ann", "USDT", 20)
    await house.projector.catch_up()
    writing.cancel()
    assert ends == []
    assert (await projection.read_watermark()).batch == house.projector.place.batch > 0
