"""A socket's cookies count from a listed page alone: a browser asks nobody before it opens one."""

import pytest

from core.client_address import ClientAddresses
from core.database import Database
from server.authentication import Authentication, CrossSiteRefused, Handshake
from server.cookies import ACCESS
from server.origins import Origins
from tests.accounts import PAGE, NoLimits, world


@pytest.mark.parametrize("listed", [[PAGE], [PAGE, "*"]], ids=["listed", "everybody's"])
async def test_a_cookie_signs_for_a_listed_page_alone(database: Database, listed: list[str]) -> None:
    async with world() as vault:
        anna = await vault.signed_up("anna@example.com")
        authentication = Authentication(
            vault.accounts.authority, origins=Origins(listed), addresses=ClientAddresses(()), limits=NoLimits()
        )
        cookie = (b"cookie", f"{ACCESS}={anna.access}".encode())

        def opened(*origin: tuple[bytes, bytes]) -> Handshake:
            return Handshake([cookie, *origin], "192.0.2.1", "request-1")

        caller = await authentication.of_socket(opened((b"origin", PAGE.encode())), {})
        assert caller.viewer is not None
        assert caller.viewer.user_id == anna.user_id
        for origin in (b"https://evil.example", b"null", b"*", f"{PAGE}.evil.example".encode()):
            with pytest.raises(CrossSiteRefused):
                await authentication.of_socket(opened((b"origin", origin)), {})
        with pytest.raises(CrossSiteRefused):
            await authentication.of_socket(opened(), {})
        program = await authentication.of_socket(opened(), {"authorization": f"Bearer {anna.access}"})
        assert program.viewer == caller.viewer
