"""Names that people give to themselves and to their things."""

import unicodedata

from core.account_vocabulary import AuthErrorCode
from core.refusals import AuthRefused

LONGEST = 60


class NameInvalid(AuthRefused):
    """The name is empty, too long, or has characters that cannot be seen."""

    code = AuthErrorCode.NAME_INVALID


def checked_name(text: str, *, field: list[str], most: int = LONGEST) -> str:
    """The name in Unicode NFC without blanks around it. Raises NameInvalid that names the field."""
    name = unicodedata.normalize("NFC", text[: 4 * LONGEST]).strip()
    if len(text) > 4 * LONGEST or not 0 < len(name) <= most or not name.isprintable():
        raise NameInvalid("expected a name of 1 to {most} characters that can be seen", {"most": most}, field=field)
    return name


def visible_name(text: str) -> str | None:
    """As much of a text as a name may be, without what cannot be seen: for names that programs give, which are not refused. None: nothing."""
    visible = "".join(character for character in text[: 4 * LONGEST] if character.isprintable())
    return unicodedata.normalize("NFC", visible).strip()[:LONGEST].strip() or None
