"""From text to answer without a transport: what Strawberry still does, what errors look like, what is charged."""

from collections.abc import Iterator
from hashlib import sha256
from typing import Any

import pytest
import strawberry
from strawberry.extensions import SchemaExtension
from structlog.testing import capture_logs

from core.budget import MemoryBudget
from core.cache import MemoryCache
from core.clock import ManualClock
from core.errors import InvalidInput
from graph.execution import PipelineSchema
from graph.persisted import PersistedQueries, PersistedQueryNotFound
from graph.pipeline import Pipeline, PipelineLimits
from graph.request import ALL_OPERATIONS, QUERIES_AND_MUTATIONS, Answer, GraphQLRequest
from tests.graph.sample import CALLER, Probe, build_pipeline


async def run(pipeline: Pipeline, query: str, **parameters: Any) -> Answer:
    return await pipeline.execute(GraphQLRequest(query, **parameters), CALLER, allowed=QUERIES_AND_MUTATIONS)


def first_error(answer: Answer) -> dict[str, Any]:
    errors = answer.body["errors"]
    assert isinstance(errors, list)
    error: dict[str, Any] = errors[0]
    return error


async def test_permissions_field_extensions_and_conversion_are_strawberrys() -> None:
    answer = await run(build_pipeline(), '{ secret quiet markets(filter: {symbols: ["A"]}) { nodes { symbol } } }')
    assert answer.body["data"] == {
        "secret": None,
        "quiet": "LOUD",
        "markets": {"nodes": [{"symbol": "M0"}, {"symbol": "M1"}, {"symbol": "M2"}]},
    }
    assert first_error(answer)["extensions"] == {"code": "FORBIDDEN", "requestId": "request-1"}


async def test_schema_extensions_see_every_operation() -> None:
    seen: list[str] = []

    class Tracing(SchemaExtension):
        def on_operation(self) -> Iterator[None]:
            seen.append("operation")
            yield

        def on_execute(self) -> Iterator[None]:
            seen.append(f"execute {self.execution_context.operation_name}")
            yield

        def get_results(self) -> dict[str, Any]:
            return {"traced": True}

    @strawberry.type
    class Query:
        @strawberry.field
        def one(self) -> int:
            return 1

    pipeline = Pipeline(
        PipelineSchema(query=Query, extensions=[Tracing]),
        context_factory=lambda caller: caller,
        budget=MemoryBudget(ManualClock(), per_minute=60_000),
        events_budget=MemoryBudget(ManualClock(), per_minute=60_000),
        persisted=PersistedQueries(MemoryCache(ManualClock())),
        limits=PipelineLimits(),
        broadcast=lambda shared, arguments: shared.mark(None, **arguments),
    )
    for _ in range(2):
        answer = await run(pipeline, "query Named { one }")
        extensions: Any = answer.body["extensions"]
        assert answer.body["data"] == {"one": 1}
        assert extensions["traced"] is True
        assert extensions["cost"]["requested"] == 1
    assert seen == ["operation", "execute Named"] * 2


async def test_a_schema_without_the_pipeline_behaves_as_strawberrys() -> None:
    @strawberry.type
    class Query:
        @strawberry.field
        def one(self) -> int:
            return 1

    schema = PipelineSchema(query=Query)
    assert (await schema.execute("{ one }")).data == {"one": 1}
    assert (await schema.execute("{ two }")).errors


async def test_an_unforeseen_failure_is_logged_once_with_its_request() -> None:
    with capture_logs() as logs:
        answer = await run(build_pipeline(), '{ market(symbol: "A") { ticker { broken } } }')
    assert first_error(answer)["message"] == "Internal error"
    (line,) = logs
    assert (line["log_level"], line["request_id"]) == ("error", "request-1")
    assert line["path"] == ["market", "ticker", "broken"]
    assert "hunter2" in str(line["exc_info"][1])


async def test_an_expected_failure_is_not_logged() -> None:
    with capture_logs() as logs:
        answer = await run(build_pipeline(), '{ market(symbol: "NONE") { symbol } }')
    assert first_error(answer) == {
        "message": "there is no such market",
        "locations": [{"line": 1, "column": 3}],
        "path": ["market"],
        "extensions": {"code": "BAD_USER_INPUT", "requestId": "request-1", "field": "symbol"},
    }
    assert logs == []


async def test_variables_are_judged_before_anything_runs() -> None:
    probe = Probe()
    pipeline = build_pipeline(probe=probe)
    for query, variables in (
        ("query ($n: Int!) { required(number: $n) }", None),
        ("query ($n: Int!) { required(number: $n) }", {"n": "5"}),
        ("mutation ($n: Int!) { place(quantity: $n) }", {"n": 2**31}),
        ("mutation ($n: Int!) { place(quantity: $n) }", {"n": 1.5}),
        ("query ($f: Filter) { markets(filter: $f) { nodes { symbol } } }", {"f": {"symbol": "A"}}),
        ("query ($f: Filter) { markets(filter: $f) { nodes { symbol } } }", {"f": {"symbols": [None]}}),
    ):
        answer = await run(pipeline, query, variables=variables)
        assert answer.refused == "BAD_USER_INPUT"
        assert "data" not in answer.body
        assert "Did you mean" not in str(answer.body)
    assert probe.mutations == 0


