"""What people of a test world prove themselves with: an app for codes, and an authenticator for passkeys, both in software."""

import json
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import cbor2
import pyotp
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

from core.clock import Clock
from core.rate_limits import MemoryRateLimits
from tests.accounts import LOG_IN, PAGE, PASSWORD, Person, World

STEP_SECONDS = 30
PRESENT, VERIFIED, ATTESTED = 0x01, 0x04, 0x40
"""Flags of authenticator data: the user was there, was verified, and a new key follows."""

ENROLL = "mutation($input: EnrollTotpInput) { enrollTotp(input: $input) { secret otpauthUri qrSvg errors { code field stepUp { factors } } } }"
CONFIRM = "mutation($code: String!) { confirmTotp(input: {code: $code}) { recoveryCodes errors { code field } } }"
BEGIN_REGISTRATION = """mutation($input: BeginPasskeyRegistrationInput) {
  beginPasskeyRegistration(input: $input) { options challenge errors { code field stepUp { factors passkeyOptions } } }
}"""
FINISH_REGISTRATION = """mutation($challenge: String!, $credential: JSON!, $name: String!) {
  finishPasskeyRegistration(input: {challenge: $challenge, credential: $credential, name: $name}) {
    passkey { id name createdAt lastUsedAt } errors { code field message }
  }
}"""
BEGIN_PASSKEY_LOG_IN = "mutation { beginPasskeyLogIn { options challenge errors { code } } }"
FINISH_PASSKEY_LOG_IN = """mutation($challenge: String!, $credential: JSON!) {
  finishPasskeyLogIn(input: {challenge: $challenge, credential: $credential, delivery: VALUES}) {
    viewer { id email } session { method } tokens { accessToken refreshToken } challenge { token } errors { code field }
  }
}"""
COMPLETE = """mutation($challenge: String!, $proof: SecondFactorInput!) {
  completeTwoFactor(input: {challenge: $challenge, proof: $proof}) {
    viewer { id } session { method deviceName } tokens { accessToken refreshToken } errors { code field }
  }
}"""


