"""`pytest tests/simulation -k seed-17` runs that one seed."""

import re

import pytest


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Let a seed that is asked for by name be a test."""
    if "seed" in metafunc.fixturenames:
        asked = re.findall(r"\bseed-(\d+)\b", str(metafunc.config.getoption("keyword")))
        metafunc.parametrize("seed", [int(seed) for seed in asked], ids=lambda seed: f"seed-{seed}")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """No seed asked for by name: no test, and none that is skipped."""
    items[:] = [item for item in items if item.name != "test_one_seed[NOTSET]"]
