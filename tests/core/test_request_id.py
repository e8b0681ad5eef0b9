import asyncio

from core.request_id import accepted_or_new, current_request_id, request_scope


async def test_it_travels_into_tasks_and_not_out_of_them() -> None:
    async def nested() -> tuple[str | None, str | None]:
        before = current_request_id()
        with request_scope("inner-request"):
            await asyncio.sleep(0)
            return before, current_request_id()

    with request_scope("outer-request"):
        assert await asyncio.create_task(nested()) == ("outer-request", "inner-request")
        assert current_request_id() == "outer-request"
    assert current_request_id() is None


def test_new_ids_are_acceptable_and_differ() -> None:
    first, second = accepted_or_new(None), accepted_or_new("not acceptable!")
    assert first != second
    assert accepted_or_new(first) == first
