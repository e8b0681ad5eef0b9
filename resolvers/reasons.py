"""Why an operator does something, as they write it."""

from core.errors import InvalidInput

LONGEST_REASON = 500


def reason_of(text: str) -> str:
    """The reason without blanks around it. Raises InvalidInput for none, one too long, or one with characters that cannot be seen."""
    reason = text.strip()
    if not 0 < len(reason) <= LONGEST_REASON or not reason.isprintable():
        raise InvalidInput(
            f"expected a reason of 1 to {LONGEST_REASON} characters that can be seen", field=["input", "reason"]
        )
    return reason
