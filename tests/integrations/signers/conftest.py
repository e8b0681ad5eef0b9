"""One KMS for a test process, and credentials for it."""

from collections.abc import Iterator

import pytest

from tests.kms import CREDENTIALS, kms_server


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(scope="session")
def kms_url() -> Iterator[str]:
    with kms_server() as url:
        yield url
