"""The load clients, compiled once."""

import shutil
from pathlib import Path

import pytest

from bench import clients
from tests.components import missing


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Their programs by name."""
    for needed in ("cc", "taskset"):
        if shutil.which(needed) is None:
            missing(needed)
    return clients.build(tmp_path_factory.mktemp("clients"))
