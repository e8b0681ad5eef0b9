"""Which nodes the settings name for a chain, in order of preference: those whose URLs are named, then Infura's, then Alchemy's.

A node is shown under a name that tells nothing of its URL, for URLs hold keys. Endpoints as the providers document them
(https://docs.metamask.io/services/get-started/endpoints/, https://www.alchemy.com/docs/reference/node-supported-chains).
"""

from typing import NamedTuple
from urllib.parse import quote

from pydantic import SecretStr

from core.settings_chains import ChainSettings
from core.settings_values import urls_of
from core.wallet_vocabulary import ChainNetwork

_MAINNET, _TESTNET = ChainNetwork.MAINNET, ChainNetwork.TESTNET
_INFURA = {
    ("ethereum", _MAINNET): "mainnet",
    ("ethereum", _TESTNET): "sepolia",
    ("polygon", _MAINNET): "polygon-mainnet",
    ("polygon", _TESTNET): "polygon-amoy",
    ("bsc", _MAINNET): "bsc-mainnet",
    ("bsc", _TESTNET): "bsc-testnet",
}
_ALCHEMY = {
    ("ethereum", _MAINNET): "eth-mainnet",
    ("ethereum", _TESTNET): "eth-sepolia",
    ("polygon", _MAINNET): "polygon-mainnet",
    ("polygon", _TESTNET): "polygon-amoy",
    ("bsc", _MAINNET): "bnb-mainnet",
    ("bsc", _TESTNET): "bnb-testnet",
    ("solana", _MAINNET): "solana-mainnet",
    ("solana", _TESTNET): "solana-devnet",
}


class NodeAddress(NamedTuple):
    """A node: the name that may be shown, and its URL, which may hold a key."""

    name: str
    url: str


def nodes_of(settings: ChainSettings, chain: str) -> tuple[NodeAddress, ...]:
    """The JSON-RPC nodes of a chain on the network of the settings; none: the chain cannot be seen."""
    place = (chain, settings.blockchain_network)
    found = [NodeAddress(f"node-{number}", url) for number, url in enumerate(_named(settings, chain), start=1)]
    if settings.infura_api_key is not None and place in _INFURA:
        url = f"https://{_INFURA[place]}.infura.io/v3/{_in_path(settings.infura_api_key)}"
        found.append(NodeAddress("infura", url))
    if settings.alchemy_api_key is not None and place in _ALCHEMY:
        url = f"https://{_ALCHEMY[place]}.g.alchemy.com/v2/{_in_path(settings.alchemy_api_key)}"
        found.append(NodeAddress("alchemy", url))
    return tuple(found)


def _named(settings: ChainSettings, chain: str) -> tuple[str, ...]:
    """The URLs that the settings name for a chain."""
    named: dict[str, SecretStr | None] = {
        "ethereum": settings.ethereum_rpc_url,
        "polygon": settings.polygon_rpc_url,
        "bsc": settings.bsc_rpc_url,
        "solana": settings.solana_rpc_url,
        "bitcoin": settings.bitcoin_rpc_url,
    }
    secret = named.get(chain)
    return () if secret is None else urls_of(secret)


def _in_path(key: SecretStr) -> str:
    return quote(key.get_secret_value(), safe="")
