"""Reading ids that clients give back."""

from core.ids import MalformedId, decode_id
from core.refusals import UnknownObject


def key_of(id_: str, *kinds: str) -> str:
    """The key in an id of one of these kinds. Raises UnknownObject for any other text, as for an id of nothing."""
    try:
        kind, parts = decode_id(id_)
    except MalformedId as error:
        raise UnknownObject("there is no such thing", field=["id"]) from error
    if kind not in kinds or len(parts) != 1:
        raise UnknownObject("there is no such thing", field=["id"])
    return parts[0]
