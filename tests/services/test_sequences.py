from core.database import Database
from services.sequences import Sequences


async def take(sequences: Sequences, name: str, count: int) -> list[int]:
    return [await sequences.next(name) for _ in range(count)]


async def test_numbers_rise_by_one_from_one_across_blocks(database: Database) -> None:
    sequences = Sequences(block=10)
    await sequences.load(["a", "b"])
    assert await take(sequences, "a", 35) == list(range(1, 36))
    assert await take(sequences, "b", 3) == [1, 2, 3]
    assert sequences.peek("a") == 36


async def test_a_clean_stop_continues_at_plus_one(database: Database) -> None:
    first = Sequences(block=10)
    await first.load(["a"])
    await take(first, "a", 14)
    await first.close()
    second = Sequences(block=10)
    await second.load(["a"])
    assert await take(second, "a", 2) == [15, 16]


async def test_after_a_kill_no_number_is_used_again(database: Database) -> None:
    given: set[int] = set()
    for used in (3, 25, 0, 10):
        sequences = Sequences(block=10)
        await sequences.load(["a"])
        numbers = await take(sequences, "a", used)
        assert numbers == list(range(numbers[0], numbers[0] + used)) if numbers else True
        assert given.isdisjoint(numbers)
        given.update(numbers)


async def test_topping_up_reserves_before_the_block_is_used_up(database: Database) -> None:
    sequences = Sequences(block=10)
    await sequences.load(["a"])
    await take(sequences, "a", 8)
    await sequences.top_up()
    after_kill = Sequences(block=10)
    await after_kill.load(["a"])
    assert after_kill.peek("a") == 19


async def test_loading_twice_changes_nothing(database: Database) -> None:
    sequences = Sequences(block=10)
    await sequences.load(["a"])
    await take(sequences, "a", 4)
    await sequences.load(["a", "b"])
    assert await take(sequences, "a", 1) == [5]