@dataclass
class App:
    """An authenticator app that goes by the world's clock, and the recovery codes its owner wrote down."""

    secret: str
    clock: Clock
    recovery_codes: list[str] = field(default_factory=list)

    def code(self, steps: int = 0) -> str:
        """What it shows now, or so many time steps from now."""
        return pyotp.TOTP(self.secret).generate_otp(self.clock.now_ms() // 1000 // STEP_SECONDS + steps)

    def wrong_code(self) -> str:
        """Six digits that are no code of this minute."""
        near = {self.code(steps) for steps in range(-3, 4)}
        return next(code for code in (f"{number:06}" for number in range(10)) if code not in near)


@dataclass
class Key:
    """A passkey as its authenticator keeps it."""

    credential_id: bytes
    private: ec.EllipticCurvePrivateKey
    user_handle: bytes
    count: int = 0


class Authenticator:
    """Makes and keeps passkeys (Web Authentication, Level 3; ES256). To lie, change what it says of itself, or what it is asked."""

    def __init__(self, *, origin: str = PAGE, domain: str = "vault.example") -> None:
        self.origin = origin
        self.domain = domain
        self.flags = PRESENT | VERIFIED
        self.counts = True
        """Whether uses are counted; passkeys that are synchronised never count."""
        self.keys: list[Key] = []

    def create(self, options: Mapping[str, Any], *, public_key: object = None, **changes: Any) -> dict[str, Any]:
        """What `navigator.credentials.create` gives, as `credential.toJSON()`. `changes`: of the client's data."""
        user_handle = urlsafe_b64decode(options["user"]["id"] + "==")
        key = Key(secrets.token_bytes(32), ec.generate_private_key(ec.SECP256R1()), user_handle)
        self.keys.append(key)
        said = {"challenge": options["challenge"], **changes}
        return self.registration_of(key, public_key=public_key, **said)

    def registration_of(self, key: Key, *, public_key: object = None, **client_data: Any) -> dict[str, Any]:
        """The registration of a key that is there already; with another public key (COSE) in its place if one is given."""
        public = key.private.public_key().public_numbers()
        own = {1: 2, 3: -7, -1: 1, -2: public.x.to_bytes(32, "big"), -3: public.y.to_bytes(32, "big")}
        cose = own if public_key is None else public_key
        length = len(key.credential_id).to_bytes(2, "big")
        attested = bytes(16) + length + key.credential_id + cbor2.dumps(cose)
        data = self._data(key, self.flags | ATTESTED) + attested
        return _credential(
            key,
            clientDataJSON=self._client_data("webauthn.create", client_data),
            attestationObject=cbor2.dumps({"fmt": "none", "attStmt": {}, "authData": data}),
            transports=["internal", "hybrid"],
        )

    def get(self, options: Mapping[str, Any], *, key: Key | None = None, **changes: Any) -> dict[str, Any]:
        """What `navigator.credentials.get` gives, as `credential.toJSON()`: by this key, or by the newest that is allowed."""
        allowed = {each["id"] for each in options.get("allowCredentials") or ()}
        fitting = [each for each in self.keys if not allowed or b64(each.credential_id) in allowed]
        key = key or fitting[-1]
        key.count += 1 if self.counts else 0
        client_data = self._client_data("webauthn.get", {"challenge": options["challenge"], **changes})
        data = self._data(key, self.flags)
        signature = key.private.sign(data + sha256(client_data).digest(), ec.ECDSA(SHA256()))
        return _credential(
            key,
            clientDataJSON=client_data,
            authenticatorData=data,
            signature=signature,
            userHandle=key.user_handle,
        )

    def _data(self, key: Key, flags: int) -> bytes:
        return sha256(self.domain.encode()).digest() + bytes([flags]) + key.count.to_bytes(4, "big")

    def _client_data(self, kind: str, said: Mapping[str, Any]) -> bytes:
        data = {"type": kind, "origin": self.origin, "crossOrigin": False, **said}
        return json.dumps(data).encode()


def b64(data: bytes) -> str:
    """Base64url without padding, as Web Authentication writes bytes."""
    return urlsafe_b64encode(data).decode().rstrip("=")


def _credential(key: Key, **response: bytes | list[str]) -> dict[str, Any]:
    shown = {name: b64(value) if isinstance(value, bytes) else value for name, value in response.items()}
    name = b64(key.credential_id)
    return {
        "id": name,
        "rawId": name,
        "type": "public-key",
        "authenticatorAttachment": "platform",
        "clientExtensionResults": {},
        "response": shown,
    }


async def enrolled(vault: World, person: Person) -> App:
    """The app of somebody who has enabled codes just now: the code it shows is used up."""
    proof = await vault.proof(person, "enrollTotp", {})
    payload = (await vault.data(ENROLL, person, input={"stepUpProof": proof}))["enrollTotp"]
    assert payload["errors"] == [], payload
    app = App(payload["secret"], vault.clock)
    confirmed = (await vault.data(CONFIRM, person, code=app.code()))["confirmTotp"]
    assert confirmed["errors"] == [], confirmed
    app.recovery_codes = confirmed["recoveryCodes"]
    return app


async def registered(
    vault: World, person: Person, authenticator: Authenticator, name: str = "Laptop", **factor: Any
) -> dict[str, Any]:
    """The `finishPasskeyRegistration` payload of somebody who registers a passkey; step-up by password unless a factor is given."""
    begun = await registration_begun(vault, person, **factor)
    credential = authenticator.create(begun["options"])
    data = await vault.data(FINISH_REGISTRATION, person, challenge=begun["challenge"], credential=credential, name=name)
    payload: dict[str, Any] = data["finishPasskeyRegistration"]
    return payload


async def registration_begun(vault: World, person: Person, **factor: Any) -> dict[str, Any]:
    """The `beginPasskeyRegistration` payload of somebody who has stepped up, by password unless a factor is given."""
    proof = await vault.proof(person, "beginPasskeyRegistration", {}, **factor)
    data = await vault.data(BEGIN_REGISTRATION, person, input={"stepUpProof": proof})
    payload: dict[str, Any] = data["beginPasskeyRegistration"]
    assert payload["errors"] == [], payload
    return payload


async def challenged(vault: World, email: str) -> dict[str, Any]:
    """The challenge for the second factor that the right password gives."""
    payload = (await vault.data(LOG_IN, email=email, password=PASSWORD))["logIn"]
    assert payload["errors"] == []
    assert payload["tokens"] is None
    challenge: dict[str, Any] = payload["challenge"]
    return challenge


async def completed(vault: World, challenge: str, **proof: Any) -> dict[str, Any]:
    """The `completeTwoFactor` payload for a challenge."""
    payload: dict[str, Any] = (await vault.data(COMPLETE, challenge=challenge, proof=proof))["completeTwoFactor"]
    return payload


def codes(payload: Mapping[str, Any]) -> list[str]:
    """The codes of a payload's refusals."""
    return [error["code"] for error in payload["errors"]]


class ClockOf:
    """The clock of a world that is made after what goes by it."""

    world: World

    def now_ms(self) -> int:
        return self.world.clock.now_ms()

    def monotonic(self) -> float:
        return self.world.clock.monotonic()


async def limited_world() -> World:
    """A loaded world whose limits count, by its own clock."""
    clock = ClockOf()
    clock.world = World(limits=MemoryRateLimits(clock))
    await clock.world.accounts.load()
    return clock.world
