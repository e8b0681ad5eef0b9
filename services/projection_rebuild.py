"""Making every document that people read anew, from the journal alone."""

from collections.abc import Awaitable, Callable, Iterable

from models import projection
from services import exchange_tape
from services.projection import Projector


async def rebuild(open_projector: Callable[[], Awaitable[Projector]], symbols: Iterable[str]) -> int:
    """Forget what was projected and project it again; the sequence it reaches. No projector may run meanwhile, and readers see what is there
    so far. A rebuild that was stopped is begun again. Raises JournalDamaged, UnknownFormat, PyMongoError."""
    await projection.forget_everything()
    await exchange_tape.forget(symbols)
    projector = await open_projector()
    await projector.catch_up()
    return projector.place.sequence
