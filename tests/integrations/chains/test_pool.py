"""Nodes that stand in for each other: who is asked, who is passed over, and what is said of it."""

import pytest

from core.clock import ManualClock
from integrations.chains.errors import ChainUnavailable, Failure, NodeRefused, ProviderFailed
from integrations.chains.pool import Head, PoolPolicy, ProviderPool


class FakeNode:
    """Answers with its name, or fails as it is told to."""

    def __init__(self, name: str, head: int = 100) -> None:
        self.name = name
        self.head = head
        self.failure: Exception | None = None
        self.probe_failure: Exception | None = None
        self.asked = 0

    async def close(self) -> None: ...

    async def answer(self) -> str:
        self.asked += 1
        if self.failure is not None:
            raise self.failure
        return self.name

    async def tell_head(self) -> Head:
        if self.probe_failure is not None:
            raise self.probe_failure
        return Head(self.head)


DOWN = ProviderFailed(Failure.UNREACHABLE, "cannot be reached")
POLICY = PoolPolicy(breaker_failures=2, first_rest_seconds=5, most_rest_seconds=60, most_behind=10)


def made(*nodes: FakeNode) -> tuple[ProviderPool[FakeNode], ManualClock]:
    clock = ManualClock()
    named = [(node.name, node) for node in nodes]
    return ProviderPool("ethereum", named, FakeNode.tell_head, clock=clock, policy=POLICY), clock


async def test_the_preferred_node_answers_and_the_next_stands_in() -> None:
    first, second = FakeNode("first"), FakeNode("second")
    pool, _ = made(first, second)
    assert await pool.use(FakeNode.answer) == "first"
    first.failure = DOWN
    assert await pool.use(FakeNode.answer) == "second"
    assert [state.error for state in pool.states()] == ["cannot be reached", None]


async def test_a_node_that_keeps_failing_is_left_alone_for_longer_each_time() -> None:
    first, second = FakeNode("first"), FakeNode("second")
    pool, clock = made(first, second)
    first.failure = DOWN
    for _ in range(5):
        await pool.use(FakeNode.answer)
    assert first.asked == 2
    assert not pool.states()[0].healthy
    clock.advance(5.001)
    await pool.use(FakeNode.answer)
    await pool.use(FakeNode.answer)
    assert first.asked == 3
    clock.advance(5.001)
    await pool.use(FakeNode.answer)
    assert first.asked == 3
    clock.advance(5)
    first.failure = None
    assert await pool.use(FakeNode.answer) == "first"
    assert pool.states()[0].healthy


async def test_a_node_that_asks_for_a_pause_gets_it() -> None:
    first, second = FakeNode("first"), FakeNode("second")
    pool, clock = made(first, second)
    first.failure = ProviderFailed(Failure.RATE_LIMITED, "asked to be left alone", retry_after_seconds=7)
    await pool.use(FakeNode.answer)
    await pool.use(FakeNode.answer)
    assert first.asked == 1
    clock.advance(7.001)
    await pool.use(FakeNode.answer)
    assert first.asked == 2


async def test_a_refusal_is_the_answer_and_no_other_node_is_asked() -> None:
    first, second = FakeNode("first"), FakeNode("second")
    pool, _ = made(first, second)
    first.failure = NodeRefused(3, "execution reverted", "0x")
    with pytest.raises(NodeRefused, match="execution reverted"):
        await pool.use(FakeNode.answer)
    assert second.asked == 0
    assert pool.states()[0].error is None


async def test_a_node_of_another_chain_is_never_used_until_it_says_otherwise() -> None:
    first, second = FakeNode("first"), FakeNode("second")
    first.probe_failure = ProviderFailed(Failure.WRONG_CHAIN, "is of chain 5, not of 1")
    pool, _ = made(first, second)
    assert await pool.use(FakeNode.answer) == "second"
    assert list(await pool.ask_all(FakeNode.answer)) == ["second"]
    second.failure = DOWN
    with pytest.raises(ChainUnavailable, match="first: is of chain 5, not of 1; second: cannot be reached"):
        await pool.use(FakeNode.answer)
    assert first.asked == 0
    first.probe_failure = None
    await pool.probe()
    assert await pool.use(FakeNode.answer) == "first"


async def test_a_node_that_has_not_told_its_chain_is_not_used_before_it_has() -> None:
    first, second = FakeNode("first"), FakeNode("second")
    first.probe_failure = DOWN
    pool, clock = made(first, second)
    assert await pool.use(FakeNode.answer) == "second"
    answers = await pool.ask_all(FakeNode.answer)
    assert (str(answers["first"]), answers["second"], first.asked) == ("cannot be reached", "second", 0)
    first.probe_failure = None
    clock.advance(5.001)
    assert await pool.use(FakeNode.answer) == "first"


async def test_a_node_with_a_shorter_chain_is_asked_last() -> None:
    first, second = FakeNode("first", head=80), FakeNode("second", head=100)
    pool, _ = made(first, second)
    assert await pool.use(FakeNode.answer) == "second"
    state = pool.states()[0]
    assert (state.healthy, state.head, state.error) == (False, 80, "20 blocks behind")
    assert pool.head() == Head(100)
    second.failure = DOWN
    assert await pool.use(FakeNode.answer) == "first"
    first.head = 95
    await pool.probe()
    assert pool.states()[0].healthy
    assert pool.states()[0].error is None


async def test_without_nodes_the_chain_is_unavailable_and_says_so() -> None:
    pool, _ = made()
    assert not pool.configured
    with pytest.raises(ChainUnavailable, match="no node of ethereum answers \\(no node is configured\\)"):
        await pool.use(FakeNode.answer)


async def test_every_node_is_asked_where_one_alone_is_not_believed() -> None:
    first, second = FakeNode("first"), FakeNode("second")
    pool, _ = made(first, second)
    second.failure = DOWN
    assert await pool.ask_all(FakeNode.answer) == {"first": "first", "second": DOWN}
