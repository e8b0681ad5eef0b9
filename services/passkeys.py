"""Passkeys (Web Authentication, Level 3): registration, and the signatures that sign in, complete a log-in, or step up.

The authenticator always verifies its user, so a passkey is two factors at once. Every passkey can be found without a typed name.
The challenge that an authenticator signs is the token of the question (services/challenges.py) it answers.
"""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

import orjson
from webauthn import (
    base64url_to_bytes,
    generate_authentication_options,
    generate_registration_options,
    options_to_json,
    verify_authentication_response,
    verify_registration_response,
)
from webauthn.authentication.verify_authentication_response import VerifiedAuthentication
from webauthn.helpers import (
    bytes_to_base64url,
    decode_credential_public_key,
    decoded_public_key_to_cryptography,
)
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    AuthenticatorTransport,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)
from webauthn.registration.verify_registration_response import VerifiedRegistration

from core.account_vocabulary import AuditAction, AuthErrorCode
from core.clock import Clock
from core.ids import random_id
from core.mail_vocabulary import MailKind
from core.refusals import AuthRefused, UnknownObject
from models import passkey, user
from models.passkey import PasskeyDocument
from models.user import UserDocument
from services.audit import AuditLog
from services.challenges import ChallengeKind, Challenges
from services.holds import Holds
from services.log_in_ways import require_another
from services.mail import Mailbox
from services.names import checked_name
from services.viewer import Client

MOST_PASSKEYS = 20
LIFE_SECONDS = 300
_MOST_CREDENTIAL_BYTES = 16_384
_TRANSPORTS = {transport.value for transport in AuthenticatorTransport}

Json = Mapping[str, object]


class PasskeyInvalid(AuthRefused):
    """The credential is not what was asked for, or not one of ours."""

    code = AuthErrorCode.PASSKEY_INVALID


@dataclass(frozen=True, slots=True)
class PasskeySite:
    """The relying party: its domain, and the web origins whose pages may use its passkeys."""

    domain: str
    origins: Sequence[str]
    name: str = "CryptoVault"


@dataclass(frozen=True, slots=True)
class AskedPasskey:
    """Options for the browser, and the token of the question, which is the challenge in them."""

    options: Json
    token: str


