"""Mutations about accounts by name, for tests: everything of their payloads, and step-up where it is demanded."""

from collections.abc import Mapping
from typing import Any

from core.account_vocabulary import UserStatus
from models import audit_event, user
from models.audit_event import AuditEventDocument
from models.user import UserDocument
from services.authority import CredentialRejected
from services.viewer import Client
from tests.accounts import CLIENT, Person, World
from tests.attacks import surface
from tests.attacks.surface import Site

MUTATIONS: Mapping[str, Site] = {site.name: site for site in surface.sites() if site.operation == "mutation"}
_TEXTS = {name: surface.call(site, full=True)[0] for name, site in MUTATIONS.items()}


async def asked(
    here: World, name: str, person: Person | None = None, /, *, client: Client = CLIENT, **given: Any
) -> dict[str, Any]:
    """The whole answer to a mutation with this input."""
    return await here.ask_as(here.caller(person, client=client), _TEXTS[name], input=given)


async def payload(
    here: World, name: str, person: Person | None = None, /, *, client: Client = CLIENT, **given: Any
) -> dict[str, Any]:
    """The payload of a mutation with this input, done or refused."""
    body = await asked(here, name, person, client=client, **given)
    unread = [error for error in body.get("errors", ()) if error["path"][1:] != ["wallet", "balances"]]
    assert not unread, body  # here no chain has a node to ask for what a wallet holds
    found: dict[str, Any] = body["data"][name]
    return found


async def done(
    here: World, name: str, person: Person | None = None, /, *, client: Client = CLIENT, **given: Any
) -> dict[str, Any]:
    """The payload of a mutation that is done."""
    found = await payload(here, name, person, client=client, **given)
    assert found["errors"] == [], found
    return found


async def proven(here: World, name: str, person: Person, /, **given: Any) -> dict[str, Any]:
    """The payload of a sensitive mutation whose caller has proven to be there."""
    proof = await here.proof(person, name, given)
    return await payload(here, name, person, **given, stepUpProof=proof)


def refusals(found: Mapping[str, Any]) -> list[tuple[str, list[str] | None]]:
    """Code and field of every refusal of a payload."""
    return [(error["code"], error["field"]) for error in found["errors"]]


async def row_of(user_id: str) -> UserDocument:
    """What is stored of an account."""
    row = await user.by_id(user_id)
    assert row is not None
    return row


async def log_of(user_id: str) -> list[AuditEventDocument]:
    """The audit log of an account."""
    return await audit_event.between(user_id, 1, 1_000)


async def set_status(here: World, person: Person, status: UserStatus) -> None:
    """Put an account into a state as an operator would, without ending anything."""
    now_ms = here.clock.now_ms()
    assert await user.set_status(
        person.user_id,
        status,
        was=list(UserStatus),
        now_ms=now_ms,
        frozen_ms=None if status is UserStatus.ACTIVE else now_ms,
    )
    await here.accounts.authority._states.changed(person.user_id)


async def is_signed_in(here: World, person: Person) -> bool:
    """Whether the person's session, or key, still counts."""
    try:
        await here.current(person)
    except CredentialRejected:
        return False
    return True


async def subjects(here: World, email: str) -> list[str]:
    """What was mailed to this address, oldest first."""
    await here.deliver()
    return [mail.subject for mail in here.letters.mails if mail.to == email]
