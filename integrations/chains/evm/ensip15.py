"""Normalisation of ENS names (ENSIP-15). Its tables take a tenth of a second to load, so it is a module of its own, loaded for the first name that needs it."""

from ens._normalization import normalize_name_ensip15
from ens.exceptions import InvalidName


def normalise(text: str) -> str:
    """The name in its one form. Raises ValueError for what could be mistaken for another name, or is none."""
    try:
        normal: str = normalize_name_ensip15(text).as_text
    except InvalidName as error:
        raise ValueError(str(error)) from error
    return normal
