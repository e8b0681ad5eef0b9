"""Which aggregators are asked, by the settings."""

from typing import Any

import pytest

from core.settings import Settings
from integrations.swaps.registry import build_aggregators

ROWS = [
    ({"blockchain_network": "mainnet"}, (True, False)),
    ({"blockchain_network": "mainnet", "zerox_api_key": "key"}, (True, True)),
    ({"blockchain_network": "testnet", "zerox_api_key": "key"}, (False, False)),
    ({"blockchain_network": "local", "lifi_url": "http://127.0.0.1:1"}, (True, False)),
    ({"blockchain_network": "local", "zerox_url": "http://127.0.0.1:1"}, (False, False)),
    ({"blockchain_network": "local", "zerox_url": "http://127.0.0.1:1", "zerox_api_key": "key"}, (False, True)),
]


@pytest.mark.parametrize(("said", "asked"), ROWS)
async def test_who_is_asked(said: dict[str, Any], asked: tuple[bool, bool]) -> None:
    settings = Settings(_env_file=None, **said)
    found = build_aggregators(settings, settings.blockchain_network)
    assert (found.lifi is not None, found.zerox is not None) == asked
    await found.close()
