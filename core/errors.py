"""The base of every expected failure. Each area defines its own below it, beside the rule that raises it."""

from typing import ClassVar


class ExpectedError(Exception):
    """A failure a caller can act on. `code` is stable and public, the message is safe to show.

    `details` are added to the error's `extensions`: plain JSON values only.
    """

    code: ClassVar[str] = "INTERNAL"

    def __init__(self, message: str, **details: str | int | list[str] | None) -> None:
        super().__init__(message)
        self.message = message
        self.details = {key: value for key, value in details.items() if value is not None}


class InvalidInput(ExpectedError):
    """An argument has a value that cannot be used; `field` names it, the message says what would be right."""

    code = "BAD_USER_INPUT"


class NotAvailableYet(ExpectedError):
    """The part of the system that would answer does not exist or is not running."""

    code = "NOT_AVAILABLE"


class InvariantBroken(Exception):
    """A state that must not exist. Never caught: whoever raises it stops."""
