"""The house's keys of deposits and withdrawals in the ledger, and what they name: so that a line of a statement leads to the transfer it came from.

A deposit is credited and taken back once in each round; a withdrawal ends once, settled or released.
"""

from events.commands import HOUSE_KEY

DEPOSIT, WITHDRAWAL = "deposit", "withdrawal"
_REVERSAL = "reverse"


def credit_key(deposit_id: str, round_: int) -> str:
    """Of a deposit's credit."""
    return f"{HOUSE_KEY}{DEPOSIT}:{deposit_id}:{round_}"


def reversal_key(deposit_id: str, round_: int) -> str:
    """Of what takes a deposit's credit back."""
    return f"{HOUSE_KEY}{_REVERSAL}:{deposit_id}:{round_}"


def end_key(withdrawal_id: str) -> str:
    """Of both ends of a withdrawal: what was settled cannot be released, nor the other way round."""
    return f"{HOUSE_KEY}{WITHDRAWAL}:{withdrawal_id}"


def transfer_of(key: str) -> str | None:
    """What a key names: `deposit:ID` or `withdrawal:ID`; None for any other key."""
    if not key.startswith(HOUSE_KEY):
        return None
    kind, _, rest = key.removeprefix(HOUSE_KEY).partition(":")
    if kind == WITHDRAWAL:
        return f"{WITHDRAWAL}:{rest}"
    return f"{DEPOSIT}:{rest.rpartition(':')[0]}" if kind in {DEPOSIT, _REVERSAL} else None
