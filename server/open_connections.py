"""How many connections that stay open an address and an account have: sockets and streaming responses together."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from core.client_address import limit_key
from core.errors import ExpectedError
from graph.request import Caller


class TooManyConnections(ExpectedError):
    """An address, or an account, has as many open as it may."""

    code = "TOO_MANY_CONNECTIONS"


class OpenConnections:
    """Of this process."""

    def __init__(self, *, per_address: int, per_account: int) -> None:
        self.per_address = per_address
        self.per_account = per_account
        self.by_address: Counter[str] = Counter()
        self.by_account: Counter[str] = Counter()

    @contextmanager
    def opened(self, caller: Caller) -> Iterator[None]:
        """Count a streaming response while it lasts. Raises TooManyConnections."""
        address = limit_key(caller.client.address)
        account = caller.viewer.user_id if caller.viewer is not None else None
        if self.by_address[address] >= self.per_address:
            raise TooManyConnections(f"at most {self.per_address} connections from one address", limit=self.per_address)
        if account is not None and self.by_account[account] >= self.per_account:
            raise TooManyConnections(f"at most {self.per_account} connections of one account", limit=self.per_account)
        self.by_address[address] += 1
        if account is not None:
            self.by_account[account] += 1
        try:
            yield
        finally:
            release(self.by_address, address)
            if account is not None:
                release(self.by_account, account)


def release(counts: Counter[str], key: str) -> None:
    """One less of this key."""
    counts[key] -= 1
    if not counts[key]:
        del counts[key]