class Passkeys:
    """What is done with passkeys."""

    def __init__(
        self,
        site: PasskeySite,
        *,
        challenges: Challenges,
        audit: AuditLog,
        mailbox: Mailbox,
        holds: Holds,
        clock: Clock,
    ) -> None:
        self._site = site
        self._challenges = challenges
        self._audit = audit
        self._mailbox = mailbox
        self._holds = holds
        self._clock = clock

    async def begin_registration(self, person: UserDocument) -> AskedPasskey:
        """Options for `navigator.credentials.create`. Raises PasskeyInvalid when there may be no more."""
        known = await _with_room(person)
        token, _ = await self._challenges.put(
            ChallengeKind.PASSKEY_REGISTRATION, person.id, {}, life_seconds=LIFE_SECONDS, tries=1
        )
        options = generate_registration_options(
            rp_id=self._site.domain,
            rp_name=self._site.name,
            user_id=person.id.encode(),
            user_name=person.email or person.id,
            user_display_name=person.display_name or person.email or person.id,
            challenge=base64url_to_bytes(token),
            timeout=LIFE_SECONDS * 1000,
            authenticator_selection=AuthenticatorSelectionCriteria(
                resident_key=ResidentKeyRequirement.REQUIRED, user_verification=UserVerificationRequirement.REQUIRED
            ),
            exclude_credentials=[_descriptor(each) for each in known],
        )
        return AskedPasskey(json.loads(options_to_json(options)), token)

    async def finish_registration(
        self, person: UserDocument, token: str, credential: object, name: str, client: Client
    ) -> PasskeyDocument:
        """Store what the authenticator made. Raises PasskeyInvalid, ChallengeExpired, NameInvalid."""
        name = checked_name(name, field=["name"])
        asked = await self._challenges.take_try(token, ChallengeKind.PASSKEY_REGISTRATION, field="challenge")
        given = _credential(credential)
        if asked.subject != person.id:
            raise PasskeyInvalid("this registration was begun by somebody else", field=["challenge"])
        made = self._registered(given, token)
        row = PasskeyDocument(
            id=random_id(),
            user_id=person.id,
            name=name,
            credential_id=bytes_to_base64url(made.credential_id),
            public_key=bytes_to_base64url(made.credential_public_key),
            sign_count=made.sign_count,
            transports=_transports(given),
            created_ms=self._clock.now_ms(),
        )
        await self._challenges.close(asked, field="challenge")
        await _with_room(person)
        if not await passkey.insert(row):
            raise PasskeyInvalid("this passkey is registered already", field=["credential"])
        await user.hold_withdrawals(person.id, self._holds.until_ms())
        await self._audit.record(person.id, AuditAction.PASSKEY_ADDED, client=client, detail={"name": name})
        await self._mailbox.send(MailKind.PASSKEY_ADDED, user_id=person.id, ip=client.address, name=name)
        return row

    def options(self, token: str, known: Sequence[PasskeyDocument] = ()) -> Json:
        """Options for `navigator.credentials.get`: one of these passkeys, or, without any, whichever the person chooses."""
        options = generate_authentication_options(
            rp_id=self._site.domain,
            challenge=base64url_to_bytes(token),
            timeout=LIFE_SECONDS * 1000,
            allow_credentials=[_descriptor(each) for each in known],
            user_verification=UserVerificationRequirement.REQUIRED,
        )
        asked: Json = json.loads(options_to_json(options))
        return asked

    async def begin_log_in(self) -> AskedPasskey:
        """Options for somebody who is not named, so nothing is told about who has passkeys."""
        token, _ = await self._challenges.put(ChallengeKind.PASSKEY_LOG_IN, "", {}, life_seconds=LIFE_SECONDS, tries=1)
        return AskedPasskey(self.options(token), token)

    async def finish_log_in(self, token: str, credential: object) -> PasskeyDocument:
        """The passkey that signed. Raises PasskeyInvalid, ChallengeExpired."""
        asked = await self._challenges.take_try(token, ChallengeKind.PASSKEY_LOG_IN, field="challenge")
        found = await self.verify(credential, token, user_id=None)
        await self._challenges.close(asked, field="challenge")
        return found

    async def verify(self, credential: object, token: str, *, user_id: str | None) -> PasskeyDocument:
        """The passkey, of this person where one is named, that has signed this challenge. Raises PasskeyInvalid."""
        given = _credential(credential)
        key_id = given.get("id")
        found = await passkey.by_credential_id(key_id) if isinstance(key_id, str) else None
        if found is None or (user_id is not None and found.user_id != user_id):
            raise PasskeyInvalid("this passkey is not registered here", field=["credential"])
        signed = self._signed(given, token, found)
        counted = await passkey.count_use(
            found.id, was=found.sign_count, sign_count=signed.new_sign_count, now_ms=self._clock.now_ms()
        )
        if not counted:
            raise PasskeyInvalid("this passkey was used elsewhere at the same moment; try again", field=["credential"])
        return found

    async def rename(self, user_id: str, passkey_id: str, name: str) -> PasskeyDocument:
        """Give one's passkey another name. Raises UnknownObject, NameInvalid."""
        name = checked_name(name, field=["name"])
        if not await passkey.rename(passkey_id, user_id, name):
            raise UnknownObject("you have no such passkey", field=["id"])
        return next(each for each in await passkey.of_user(user_id) if each.id == passkey_id)

    async def delete(self, person: UserDocument, passkey_id: str, client: Client) -> PasskeyDocument:
        """Forget one's passkey. Raises UnknownObject, LastFactor."""
        known = await passkey.of_user(person.id)
        found = next((each for each in known if each.id == passkey_id), None)
        if found is None:
            raise UnknownObject("you have no such passkey", field=["id"])
        await require_another(person)
        if not await passkey.delete(passkey_id, person.id):
            raise UnknownObject("you have no such passkey", field=["id"])
        await user.hold_withdrawals(person.id, self._holds.until_ms())
        await self._audit.record(person.id, AuditAction.PASSKEY_REMOVED, client=client, detail={"name": found.name})
        await self._mailbox.send(MailKind.PASSKEY_REMOVED, user_id=person.id, ip=client.address, name=found.name)
        return found

    def _registered(self, credential: dict[str, object], token: str) -> VerifiedRegistration:
        try:
            made = verify_registration_response(
                credential=credential,
                expected_challenge=base64url_to_bytes(token),
                expected_rp_id=self._site.domain,
                expected_origin=list(self._site.origins),
                require_user_verification=True,
            )
            decoded_public_key_to_cryptography(decode_credential_public_key(made.credential_public_key))
            return made
        except Exception as error:  # on hostile input the library raises whatever it meets
            raise PasskeyInvalid("the authenticator's answer is not valid", field=["credential"]) from error

    def _signed(self, credential: dict[str, object], token: str, known: PasskeyDocument) -> VerifiedAuthentication:
        try:
            return verify_authentication_response(
                credential=credential,
                expected_challenge=base64url_to_bytes(token),
                expected_rp_id=self._site.domain,
                expected_origin=list(self._site.origins),
                credential_public_key=base64url_to_bytes(known.public_key),
                credential_current_sign_count=known.sign_count,
                require_user_verification=True,
            )
        except Exception as error:  # on hostile input the library raises whatever it meets
            raise PasskeyInvalid("the passkey's signature is not valid", field=["credential"]) from error


