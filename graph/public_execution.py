"""Execution of a public operation in one go, for an answer that is kept."""

from core.begun import Begun
from graph.judged import Judged
from graph.public import PublicContext
from graph.response_cache import Encoded, ResponseCache


def executed_now(judged: Judged, context: PublicContext, answers: ResponseCache) -> Encoded | None:
    """Execute and keep the answer; None where it has errors, or would have to wait, which nothing public does."""
    if judged.public is None or judged.coerced is None:
        return None
    version = judged.public.version()
    begun = Begun(judged.public.compiled.execute(context, judged.coerced))
    if not begun.done:
        begun.close()
        return None
    outcome = begun.value
    return None if outcome.errors else answers.keep_data(judged, version, outcome.data)
