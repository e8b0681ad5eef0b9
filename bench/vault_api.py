"""`python -m bench.vault_api`: `python -m server api` with as many markets as `bench/shape.py` has; the catalogue's own files have fewer."""

import sys
from unittest.mock import patch

from bench import shape
from core.wallet_vocabulary import ChainNetwork
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


if __name__ == "__main__":
    with patch.object(catalogue, "read_files", longer):
        sys.exit(main(["api"]))
