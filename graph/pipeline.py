"""From a document's text to an answer: parse, limits, validation and cost, then execution by Strawberry's own schema.

What does not depend on variables is done once per document and kept by its text. A caller without a point is refused at
the door, before the request is looked at. Every other request pays once: its cost before it runs, or what refusing it cost.
"""

from collections.abc import AsyncGenerator, Collection, Mapping
from contextlib import AbstractContextManager, aclosing, nullcontext
from dataclasses import dataclass, field

import orjson
from graphql import GraphQLError, OperationType
from graphql.execution.values import VariableValues
from strawberry.types.execution import ExecutionResult, PreExecutionError

from core.begun import Begun
from core.budget import Budget, MemoryBudget
from core.errors import ExpectedError, InvalidInput
from core.timeouts import Timeouts
from graph.answering import Answering, Operation, OutOfPoints
from graph.at_once import AtOnceExecution
from graph.compile import CompiledOperation, KnownOutcome
from graph.compiled.events import NotStarted
from graph.cost import LEAST_POINTS, OperationCost
from graph.documents import Document, Documents
from graph.errors import (
    INTERNAL,
    ErrorRenderer,
    OperationTimedOut,
    RequestRefused,
)
from graph.execution import PipelineSchema, with_document
from graph.forms import Form
from graph.judged import Judged, PublicOperation
from graph.judging import Judging
from graph.limits import DocumentLimits
from graph.own_events import OwnEvents
from graph.persisted import PersistedQueries, claimed_hash
from graph.public import PublicData
from graph.public_execution import Forms, executed_now, filled
from graph.read_marks import marks, take_mark
from graph.request import Answer, Caller, ContextFactory, EncodedAnswer, GraphQLRequest
from graph.response_cache import Encoded, ResponseCache
from graph.sharing import EventsAccount, SharedStream, compact, encoding, sharing_key
from graph.started import MakeBroadcast, Started, only, running


@dataclass(frozen=True, slots=True)
class PipelineLimits:
    """Limits that do not depend on the transport."""

    document: DocumentLimits = field(default_factory=DocumentLimits)
    cost_per_request: int = 10_000
    execution_seconds: float = 10.0
    suggestions: bool = False
    """Whether error messages may name what the schema has (`Did you mean`)."""
    introspection: bool = True
    """Whether the schema may be asked for."""