async def test_an_argument_only_execution_can_judge_is_the_callers_fault() -> None:
    query = "query ($n: Int = 5) { required(number: $n) }"
    with capture_logs() as logs:
        answer = await run(build_pipeline(), query, variables={"n": None})
    assert first_error(answer)["extensions"]["code"] == "BAD_USER_INPUT"
    assert logs == []


async def test_the_named_operation_runs() -> None:
    pipeline = build_pipeline()
    query = "query A { sequence } query B { quiet }"
    assert (await run(pipeline, query, operation_name="B")).body["data"] == {"quiet": "LOUD"}
    assert (await run(pipeline, query, operation_name="C")).refused == "OPERATION_RESOLUTION_FAILURE"
    assert (await run(pipeline, query)).refused == "OPERATION_RESOLUTION_FAILURE"
    assert (await run(pipeline, "{ quiet }")).body["data"] == {"quiet": "LOUD"}


async def test_errors_and_messages_of_a_refusal_are_bounded() -> None:
    names = " ".join(f"nothing{number}" for number in range(49))
    answer = await run(build_pipeline(), "{ " + names + " " + "x" * 20_000 + " }")
    errors: Any = answer.body["errors"]
    assert len(errors) <= 20
    long = await run(build_pipeline(), "{ " + "x" * 20_000 + " }")
    assert len(first_error(long)["message"]) < 600


async def test_what_is_charged_is_exact() -> None:
    pipeline = build_pipeline(per_minute=60_000)

    def spent(answer: Answer) -> tuple[int, int]:
        cost: Any = answer.body["extensions"]
        return cost["cost"]["requested"], 60_000 - cost["cost"]["remaining"]

    assert spent(await run(pipeline, "{ markets(first: 9) { nodes { symbol } } }")) == (10, 10)
    assert spent(await run(pipeline, "{ nothing }")) == (1, 11)
    too_much = await run(pipeline, "{ markets(first: 20000) { nodes { symbol } } }")
    assert first_error(too_much)["extensions"]["code"] == "COST_LIMIT"
    assert first_error(too_much)["extensions"]["limit"] == 10_000
    assert first_error(too_much)["extensions"]["actual"] == 20_001
    assert spent(too_much) == (1, 12)
    long = "{ nothing " + "#" * 990 + "\n}"
    assert spent(await run(pipeline, long)) == (1 + len(long) // 100, 12 + 1 + len(long) // 100)


async def test_a_request_may_not_cost_more_than_the_budget_holds() -> None:
    with pytest.raises(ValueError, match="whole budget"):
        build_pipeline(per_minute=6_000)


async def test_a_stream_that_is_closed_early_ends_its_source() -> None:
    probe = Probe()
    pipeline = build_pipeline(probe=probe)
    stream = pipeline.stream(GraphQLRequest("subscription { forever }"), CALLER, allowed=ALL_OPERATIONS)
    await anext(stream)
    assert probe.open_streams == 1
    await stream.aclose()
    assert probe.open_streams == 0


async def test_persisted_queries_expire_and_are_checked() -> None:
    clock = ManualClock()
    cache = MemoryCache(clock)
    digest = "5f52b6b0a7b6b9b8e3a3f7f3a6ab6b4b6e2b0d0c2a1f0e9d8c7b6a5948372615"
    await cache.set(f"apq:{digest}", b"{ sequence }", ttl_seconds=10)
    with pytest.raises(PersistedQueryNotFound):
        await PersistedQueries(cache).find(digest)
    remembering, elsewhere = PersistedQueries(cache), PersistedQueries(cache)
    await remembering.remember("x", "{ sequence }")
    clock.advance(86_401)
    with pytest.raises(PersistedQueryNotFound):
        await elsewhere.find("x")


@pytest.mark.parametrize(
    "claim",
    [5, "x", [], {"version": 2, "sha256Hash": "0" * 64}, {"version": 1}, {"version": 1, "sha256Hash": 5},
     {"version": 1, "sha256Hash": "0" * 63}, {"version": 1, "sha256Hash": "A" * 64}, {"version": 1, "sha256Hash": "٠" * 64}],
)  # fmt: skip
async def test_a_malformed_claim_is_refused(claim: object) -> None:
    answer = await run(build_pipeline(), "{ sequence }", extensions={"persistedQuery": claim})
    assert answer.refused == InvalidInput.code


async def test_only_valid_documents_are_kept() -> None:
    cache = MemoryCache(ManualClock())
    pipeline = build_pipeline(cache=cache)
    text = "{ nothing }"
    digest = sha256(text.encode()).hexdigest()
    claim = {"persistedQuery": {"version": 1, "sha256Hash": digest}}
    assert (await run(pipeline, text, extensions=claim)).refused == "GRAPHQL_VALIDATION_FAILED"
    assert await cache.get(f"apq:{digest}") is None
