"""Signing with keys of AWS KMS: a real client against moto's server, and against servers that stall, refuse, or answer something else."""

import asyncio
import logging
import secrets
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import count

import pytest
from coincurve import PrivateKey, PublicKey
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from integrations.signers import kms as kms_module
from integrations.signers.base import (
    SECP256K1_ORDER,
    Curve,
    SignerError,
    SignerMisconfigured,
    SignerRefused,
    SignerUnavailable,
    prove,
)
from integrations.signers.kms import Kms, KmsLimits, KmsSigner, numbers_in, public_key_in
from tests.kms import ED25519_SPEC, REGION, Answer, make_key, refusal, said, scripted_kms

DIGEST = bytes(range(32))
IMPATIENT = KmsLimits(connect_seconds=0.3, read_seconds=0.3, tries=2, total_seconds=3.0)
SECRET = PrivateKey(b"\x11" * 32)


def der_of(key: ec.EllipticCurvePrivateKey | Ed25519PrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


SECRET_DER = der_of(ec.derive_private_key(SECRET.to_int(), ec.SECP256K1()))


@pytest.fixture
async def kms(kms_url: str) -> AsyncIterator[Kms]:
    kms = Kms(REGION, kms_url)
    yield kms
    await kms.close()


async def test_a_secp256k1_key_signs_digests(kms: Kms, kms_url: str) -> None:
    name = make_key(kms_url, "ECC_SECG_P256K1")
    signer = KmsSigner(kms, f"evm=kms:{name}", name, Curve.SECP256K1)
    public_key = await signer.public_key()
    assert len(public_key) == 33
    parities = set()
    for _ in range(24):
        digest = secrets.token_bytes(32)
        found = await signer.sign_digest(digest)
        assert 0 < found.s <= SECP256K1_ORDER // 2
        raw = found.r.to_bytes(32) + found.s.to_bytes(32) + bytes([found.y_parity])
        assert PublicKey.from_signature_and_message(raw, digest, hasher=None).format() == public_key
        parities.add(found.y_parity)
    assert parities == {0, 1}
    await prove(signer)


async def test_calls_run_beside_each_other_and_tell_no_log_their_credentials(
    kms: Kms, kms_url: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", "geheimer-token")
    name = make_key(kms_url, "ECC_SECG_P256K1")
    signer = KmsSigner(kms, f"evm=kms:{name}", name, Curve.SECP256K1)
    caplog.clear()
    with caplog.at_level(logging.DEBUG):
        found = await asyncio.gather(*(signer.sign_digest(DIGEST) for _ in range(20)))
    assert len({each.r for each in found}) == 20
    assert "geheimer-token" not in caplog.text
    assert "X-Amz" not in caplog.text


async def test_an_ed25519_key_signs_messages(kms: Kms, kms_url: str) -> None:
    name = make_key(kms_url, ED25519_SPEC)
    signer = KmsSigner(kms, f"solana=kms:{name}", name, Curve.ED25519)
    public_key = await signer.public_key()
    for message in (b"\x00", secrets.token_bytes(1232), secrets.token_bytes(4096)):
        Ed25519PublicKey.from_public_bytes(public_key).verify(await signer.sign_message(message), message)
    await prove(signer)


@pytest.mark.parametrize(
    ("spec", "curve"),
    [
        ("ECC_SECG_P256K1", Curve.ED25519),
        (ED25519_SPEC, Curve.SECP256K1),
        ("ECC_NIST_P256", Curve.SECP256K1),
        ("RSA_2048", Curve.SECP256K1),
    ],
)
async def test_a_key_of_another_kind_is_named(kms: Kms, kms_url: str, spec: str, curve: Curve) -> None:
    key_id = make_key(kms_url, spec)
    signer = KmsSigner(kms, f"evm=kms:{key_id}", key_id, curve)
    with pytest.raises(SignerMisconfigured, match="is a key of another kind; expected key spec ECC_"):
        await signer.public_key()
    with pytest.raises(SignerMisconfigured):
        await prove(signer)


async def test_a_key_that_is_not_there(kms: Kms) -> None:
    with pytest.raises(SignerMisconfigured, match="AWS KMS says NotFoundException for alias/none"):
        await KmsSigner(kms, "evm=kms:alias/none", "alias/none", Curve.SECP256K1).public_key()


@pytest.mark.parametrize("size", [0, 31, 33, 64])
async def test_what_is_no_digest_is_not_asked_for(size: int) -> None:
    with silent() as (signer, asked):
        with pytest.raises(SignerRefused, match=f"a digest has 32 bytes, not {size}"):
            await signer(Curve.SECP256K1).sign_digest(bytes(size))
        with pytest.raises(SignerRefused, match="1 to 4096 bytes"):
            await signer(Curve.ED25519).sign_message(bytes(5000) if size else b"")
        assert not asked


async def test_a_key_refuses_the_other_curves_work() -> None:
    with silent() as (signer, asked):
        with pytest.raises(SignerRefused, match="evm=kms:k is a key of ED25519; expected SECP256K1"):
            await signer(Curve.ED25519).sign_digest(DIGEST)
        with pytest.raises(SignerRefused, match="evm=kms:k is a key of SECP256K1; expected ED25519"):
            await signer(Curve.SECP256K1).sign_message(b"x")
        assert not asked


@contextmanager
def scripted(answer: Answer, limits: KmsLimits = IMPATIENT) -> Iterator[Callable[[Curve], KmsSigner]]:
    """Makes signers whose KMS answers so."""
    with scripted_kms(answer) as url:
        kms = Kms(REGION, url, limits)
        try:
            yield lambda curve: KmsSigner(kms, "evm=kms:k", "k", curve)
        finally:
            kms._pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def silent() -> Iterator[tuple[Callable[[Curve], KmsSigner], list[str]]]:
    asked: list[str] = []

    def answer(operation: str, _: object) -> tuple[int, bytes]:
        asked.append(operation)
        return refusal("AccessDeniedException")

    with scripted(answer) as make:
        yield make, asked


def shows(public_key: bytes, sign: Callable[[], tuple[int, bytes]]) -> Answer:
    return lambda operation, _: said(PublicKey=public_key) if operation == "GetPublicKey" else sign()


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        ("AccessDeniedException", 400, SignerRefused),
        ("DisabledException", 400, SignerRefused),
        ("KMSInvalidStateException", 400, SignerRefused),
        ("InvalidKeyUsageException", 400, SignerRefused),
        ("NotFoundException", 400, SignerMisconfigured),
        ("UnrecognizedClientException", 400, SignerMisconfigured),
        ("InvalidSignatureException", 403, SignerMisconfigured),
        ("ThrottlingException", 400, SignerUnavailable),
        ("LimitExceededException", 400, SignerUnavailable),
        ("DependencyTimeoutException", 500, SignerUnavailable),
        ("KMSInternalException", 500, SignerUnavailable),
        ("KeyUnavailableException", 500, SignerUnavailable),
        ("ExpiredTokenException", 400, SignerUnavailable),
        ("SomethingNew", 400, SignerUnavailable),
        ("x" * 500, 503, SignerUnavailable),
    ],
)
async def test_what_kms_says_is_typed_and_its_words_are_not_repeated(
    code: str, status: int, kind: type[SignerError]
) -> None:
    calls = count()

    def sign() -> tuple[int, bytes]:
        next(calls)
        return refusal(code, status)

    with scripted(shows(SECRET_DER, sign)) as signer, pytest.raises(kind) as refused:
        await signer(Curve.SECP256K1).sign_digest(DIGEST)
    assert type(refused.value) is kind
    assert code[:60] in str(refused.value)
    assert "geheim" not in str(refused.value)
    assert refused.value.__cause__ is None
    assert refused.value.__suppress_context__
    assert next(calls) <= IMPATIENT.tries