class Pipeline:
    """Serves operations on one schema to every transport."""

    def __init__(
        self,
        schema: PipelineSchema,
        *,
        context_factory: ContextFactory,
        budget: Budget,
        events_budget: MemoryBudget,
        persisted: PersistedQueries,
        limits: PipelineLimits,
        broadcast: MakeBroadcast,
        public: PublicData | None = None,
        answers: ResponseCache | None = None,
    ) -> None:
        """`broadcast` makes what a shared field tells with these arguments.

        `public`: what operations that are public as a whole are executed with; `answers`: where theirs are kept.
        """
        if limits.cost_per_request > budget.capacity:
            raise ValueError("a request may not cost more than a caller's whole budget")
        self._schema = schema
        self._graphql = schema._schema
        self._context_factory = context_factory
        self._budget = budget
        self._answering = Answering(budget)
        self._events_budget = events_budget
        self._persisted = persisted
        self._broadcast = broadcast
        self._limits = limits
        self._timeouts = Timeouts(limits.execution_seconds)
        self._public = public
        self._at_once = AtOnceExecution(limits.execution_seconds)
        self._answers = ResponseCache() if answers is None else answers
        self._forms = None if public is None else Forms(public.context)
        self._own = None if public is None else OwnEvents(public.context.catalogue)
        self._judging = Judging(
            schema, suggestions=limits.suggestions, cost_per_request=limits.cost_per_request, public=public
        )
        self._documents = Documents(
            schema, limits.document, suggestions=limits.suggestions, introspection=limits.introspection
        )

    async def execute(
        self, request: GraphQLRequest, caller: Caller, *, allowed: Collection[OperationType], encoded: bool = False
    ) -> Answer:
        """Run a query or a mutation. Never raises for anything the caller or a resolver did.

        `encoded`: whether an answer may come as bytes, `Answer.encoded`, possibly those of an earlier execution, or have its data encoded already, as an `orjson.Fragment`.
        """
        errors = ErrorRenderer(caller.request_id, caller.client.locale)
        take_mark(request, caller)
        try:
            operation = await self._admit(request, caller, allowed)
        except RequestRefused as refused:
            return await self._answering.refused(refused, errors, request, caller)
        if encoded and operation.judged.public is not None:
            return await self._run_public(operation, operation.judged.public, caller, errors)
        return await self._run(operation, caller, errors, encoded=encoded)

    async def stream(
        self, request: GraphQLRequest, caller: Caller, *, allowed: Collection[OperationType]
    ) -> AsyncGenerator[Answer, None]:
        """Run any operation; a query or a mutation gives one answer. An answer with `refused` is the last."""
        started = await self.start(request, caller, allowed=allowed)
        async with aclosing(started.answers()) as answers:
            async for answer in answers:
                yield answer

    async def start(
        self, request: GraphQLRequest, caller: Caller, *, allowed: Collection[OperationType], encoded: bool = False
    ) -> Started:
        """Admit any operation: what it answers by itself, and how it may be shared. `encoded`: whether the data of an event may be encoded already, as `orjson.Fragment`s."""
        errors = ErrorRenderer(caller.request_id, caller.client.locale)
        take_mark(request, caller)
        try:
            operation = await self._admit(request, caller, allowed)
        except RequestRefused as refused:
            answer = await self._answering.refused(refused, errors, request, caller)
            return Started(lambda: only(answer), "unknown", refused=answer)
        if operation.definition.operation is not OperationType.SUBSCRIPTION:
            return Started(lambda: running(self._run(operation, caller, errors)), operation.label)
        return Started(
            lambda: self._events(operation, caller, errors, encoded=encoded),
            operation.label,
            goes_on=True,
            shared=self._shared(operation, caller),
            ended=lambda error: self._ended(error, operation, caller, errors),
        )

    def estimate(self, text: str, variables: Mapping[str, object] | None = None) -> OperationCost:
        """Cost of an operation that is not run.

        Raises:
            ExpectedError: beyond a limit, or not a valid document of one operation with these variables.
        """
        try:
            document = self._documents.read(text)
            definition = document.operation(None)
            return self._judging.cost(document, definition, self._judging.coerced(definition, variables or {}))
        except RequestRefused as refused:
            first = refused.errors[0]
            if isinstance(first, ExpectedError):
                raise first from refused
            raise InvalidInput(str(getattr(first, "message", first)), field="document") from refused

    @property
    def budget(self) -> Budget:
        """What callers spend from."""
        return self._budget

    @property
    def answers(self) -> ResponseCache:
        """Answers that are kept."""
        return self._answers

    @property
    def cost_limit(self) -> int:
        """Points one request may cost."""
        return self._limits.cost_per_request

    async def _admit(self, request: GraphQLRequest, caller: Caller, allowed: Collection[OperationType]) -> Operation:
        if (exhausted := self._budget.exhausted(caller.limit_key)) is not None:
            raise RequestRefused.because(OutOfPoints(LEAST_POINTS, exhausted))
        document = await self._find_document(request)
        variables = request.variables or {}
        judged = self._judging.judged(document, request.operation_name, variables, allowed)
        remaining = await self._spend(self._budget, caller.limit_key, judged.cost.points)
        return Operation(document, judged, variables, remaining)

    async def _find_document(self, request: GraphQLRequest) -> Document:
        try:
            digest = claimed_hash(request.extensions, request.query)
            text = request.query
            if text is None:
                text = await self._persisted.find(digest or "")
        except ExpectedError as error:
            raise RequestRefused.because(error) from error
        document = self._documents.read(text)
        if digest is not None and request.query is not None:
            await self._persisted.remember(digest, text)
        return document

    async def _spend(self, budget: Budget, key: str, points: int) -> int:
        """Points that are left."""
        allowance = await budget.take(key, points, if_refused=LEAST_POINTS)
        if not allowance.granted:
            raise RequestRefused.because(OutOfPoints(points, allowance))
        return allowance.remaining

    async def _run(
        self,
        operation: Operation,
        caller: Caller,
        errors: ErrorRenderer,
        compiled: CompiledOperation | None = None,
        *,
        encoded: bool = False,
    ) -> Answer:
        """`compiled`: in the place of the document's own. `encoded`: whether the data may come as JSON that was put together."""
        try:
            form = self._forms.of(operation.judged) if encoded and self._forms is not None else None
            begun = Begun(
                self._executed(operation, caller, compiled) if form is None else self._filled(form, operation, caller)
            )
            if begun.done:
                result = begun.value
            else:
                with self._timeouts.limit():
                    result = await begun
        except TimeoutError:
            seconds = self._limits.execution_seconds
            refused = RequestRefused.because(OperationTimedOut(f"execution took longer than {seconds:g} s"))
            body: dict[str, object] = {"errors": errors.refusal(refused)}
            return self._answering.failed(body, operation, refused.code)
        except Exception as error:  # noqa: BLE001 - the edge: whatever a resolver or extension did ends here
            body = {"errors": [errors.unexpected(error)]}
            return self._answering.failed(body, operation, INTERNAL)
        others = {**(result.extensions or {}), **marks(caller)}
        cost = self._answering.cost(operation.cost.points, operation.remaining, others)
        return self._answering.answer(result, operation, errors, cost, did_not_wait=begun.done and not others)

    def refreshed(self, judged: Judged) -> Encoded | None:
        """The answer to a public operation, executed at once; None where that does not give one."""
        return None if self._public is None else executed_now(judged, self._public.context, self._answers)

    def answered_now(self, judged: Judged, caller: Caller) -> Encoded | None:
        """The answer to a private operation that did not wait before, executed at once; None where that does not give one, or not all of it."""
        if judged.compiled is None or judged.coerced is None:
            return None
        context = self._context_factory(caller)
        form = None if self._forms is None else self._forms.of(judged)
        if form is None:
            return self._at_once.executed_for(caller, judged.compiled.execute(context, judged.coerced))
        return self._at_once.executed_for(caller, filled(form, judged, context, judged.coerced))

    async def _run_public(
        self, operation: Operation, public: PublicOperation, caller: Caller, errors: ErrorRenderer
    ) -> Answer:
        """As `_run`, from what is kept where that is true now."""
        found = self._answers.find(operation.judged, public.version)
        if found is None:
            version = public.version()
            answer = await self._run(operation, caller, errors, public.compiled)
            if "errors" not in answer.body:
                found = self._answers.keep_data(operation.judged, version, answer.body["data"])
            if found is None:
                return answer
        told = EncodedAnswer(found, self._extensions(operation, caller))
        remaining, judged = operation.remaining, operation.judged
        return Answer({}, None, operation.label, remaining=remaining, encoded=told, did_not_wait=judged)

    def _extensions(self, operation: Operation, caller: Caller) -> bytes:
        cost = self._answering.cost(operation.cost.points, operation.remaining, marks(caller))
        return orjson.dumps(cost["extensions"])

    async def _executed(
        self, operation: Operation, caller: Caller, compiled: CompiledOperation | None
    ) -> ExecutionResult:
        judged = operation.judged
        nobodys = None if judged.public is None or self._public is None else self._public.context
        context = nobodys or self._context_factory(caller)
        compiled = compiled or judged.compiled
        if compiled is not None:
            outcome = await compiled.execute(context, self._coerced(operation))
            return ExecutionResult(outcome.data, list(outcome.errors))
        return await self._schema.execute(
            operation.document.text,
            variable_values=dict(operation.variables),
            context_value=context,
            operation_name=judged.name,
            operation_extensions=with_document(operation.document.node),
        )

    async def _filled(self, form: Form, operation: Operation, caller: Caller) -> ExecutionResult:
        """What is public is in the form; executed is what is the caller's own."""
        outcome = await filled(form, operation.judged, self._context_factory(caller), self._coerced(operation))
        return ExecutionResult(outcome.data, list(outcome.errors))

    def _coerced(self, operation: Operation) -> VariableValues:
        return operation.judged.coerced or self._judging.coerced(operation.definition, operation.variables)

    async def _events(
        self, operation: Operation, caller: Caller, errors: ErrorRenderer, *, encoded: bool
    ) -> AsyncGenerator[Answer, None]:
        """One answer per event. The first also says what the subscription cost and what is left."""
        cost: Mapping[str, object] = self._answering.cost(operation.cost.points, operation.remaining)["extensions"]
        try:
            with self._own_events(operation, caller, encoded=encoded) as known:
                async with aclosing(self._results(operation, self._context_factory(caller), known)) as results:
                    async for result in results:
                        if not isinstance(result, PreExecutionError):
                            await self._spend(self._events_budget, caller.events_key, operation.cost.per_event or 0)
                        extensions = {**cost, **marks(caller)}
                        others = {"extensions": extensions} if extensions else {}
                        yield self._answering.answer(result, operation, errors, others)
                        cost = {}
        except RequestRefused as refused:
            yield await self._answering.refused(refused, errors, None, caller, operation)
        except Exception as error:  # noqa: BLE001 - the edge, as above
            yield Answer({"errors": [errors.unexpected(error)]}, INTERNAL, operation.label)

    def _shared(self, operation: Operation, caller: Caller) -> SharedStream | None:
        """How a subscription may be shared; None when it may not, and for one that is at fault: executing it tells what is wrong."""
        compiled = operation.judged.compiled
        if compiled is None or compiled.shared is None or caller.reader.shown:
            return None
        locale, coerced = caller.client.locale, self._coerced(operation)
        try:
            arguments = compiled.shared_arguments(compiled.shared, coerced)
            broadcast = self._broadcast(compiled.shared, arguments)
        except Exception:  # noqa: BLE001 - whatever it is, executing meets it again and tells it
            return None
        cost = self._answering.cost(operation.cost.points, operation.remaining)["extensions"]
        return SharedStream(
            key=sharing_key(compiled, compiled.shared, broadcast, coerced, locale),
            broadcast=broadcast,
            encode=encoding(compiled, coerced, locale),
            extensions=compact(orjson.dumps(cost)),
            account=EventsAccount(self._events_budget, caller.events_key, operation.cost.per_event or 0),
        )

    async def _ended(self, error: Exception, operation: Operation, caller: Caller, errors: ErrorRenderer) -> Answer:
        """What a subscriber is told whose shared subscription ended with this."""
        if isinstance(error, OutOfPoints):
            return await self._answering.refused(RequestRefused.because(error), errors, None, caller, operation)
        result = ExecutionResult(None, [GraphQLError(str(error), original_error=error)])
        return self._answering.answer(result, operation, errors, {})

    def _own_events(
        self, operation: Operation, caller: Caller, *, encoded: bool
    ) -> AbstractContextManager[KnownOutcome | None]:
        """What knows the outcomes that are the same for all of an account who ask the same."""
        compiled = operation.judged.compiled
        if not encoded or self._own is None or compiled is None or compiled.own is None or caller.viewer is None:
            return nullcontext()
        variables, locale = self._coerced(operation), caller.client.locale
        return self._own.joined(compiled, compiled.own, caller.viewer.user_id, variables, locale)

    async def _results(
        self, operation: Operation, context: object, known: KnownOutcome | None
    ) -> AsyncGenerator[ExecutionResult, None]:
        """What each event of a subscription gives. The last may be what it failed with; a PreExecutionError when it never began."""
        compiled = operation.judged.compiled
        if compiled is None:
            source = await self._schema.stream(
                operation.document.text,
                variable_values=dict(operation.variables),
                context_value=context,
                operation_name=operation.judged.name,
                operation_extensions=with_document(operation.document.node),
            )
            async with aclosing(source):
                async for result in source:
                    if not isinstance(result, ExecutionResult):
                        raise TypeError(f"incremental delivery is not served, got {type(result).__name__}")
                    yield result
            return
        try:
            events = compiled.events(context, self._coerced(operation), operation.variables, known)
            async with aclosing(events) as outcomes:
                async for outcome in outcomes:
                    yield ExecutionResult(outcome.data, list(outcome.errors))
        except NotStarted as refused:
            yield PreExecutionError(None, list(refused.errors))
        except GraphQLError as error:
            yield ExecutionResult(None, [error])
        except Exception as error:  # noqa: BLE001 - what a source ends with is told
            yield ExecutionResult(None, [GraphQLError(str(error), original_error=error)])
