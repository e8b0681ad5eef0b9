import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from integrations.feeds.http import HttpPolicy
from integrations.feeds.socket import SocketPolicy

Sample = Callable[[str], Any]


@pytest.fixture
def sample(shared_data: Path) -> Sample:
    """Reads one recorded message, such as binance/ws_spot_trade."""
    return lambda name: json.loads((shared_data / "api-samples" / f"{name}.json").read_text())


@pytest.fixture
def sample_text(shared_data: Path) -> Callable[[str], str]:
    """The very text of one recorded message."""
    return lambda name: (shared_data / "api-samples" / f"{name}.json").read_text()


@pytest.fixture
def quick() -> SocketPolicy:
    """A socket's limits, short enough for a test."""
    return SocketPolicy(
        open_seconds=2, stall_seconds=20, first_backoff_seconds=0.01, most_backoff_seconds=0.02, send_gap_seconds=0
    )


@pytest.fixture
def quick_http() -> HttpPolicy:
    """A request's limits, short enough for a test."""
    return HttpPolicy(total_seconds=2, attempts=2, first_backoff_seconds=0.01, most_backoff_seconds=0.02)