async def test_throttling_is_tried_again_within_bounds() -> None:
    calls = count()

    def sign() -> tuple[int, bytes]:
        return refusal("ThrottlingException") if next(calls) == 0 else said(Signature=der_signature(SECRET, DIGEST))

    with scripted(shows(SECRET_DER, sign)) as signer:
        assert (await signer(Curve.SECP256K1).sign_digest(DIGEST)).r > 0
    assert next(calls) == 2


async def test_a_kms_that_stalls_does_not_hold_up_the_loop() -> None:
    go_on = threading.Event()

    def stall() -> tuple[int, bytes]:
        go_on.wait(10)
        return refusal("ThrottlingException")

    with scripted(shows(SECRET_DER, stall)) as signer:
        started = time.monotonic()
        task = asyncio.create_task(signer(Curve.SECP256K1).sign_digest(DIGEST))
        longest = 0.0
        while not task.done():
            before = time.monotonic()
            await asyncio.sleep(0)
            longest = max(longest, time.monotonic() - before)
        with pytest.raises(SignerUnavailable, match=r"cannot be reached or understood for k \(ReadTimeoutError\)"):
            await task
        spent = time.monotonic() - started
        assert spent < IMPATIENT.total_seconds
        assert longest < spent / 2
        go_on.set()


async def test_calls_that_wait_are_bounded_in_time_and_number(monkeypatch: pytest.MonkeyPatch) -> None:
    go_on = threading.Event()

    def stall(*_: object) -> tuple[int, bytes]:
        go_on.wait(10)
        return refusal("ThrottlingException")

    monkeypatch.setattr(kms_module, "MOST_WAITING", 6)
    limits = KmsLimits(connect_seconds=0.3, read_seconds=5, tries=1, total_seconds=0.4)
    with scripted(stall, limits) as signer:
        key = signer(Curve.SECP256K1)
        results = await asyncio.gather(*(key.public_key() for _ in range(8)), return_exceptions=True)
        go_on.set()
    words = sorted(str(result) for result in results)
    assert all(isinstance(result, SignerUnavailable) for result in results)
    assert words == ["6 calls wait for AWS KMS already"] * 2 + ["AWS KMS did not answer for k within 0.4 s"] * 6


