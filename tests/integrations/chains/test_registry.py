"""Which nodes the settings name for a chain."""

from typing import Any

import pytest

from core.settings import Settings
from integrations.chains.registry import nodes_of


def nodes(chain: str, **settings: Any) -> list[tuple[str, str]]:
    return [(name, url) for name, url in nodes_of(Settings(_env_file=None, **settings), chain)]


def test_named_nodes_come_first_then_the_providers() -> None:
    found = nodes(
        "ethereum",
        ethereum_rpc_url="http://a:8545, http://b:8545/geheim",
        infura_api_key="i",
        alchemy_api_key="a",
        blockchain_network="mainnet",
    )
    assert found == [
        ("node-1", "http://a:8545"),
        ("node-2", "http://b:8545/geheim"),
        ("infura", "https://mainnet.infura.io/v3/i"),
        ("alchemy", "https://eth-mainnet.g.alchemy.com/v2/a"),
    ]


@pytest.mark.parametrize(
    ("chain", "network", "hosts"),
    [
        ("ethereum", "testnet", ["sepolia.infura.io", "eth-sepolia.g.alchemy.com"]),
        ("polygon", "mainnet", ["polygon-mainnet.infura.io", "polygon-mainnet.g.alchemy.com"]),
        ("polygon", "testnet", ["polygon-amoy.infura.io", "polygon-amoy.g.alchemy.com"]),
        ("bsc", "mainnet", ["bsc-mainnet.infura.io", "bnb-mainnet.g.alchemy.com"]),
        ("bsc", "testnet", ["bsc-testnet.infura.io", "bnb-testnet.g.alchemy.com"]),
        ("solana", "mainnet", ["solana-mainnet.g.alchemy.com"]),
        ("solana", "testnet", ["solana-devnet.g.alchemy.com"]),
        ("bitcoin", "mainnet", []),
        ("ethereum", "local", []),
    ],
)
def test_a_key_opens_the_endpoint_of_its_chain_and_network(chain: str, network: str, hosts: list[str]) -> None:
    found = nodes(chain, infura_api_key="a/b", alchemy_api_key="a/b", blockchain_network=network)
    assert [url.split("/")[2] for _, url in found] == hosts
    assert all(url.endswith("/a%2Fb") for _, url in found)


@pytest.mark.parametrize("chain", ["ethereum", "polygon", "bsc", "solana", "bitcoin"])
def test_without_settings_a_chain_has_no_nodes(chain: str) -> None:
    assert nodes(chain) == []
    url = f"https://{chain}.example/geheim"
    assert nodes(chain, **{f"{chain}_rpc_url": url}) == [("node-1", url)]
