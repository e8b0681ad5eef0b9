"""Access tokens: what is believed, what is not, and how the keys behind them change."""

import asyncio
import contextlib
import hmac
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from hashlib import sha256
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pymongo.errors import ServerSelectionTimeoutError
from structlog.testing import capture_logs

from core.clock import Clock, ManualClock, SystemClock
from core.database import Database
from core.secret_box import SealBroken, SecretBox
from models import signing_key
from services import access_tokens
from services.access_tokens import ALGORITHM, AUDIENCE, KEY_DAYS, TOKEN_TYPE, AccessTokenRejected, AccessTokens
from tests.accounts import BOX, ISSUER

DAY = 86_400.0
PERIOD_MS = KEY_DAYS * 86_400_000
PERIOD = 688
START_MS = PERIOD * PERIOD_MS + 12 * 86_400_000
"""The thirteenth day of a period."""
FAR_MS = 2**52
Claims = dict[str, Any]


async def loaded(clock: Clock, box: SecretBox = BOX) -> AccessTokens:
    """A process' tokens, ready."""
    tokens = AccessTokens(box, clock, issuer=ISSUER)
    await tokens.load()
    return tokens


def issued(tokens: AccessTokens, session_id: str = "a session") -> str:
    token, _ = tokens.issue("somebody", session_id, not_after_ms=FAR_MS)
    return token


def kids(tokens: AccessTokens) -> list[int]:
    """The periods whose keys are published."""
    keys: Any = tokens.jwks()["keys"]
    return [int(key["kid"]) for key in keys]


async def private_key(kid: str) -> Ed25519PrivateKey:
    """The key that signs, as only this server can read it."""
    (row,) = await signing_key.by_ids([kid])
    return Ed25519PrivateKey.from_private_bytes(BOX.open(row.sealed_private_key, f"signing-key:{kid}"))


def b64(data: bytes) -> str:
    return urlsafe_b64encode(data).decode().rstrip("=")


def unb64(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


class Forge:
    """Makes tokens that are nearly right. It has the private key: what this server would never sign is still not believed."""

    def __init__(self, private: Ed25519PrivateKey, clock: ManualClock) -> None:
        self.private = private
        self.now = clock.now_ms() // 1000
        self.kid = str(PERIOD)

    @property
    def header(self) -> Claims:
        return {"alg": ALGORITHM, "kid": self.kid, "typ": TOKEN_TYPE}

    @property
    def claims(self) -> Claims:
        times = {"iat": self.now, "exp": self.now + 900}
        return {"iss": ISSUER, "aud": AUDIENCE, "sub": "somebody", "sid": "a session", **times}

    def made(self, *, key: Ed25519PrivateKey | None = None, header: Claims | None = None, **changes: Any) -> str:
        """A right token but for these changes; what is None is left out."""
        return self.signed(_json({**self.header, **(header or {})}), _json({**self.claims, **changes}), key)

    def signed(self, header: bytes, payload: bytes | None = None, key: Ed25519PrivateKey | None = None) -> str:
        """Properly signed, whatever it is."""
        signed = f"{b64(header)}.{b64(_json(self.claims) if payload is None else payload)}"
        return f"{signed}.{b64((key or self.private).sign(signed.encode()))}"

    def by_library(self, key: Any, algorithm: str) -> str:
        """Signed by another algorithm."""
        return jwt.encode(self.claims, key, algorithm, headers={"kid": self.kid, "typ": TOKEN_TYPE})

    def by_hmac(self, secret: bytes) -> str:
        """Signed by HMAC, which the library refuses to do with a public key."""
        signed = f"{b64(_json({**self.header, 'alg': 'HS256'}))}.{b64(_json(self.claims))}"
        return f"{signed}.{b64(hmac.new(secret, signed.encode(), sha256).digest())}"

    def unsigned(self, algorithm: str, signature: str = "") -> str:
        return f"{b64(_json({**self.header, 'alg': algorithm}))}.{b64(_json(self.claims))}.{signature}"

    def changed(self, part: int, change: Callable[[bytes], bytes]) -> str:
        """A right token of which one part was changed afterwards."""
        parts = self.made().split(".")
        parts[part] = b64(change(unb64(parts[part])))
        return ".".join(parts)

    def public(self, encoding: Encoding, form: PublicFormat) -> bytes:
        return self.private.public_key().public_bytes(encoding, form)


def _json(members: Claims) -> bytes:
    return json.dumps({name: value for name, value in members.items() if value is not None}).encode()


def _flipped(data: bytes) -> bytes:
    return data[:-1] + bytes([data[-1] ^ 1])


def _signature_plus_order(signature: bytes) -> bytes:
    """The other encoding of the same signature, which RFC 8032 forbids: S plus the order of the group."""
    order = 2**252 + 27742317777372353535851937790883648493
    return signature[:32] + (int.from_bytes(signature[32:], "little") + order).to_bytes(32, "little")


def _with_own_key(forge: Forge) -> str:
    mine = Ed25519PrivateKey.generate()
    x = b64(mine.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw))
    jwk = {"kty": "OKP", "crv": "Ed25519", "kid": forge.kid, "x": x}
    return forge.made(key=mine, header={"jwk": jwk, "jku": "https://elsewhere.example/jwks.json"})