async def test_nobody_listens_and_the_connection_ends() -> None:
    def end(*_: object) -> tuple[int, bytes]:
        raise ConnectionError

    with scripted(end) as signer, pytest.raises(SignerUnavailable, match="cannot be reached"):
        await signer(Curve.SECP256K1).public_key()
    gone = Kms(REGION, "http://127.0.0.1:1", IMPATIENT)
    with pytest.raises(SignerUnavailable, match="EndpointConnectionError"):
        await KmsSigner(gone, "evm=kms:k", "k", Curve.SECP256K1).public_key()
    await gone.close()


async def test_without_credentials_it_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with (
        scripted(lambda *_: refusal("x")) as signer,
        pytest.raises(SignerMisconfigured, match="no credentials for AWS"),
    ):
        await signer(Curve.SECP256K1).public_key()


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"{}", b'{"PublicKey": 5}', b'{"PublicKey": "!"}', b"\xff" * 100])
async def test_an_answer_that_is_none(body: bytes) -> None:
    with scripted(lambda *_: (200, body)) as signer, pytest.raises(SignerUnavailable):
        await signer(Curve.SECP256K1).public_key()


def der_signature(key: PrivateKey, digest: bytes, *, high: bool = False) -> bytes:
    raw = key.sign_recoverable(digest, hasher=None)
    r, s = int.from_bytes(raw[:32]), int.from_bytes(raw[32:64])
    return encode_dss_signature(r, SECP256K1_ORDER - s if high else s)


async def test_a_high_s_is_made_low() -> None:
    with scripted(shows(SECRET_DER, lambda: said(Signature=der_signature(SECRET, DIGEST, high=True)))) as signer:
        found = await signer(Curve.SECP256K1).sign_digest(DIGEST)
    raw = SECRET.sign_recoverable(DIGEST, hasher=None)
    assert (found.r, found.s, found.y_parity) == (int.from_bytes(raw[:32]), int.from_bytes(raw[32:64]), raw[64])


@pytest.mark.parametrize("digest", [DIGEST, bytes(32)])
async def test_another_keys_signature_or_of_something_else_is_not_given_out(digest: bytes) -> None:
    other = PrivateKey(b"\x22" * 32) if digest == DIGEST else SECRET
    answer = shows(SECRET_DER, lambda: said(Signature=der_signature(other, digest)))
    with scripted(answer) as signer, pytest.raises(SignerMisconfigured, match="signs with another key than the one"):
        await signer(Curve.SECP256K1).sign_digest(DIGEST)


async def test_another_ed25519_keys_signature_is_not_given_out() -> None:
    key, other = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    for signature, kind in (
        (other.sign(b"x"), SignerMisconfigured),
        (key.sign(b"y"), SignerMisconfigured),
        (key.sign(b"x")[:63], SignerUnavailable),
        (key.sign(b"x") + b"\0", SignerUnavailable),
    ):
        answer = said(Signature=signature)
        with scripted(shows(der_of(key), iter([answer]).__next__)) as signer, pytest.raises(kind):
            await signer(Curve.ED25519).sign_message(b"x")


@pytest.mark.parametrize(
    "der",
    [
        encode_dss_signature(0, 1),
        encode_dss_signature(1, 0),
        encode_dss_signature(SECP256K1_ORDER, 1),
        encode_dss_signature(1, SECP256K1_ORDER),
        encode_dss_signature(1, SECP256K1_ORDER + 5),
        encode_dss_signature(2**300, 2**300),
    ],
)
async def test_numbers_out_of_range(der: bytes) -> None:
    with scripted(shows(SECRET_DER, lambda: said(Signature=der))) as signer, pytest.raises(SignerUnavailable):
        await signer(Curve.SECP256K1).sign_digest(DIGEST)


@given(st.binary(max_size=100) | st.integers(0, 71).map(lambda n: der_signature(SECRET, DIGEST)[:n]))
def test_garbled_signatures_are_typed(der: bytes) -> None:
    with suppress(SignerUnavailable):
        r, s = numbers_in("k", der)
        assert encode_dss_signature(r, s) == der


@given(st.data())
def test_garbled_public_keys_are_typed(data: st.DataObject) -> None:
    der = bytearray(SECRET_DER)
    der[data.draw(st.integers(0, len(der) - 1))] = data.draw(st.integers(0, 255))
    garbled = bytes(der)[: data.draw(st.integers(0, len(der)))]
    try:
        found = public_key_in("k", garbled, Curve.SECP256K1)
    except (SignerUnavailable, SignerMisconfigured):
        return
    assert PublicKey(found).format() == found


def test_nothing_of_it_is_shown() -> None:
    assert repr(KmsSigner(Kms(REGION), "evm=kms:k", "k", Curve.SECP256K1)) == "KmsSigner('evm=kms:k')"
