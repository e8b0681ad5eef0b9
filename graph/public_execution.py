"""Execution of public operations in one go, for answers and forms that are kept."""

from dataclasses import dataclass

from graphql.execution.values import VariableValues

from core.begun import Begun
from graph.compile import Outcome
from graph.forms import Form, encoded
from graph.judged import Judged, PublicOperation
from graph.public import PublicContext, Version
from graph.response_cache import Encoded, ResponseCache, VersionedCache

_BYTES_HELD = 32 * 1024 * 1024
_PER_FORM = 500
"""Bytes that one takes beside its data, and the note that there is none."""


def executed_now(judged: Judged, context: PublicContext, answers: ResponseCache) -> Encoded | None:
    """Execute and keep the answer; None where it has errors, or would have to wait, which nothing public does."""
    if judged.public is None:
        return None
    version = judged.public.version()
    outcome = _outcome(judged, judged.public, context)
    return None if outcome is None else answers.keep_data(judged, version, outcome.data)


@dataclass(frozen=True, slots=True)
class _KeptForm:
    version: Version
    form: Form | None
    """None where the public part has an error in this version."""

    @property
    def size(self) -> int:
        return _PER_FORM + (0 if self.form is None else self.form.size)


class Forms:
    """The public parts of operations that are not public as a whole, encoded; each as it is now."""

    def __init__(self, context: PublicContext) -> None:
        self._context = context
        self._held: VersionedCache[_KeptForm] = VersionedCache(bytes_held=_BYTES_HELD)

    def of(self, judged: Judged) -> Form | None:
        """That of an operation; None where it is to be executed as a whole."""
        operation = judged.form
        if operation is None:
            return None
        held = self._held.find(judged, operation.version)
        if held is None:
            version = operation.version()
            outcome = _outcome(judged, operation, self._context)
            held = _KeptForm(version, None if outcome is None else encoded(outcome.data))
            self._held.keep(judged, held)
        return held.form


async def filled(form: Form, judged: Judged, context: object, variables: VariableValues) -> Outcome:
    """The form of an operation with what is a caller's own. Raises orjson.JSONEncodeError, and TypeError for another operation's form."""
    if judged.form is None:
        raise TypeError("the form is of another operation")
    run = judged.form.compiled.run(context, variables)
    data = await form.filled(run)
    return Outcome(data, run.errors)  # type: ignore[arg-type]


def _outcome(judged: Judged, operation: PublicOperation, context: PublicContext) -> Outcome | None:
    """What an execution gives at once and without errors."""
    if judged.coerced is None:
        return None
    begun = Begun(operation.compiled.execute(context, judged.coerced))
    if not begun.done:
        begun.close()
        return None
    return None if begun.value.errors else begun.value
