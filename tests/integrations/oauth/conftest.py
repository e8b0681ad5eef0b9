from collections.abc import AsyncIterator, Iterator

import pytest

from tests.integrations.oauth import real_provider
from tests.integrations.oauth.issuer import FakeIssuer


@pytest.fixture
async def issuer() -> AsyncIterator[FakeIssuer]:
    """An issuer that says what the test wants."""
    async with FakeIssuer().listening() as issuer:
        yield issuer


@pytest.fixture(scope="session")
def real_issuer() -> Iterator[str]:
    """The issuer of npm's oidc-provider, which lives as long as this test process."""
    with real_provider.running() as url:
        yield url