FORGED: dict[str, Callable[[Forge], str]] = {
    "no algorithm": lambda forge: forge.unsigned("none"),
    "no algorithm, in capitals": lambda forge: forge.unsigned("NONE"),
    "no algorithm, with a signature": lambda forge: forge.unsigned("none", forge.made().split(".")[2]),
    "the right algorithm without a signature": lambda forge: forge.unsigned(ALGORITHM),
    "HMAC with the raw public key": lambda forge: forge.by_hmac(forge.public(Encoding.Raw, PublicFormat.Raw)),
    "HMAC with the public key as published": lambda forge: forge.by_hmac(
        b64(forge.public(Encoding.Raw, PublicFormat.Raw)).encode()
    ),
    "HMAC with the public key as PEM": lambda forge: forge.by_hmac(
        forge.public(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    ),
    "HMAC with nothing": lambda forge: forge.by_hmac(b""),
    "RSA": lambda forge: forge.by_library(rsa.generate_private_key(65537, 2048), "RS256"),
    "ECDSA": lambda forge: forge.by_library(ec.generate_private_key(ec.SECP256R1()), "ES256"),
    "another name of the algorithm": lambda forge: forge.made(header={"alg": "Ed25519"}),
    "somebody else's key under our kid": lambda forge: forge.made(key=Ed25519PrivateKey.generate()),
    "an unknown kid": lambda forge: forge.made(header={"kid": "1"}),
    "the next kid, which is not made yet": lambda forge: forge.made(header={"kid": str(PERIOD + 1)}),
    "a kid that is a path": lambda forge: forge.made(header={"kid": "../../dev/null"}),
    "a kid that is a number": lambda forge: forge.made(header={"kid": PERIOD}),
    "a kid that is a list": lambda forge: forge.made(header={"kid": [forge.kid]}),
    "no kid": lambda forge: forge.made(header={"kid": None}),
    "the type of an ID token": lambda forge: forge.made(header={"typ": "JWT"}),
    "no type": lambda forge: forge.made(header={"typ": None}),
    "a key of its own in the header": _with_own_key,
    "a critical extension we do not know": lambda forge: forge.made(header={"crit": ["exp2"], "exp2": 1}),
    "a payload that is not encoded": lambda forge: forge.made(header={"crit": ["b64"], "b64": False}),
    "a changed payload": lambda forge: forge.changed(1, lambda data: data.replace(b"somebody", b"somebodx")),
    "a changed header": lambda forge: forge.changed(0, lambda data: data.replace(b"}", b',"x":1}')),
    "a changed signature": lambda forge: forge.changed(2, _flipped),
    "a signature in its other encoding": lambda forge: forge.changed(2, _signature_plus_order),
    "a signature of zeros": lambda forge: forge.changed(2, lambda _: b"\x00" * 64),
    "half a signature": lambda forge: forge.changed(2, lambda data: data[:32]),
    "another audience": lambda forge: forge.made(aud="somebody else"),
    "another issuer": lambda forge: forge.made(iss="https://elsewhere.example"),
    "nearly our issuer": lambda forge: forge.made(iss=f"{ISSUER}/"),
    "nobody who issues": lambda forge: forge.made(iss=None),
    "no audience": lambda forge: forge.made(aud=None),
    "no subject": lambda forge: forge.made(sub=None),
    "no session": lambda forge: forge.made(sid=None),
    "no beginning": lambda forge: forge.made(iat=None),
    "no end": lambda forge: forge.made(exp=None),
    "a life beyond fifteen minutes": lambda forge: forge.made(exp=forge.now + 901),
    "a life beyond fifteen minutes, of which less is left": lambda forge: forge.made(
        iat=forge.now - 100, exp=forge.now + 801
    ),
    "an end in ages": lambda forge: forge.made(exp=2**70),
    "an end just now": lambda forge: forge.made(iat=forge.now - 900, exp=forge.now),
    "an end before its beginning": lambda forge: forge.made(exp=forge.now - 1),
    "a beginning in the future": lambda forge: forge.made(iat=forge.now + 6, exp=forge.now + 900),
    "an end that is a text": lambda forge: forge.made(exp=str(forge.now + 900)),
    "an end that is a fraction": lambda forge: forge.made(exp=forge.now + 0.5),
    "an end that is true": lambda forge: forge.made(exp=True),
    "an end that is infinite": lambda forge: forge.made(exp=float("inf")),
    "an end that is no number": lambda forge: forge.made(exp=float("nan")),
    "a beginning that is a text": lambda forge: forge.made(iat="now"),
    "a subject that is a number": lambda forge: forge.made(sub=7),
    "a subject that is a list": lambda forge: forge.made(sub=["somebody"]),
    "a session that is an object": lambda forge: forge.made(sid={"$ne": ""}),
    "a payload that is a list": lambda forge: forge.signed(_json(forge.header), b"[]"),
    "a payload that is not JSON": lambda forge: forge.signed(_json(forge.header), b"{"),
    "a payload of 1200 open lists": lambda forge: forge.signed(_json(forge.header), b"[" * 1_200),
    "a header of 1300 open lists": lambda forge: forge.signed(b"[" * 1_300, b"{}"),
    "a header with a long number": lambda forge: forge.signed(b'{"alg":' + b"9" * 1_300 + b"}", b"{}"),
    "a header that is a list": lambda forge: forge.signed(b"[]"),
    "a header that is null": lambda forge: forge.signed(b"null"),
    "a header that is no UTF-8": lambda forge: forge.signed(b"\xff\xfe"),
    "five parts": lambda forge: forge.made() + ".AAAA.AAAA",
    "two parts": lambda forge: forge.made().rpartition(".")[0],
    "a token and a space": lambda forge: forge.made() + " ",
    "a token in another alphabet": lambda forge: forge.made().replace("e", "е", 1),
    "a token that is too long": lambda forge: forge.made(more="x" * 2_000),
    "a megabyte": lambda forge: "e" * 1_000_000,
    "dots": lambda forge: "..",
    "nothing": lambda forge: "",
}


async def test_a_token_says_whose_session_it_belongs_to_for_fifteen_minutes(database: Database) -> None:
    clock = ManualClock(START_MS)
    tokens = await loaded(clock)
    token, expires_ms = tokens.issue("somebody", "a session", not_after_ms=FAR_MS)
    claims = tokens.verify(token)
    assert (claims.user_id, claims.session_id) == ("somebody", "a session")
    assert claims.issued_ms == START_MS
    assert claims.expires_ms == expires_ms == START_MS + 900_000
    header = jwt.get_unverified_header(token)
    assert header == {"alg": "EdDSA", "kid": str(PERIOD), "typ": "at+jwt"}


async def test_a_token_does_not_outlive_its_session(database: Database) -> None:
    tokens = await loaded(ManualClock(START_MS))
    token, expires_ms = tokens.issue("somebody", "a session", not_after_ms=START_MS + 61_999)
    assert expires_ms == tokens.verify(token).expires_ms == START_MS + 61_000


async def test_what_is_nearly_a_token_is_not_believed(database: Database) -> None:
    clock = ManualClock(START_MS)
    tokens = await loaded(clock)
    forge = Forge(await private_key(str(PERIOD)), clock)
    assert tokens.verify(forge.made()).user_id == "somebody", "the forge itself is right"
    believed = {}
    for name, make in FORGED.items():
        token = make(forge)
        try:
            believed[name] = repr(tokens.verify(token))
        except AccessTokenRejected:
            continue
        except Exception as error:  # noqa: BLE001 - a refusal of another kind would be an internal error for whoever shows it
            believed[name] = repr(error)
    assert believed == {}
    assert tokens.verify(forge.made()).user_id == "somebody", "nothing was changed by what was refused"


async def test_the_algorithm_is_not_the_tokens_choice_even_with_the_neighbours_key(database: Database) -> None:
    """A token of the present key under the next key's kid, while both are published, and the other way round."""
    clock = ManualClock((PERIOD + 1) * PERIOD_MS - 3_600_000)
    tokens = await loaded(clock)
    forge = Forge(await private_key(str(PERIOD)), clock)
    assert kids(tokens) == [PERIOD, PERIOD + 1]
    for kid, signer in ((PERIOD + 1, PERIOD), (PERIOD, PERIOD + 1)):
        swapped = forge.made(key=await private_key(str(signer)), header={"kid": str(kid)})
        with pytest.raises(AccessTokenRejected):
            tokens.verify(swapped)
    assert tokens.verify(forge.made(key=await private_key(str(PERIOD + 1)), header={"kid": str(PERIOD + 1)}))


async def test_a_token_ends_to_the_millisecond_though_it_was_believed_before(database: Database) -> None:
    clock = ManualClock(START_MS)
    tokens = await loaded(clock)
    token = issued(tokens)
    tokens.verify(token)
    clock.advance(870)
    tokens.verify(token)
    clock.advance(29.999)
    tokens.verify(token)
    clock.advance(0.001)
    with pytest.raises(AccessTokenRejected, match="expired"):
        tokens.verify(token)


async def test_clocks_of_two_processes_may_differ_by_five_seconds(database: Database) -> None:
    behind, ahead = ManualClock(START_MS), ManualClock(START_MS + 5_000)
    here, there = await loaded(behind), await loaded(ahead)
    assert here.verify(issued(there)).session_id == "a session"
    ahead.advance(1)
    with pytest.raises(AccessTokenRejected, match="times"):
        here.verify(issued(there))


async def test_what_was_believed_is_not_remembered_without_bound(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access_tokens, "_VERIFIED_HELD", 3)
    tokens = await loaded(ManualClock(START_MS))
    for number in range(10):
        tokens.verify(issued(tokens, f"session {number}"))
    assert len(tokens._verified) == 3


async def test_keys_change_over_three_periods_and_old_tokens_last_to_their_end(database: Database) -> None:
    clock = ManualClock(START_MS)
    tokens = await loaded(clock)
    assert kids(tokens) == [PERIOD]

    clock.advance(17 * DAY - 0.001)
    await tokens.load()
    assert kids(tokens) == [PERIOD], "the next key is not made more than a day before"
    clock.advance(0.001)
    await tokens.load()
    assert kids(tokens) == [PERIOD, PERIOD + 1], "a day before its first use it is published"
    assert jwt.get_unverified_header(issued(tokens))["kid"] == str(PERIOD), "and not used yet"

    clock.advance(DAY - 1)
    old = issued(tokens)
    clock.advance(1)
    new = issued(tokens)
    assert jwt.get_unverified_header(new)["kid"] == str(PERIOD + 1), "from the first moment on, without another load"
    await tokens.load()
    assert kids(tokens) == [PERIOD, PERIOD + 1]
    clock.advance(898.999)
    assert tokens.verify(old).session_id == "a session"
    clock.advance(0.001)
    with pytest.raises(AccessTokenRejected):
        tokens.verify(old)
    assert tokens.verify(new)

    clock.advance(KEY_DAYS * DAY)
    await tokens.load()
    assert kids(tokens) == [PERIOD + 1, PERIOD + 2]
    assert tokens.verify(issued(tokens))


async def test_the_key_of_two_periods_ago_signs_nothing_any_more(database: Database) -> None:
    clock = ManualClock(START_MS)
    tokens = await loaded(clock)
    old_key = await private_key(str(PERIOD))
    clock.advance(KEY_DAYS * DAY)
    await tokens.load()
    assert tokens.verify(Forge(old_key, clock).made()), "the neighbour's key still does"
    clock.advance(KEY_DAYS * DAY)
    await tokens.load()
    stolen = Forge(old_key, clock).made()
    for process in (tokens, await loaded(clock)):
        with pytest.raises(AccessTokenRejected):
            process.verify(stolen)


async def test_processes_that_make_the_first_key_at_once_agree(database: Database) -> None:
    clock = ManualClock(START_MS)
    processes = [AccessTokens(BOX, clock, issuer=ISSUER) for _ in range(5)]
    await asyncio.gather(*(process.load() for process in processes))
    assert all(process.jwks() == processes[0].jwks() for process in processes)
    for process in processes:
        token = issued(process)
        assert {other.verify(token).session_id for other in processes} == {"a session"}
    assert len(await signing_key.every()) == 1


async def test_a_private_key_is_sealed_at_rest_and_opens_for_nobody_else(database: Database) -> None:
    tokens = await loaded(ManualClock(START_MS))
    (row,) = await signing_key.every()
    private = await private_key(str(PERIOD))
    raw = private.private_bytes_raw()
    assert raw not in unb64(row.sealed_private_key.split(".")[2])
    with pytest.raises(SealBroken):
        await loaded(ManualClock(START_MS), SecretBox([b"\x07" * 32]))
    published = json.dumps(tokens.jwks())
    assert b64(raw) not in published
    assert '"d"' not in published


async def test_whoever_has_the_published_keys_alone_can_check_a_token(database: Database) -> None:
    tokens = await loaded(SystemClock())
    published: Any = json.loads(json.dumps(tokens.jwks()))
    keys = {key["kid"]: jwt.PyJWK(key) for key in published["keys"]}
    token = issued(tokens)
    header = jwt.get_unverified_header(token)
    claims = jwt.decode(token, keys[header["kid"]], algorithms=["EdDSA"], audience=AUDIENCE, issuer=ISSUER)
    assert (claims["sub"], claims["sid"]) == ("somebody", "a session")
    assert claims["exp"] - claims["iat"] == 900
    (head, _, signature), (_, body, _) = token.split("."), issued(tokens, "another session").split(".")
    with pytest.raises(jwt.InvalidSignatureError):
        jwt.decode(f"{head}.{body}.{signature}", keys[header["kid"]], algorithms=["EdDSA"], audience=AUDIENCE)


async def test_keys_that_are_due_are_made_while_the_process_runs_though_the_database_was_away(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access_tokens, "_LOOK_SECONDS", 0.001)
    clock = ManualClock(START_MS)
    tokens = await loaded(clock)
    by_ids, asked = signing_key.by_ids, asyncio.Event()

    async def away(wanted: list[str]) -> Any:
        asked.set()
        raise ServerSelectionTimeoutError("away")

    monkeypatch.setattr(signing_key, "by_ids", away)
    clock.advance(17.5 * DAY)
    with capture_logs() as logs:
        running = asyncio.create_task(tokens.run())
        async with asyncio.timeout(30):
            await asked.wait()
            assert kids(tokens) == [PERIOD]
            monkeypatch.setattr(signing_key, "by_ids", by_ids)
            while kids(tokens) != [PERIOD, PERIOD + 1]:
                await asyncio.sleep(0.002)
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running
    assert {line["event"] for line in logs} == {"signing_keys.not_read"}
