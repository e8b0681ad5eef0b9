"""Keys of commands, the clients' and the house's own (`commands.HOUSE_KEY`): what the core remembers, and what storage has of those it has forgotten.

The core remembers a key until `KeysForgotten`; whoever executes commands asks `lookups` for what a command needs beyond that, finds it in
storage, and hands it over with `recall` before the command is executed.
"""

from collections.abc import Mapping

from events import commands
from exchange.accounts import Account
from exchange.state import State

_NAMING = (commands.CancelOrder, commands.CancelGroup, commands.AmendOrder)
"""What may name an order by the key that made it."""
Used = tuple[str, int]
"""A key's digest, and the sequence of what it made."""


class Keys:
    """Every key that was ever used, as far as it is remembered or recalled."""

    __slots__ = ("_found", "_state")

    def __init__(self, state: State) -> None:
        self._state = state
        self._found: Mapping[tuple[str, str], Used] = {}

    def recall(self, found: Mapping[tuple[str, str], Used]) -> None:
        """Know these from storage, by account and key, instead of those of the last call. They are no part of durable state."""
        self._found = found

    def used(self, account: Account, key: str) -> Used | None:
        """What an account's key did; None: nothing yet."""
        used = account.keys.get(key)
        return self._found.get((account.id, key)) if used is None and self._found else used

    def lookups(self, command: commands.Command) -> tuple[tuple[str, str], ...]:
        """The account and key that must be looked up before this command is executed, if it was not remembered: nothing of an account
        that has never had a key forgotten."""
        named = commands.key_of(command)
        if named is not None:
            account_id, key = named
        elif isinstance(command, _NAMING):
            account_id, key = command.account, command.client_id
        else:
            return ()
        account = self._state.accounts.get(account_id)
        if account is None or not account.forgot or not key or key in account.keys:
            return ()
        return ((account.id, key),)
