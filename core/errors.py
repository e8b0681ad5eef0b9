"""The base of every expected failure. Each area defines its own below it, beside the rule that raises it."""

from collections.abc import Mapping
from typing import ClassVar

from core.translations import translated

Detail = str | int | list[str] | None


class ExpectedError(Exception):
    """A failure a caller can act on. `code` is stable and public, the message is safe to show.

    `details` are added to the error's `extensions`: plain JSON values only.
    """

    code: ClassVar[str] = "INTERNAL"

    def __init__(self, message: str, **details: Detail) -> None:
        super().__init__(message)
        self.message = message
        self.details = {key: value for key, value in details.items() if value is not None}

    def message_in(self, locale: str) -> str:  # noqa: ARG002
        """The message in this language, as far as it is translated."""
        return self.message


class TranslatableError(ExpectedError):
    """A failure that people meet, told in their own language.

    `text` is the English message with `{names}` of `values`; `core/translations.py` has it in the other languages.
    """

    def __init__(self, text: str, values: Mapping[str, str | int] | None = None, **details: Detail) -> None:
        self.text = text
        self.values = dict(values or {})
        super().__init__(text.format_map(self.values), **details)

    def message_in(self, locale: str) -> str:
        return translated(self.text, locale).format_map(self.values)


class InvalidInput(ExpectedError):
    """An argument has a value that cannot be used; `field` names it, the message says what would be right."""

    code = "BAD_USER_INPUT"


class NotAvailableYet(ExpectedError):
    """The part of the system that would answer does not exist or is not running."""

    code = "NOT_AVAILABLE"


class RateLimited(TranslatableError):
    """Too much in too short a time. Detail: `retryAfter`, seconds."""

    code = "RATE_LIMITED"


class InvariantBroken(Exception):
    """A state that must not exist. Whoever raises it stops; it is caught only to say so and let what has nothing to do with it go on (`workers/deposits.py`)."""
