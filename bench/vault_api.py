"""`python -m bench.vault_api [PORT]`: `python -m server api` with as many markets as `bench/shape.py` has; the catalogue's own files have fewer.

With a port it hears ticks there, as the peers do, over a bus in memory instead of Redis: as `python -m server dev` does, whose market data worker is a part of the process.
"""

import asyncio
import sys
from contextlib import ExitStack
from unittest.mock import patch

from bench import shape
from bench.peers import control
from bench.relay import Relay
from core.bus import MemoryBus
from core.wallet_vocabulary import ChainNetwork
from server import bootstrap
from server.commands import main
from services import catalogue
from services.catalogue import Catalogue

_read_files = catalogue.read_files


def longer(network: ChainNetwork = ChainNetwork.MAINNET) -> Catalogue:
    """The reviewed catalogue and the pairs that the bench adds, with the first market's rules."""
    found = _read_files(network)
    pattern = next(iter(found.markets.values()))
    for pair in shape.pairs():
        if pair.symbol not in found.markets:
            found.markets[pair.symbol] = pattern.model_copy(
                update={"symbol": pair.symbol, "base": pair.base, "quote": pair.quote, "providers": {}}
            )
    return found


class HearingBus(MemoryBus):
    """A bus in memory, and the relay of ticks on it."""

    def __init__(self, port: int) -> None:
        super().__init__()
        self._port = port
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Hear ticks from now on, until the process ends."""
        await super().start()
        relay = Relay(self)
        await control.listen(self._port, relay.take)
        self._tasks = [asyncio.create_task(each) for each in (relay.tell_tickers(), relay.answer())]


def run(arguments: list[str]) -> int:
    """Until the process is stopped."""
    with ExitStack() as stack:
        stack.enter_context(patch.object(catalogue, "read_files", longer))
        if arguments:
            bus = HearingBus(int(arguments[0]))
            stack.enter_context(patch.object(bootstrap, "_bus", lambda *_: bus))
        return main(["api"])


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