async def _with_room(person: UserDocument) -> list[PasskeyDocument]:
    """The person's passkeys, while there may be one more. Raises PasskeyInvalid."""
    known = await passkey.of_user(person.id)
    if len(known) >= MOST_PASSKEYS:
        raise PasskeyInvalid("an account has at most {most} passkeys; delete one first", {"most": MOST_PASSKEYS})
    return known


def _credential(value: object) -> dict[str, object]:
    """The credential's JSON as an object, of a size that is read. Raises PasskeyInvalid."""
    if isinstance(value, dict):
        with suppress(orjson.JSONEncodeError):  # nested too deeply
            if len(orjson.dumps(value)) <= _MOST_CREDENTIAL_BYTES:
                return value
    raise PasskeyInvalid("expected the credential's JSON (`credential.toJSON()`)", field=["credential"])


def signed_challenge(credential: object) -> str:
    """The challenge a credential says it has signed; not proven yet. Raises PasskeyInvalid."""
    response = _credential(credential).get("response")
    data = response.get("clientDataJSON") if isinstance(response, dict) else None
    try:
        said = json.loads(base64url_to_bytes(data)) if isinstance(data, str) else None
    except (ValueError, RecursionError):
        said = None
    challenge = said.get("challenge") if isinstance(said, dict) else None
    if not isinstance(challenge, str) or not challenge.isascii():
        raise PasskeyInvalid("expected the credential's JSON (`credential.toJSON()`)", field=["credential"])
    return challenge


def _transports(credential: dict[str, object]) -> tuple[str, ...]:
    response = credential.get("response")
    named = response.get("transports") if isinstance(response, dict) else None
    if not isinstance(named, list):
        return ()
    return tuple(each for each in named if isinstance(each, str) and each in _TRANSPORTS)[:8]


def _descriptor(row: PasskeyDocument) -> PublicKeyCredentialDescriptor:
    return PublicKeyCredentialDescriptor(
        id=base64url_to_bytes(row.credential_id),
        transports=[AuthenticatorTransport(each) for each in row.transports] or None,
    )
