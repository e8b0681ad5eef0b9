"""Keys in AWS KMS, which never leave it: Sign and GetPublicKey are all that is asked.

secp256k1: key spec ECC_SECG_P256K1, ECDSA_SHA_256 over a digest. Ed25519: ECC_NIST_EDWARDS25519, ED25519_SHA_512 over the message itself (KMS takes
no digest for it). https://docs.aws.amazon.com/kms/latest/APIReference/API_Sign.html
"""

import asyncio
import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from boto3.session import Session
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
    ProfileNotFound,
)
from botocore.parsers import ResponseParserError
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key

from integrations.signers.base import (
    Curve,
    RecoverableSignature,
    SignerError,
    SignerMisconfigured,
    SignerRefused,
    SignerUnavailable,
    check_digest,
    check_message,
    recoverable,
    require,
    verified,
)

if TYPE_CHECKING:
    from types_boto3_kms import KMSClient
    from types_boto3_kms.literals import MessageTypeType, SigningAlgorithmSpecType

for _name in ("boto3", "botocore", "urllib3"):
    logging.getLogger(_name).setLevel(logging.WARNING)
"""At DEBUG they log requests whole, with the session's token."""

Found = TypeVar("Found")
THREADS = 4
MOST_WAITING = 64
_REFUSALS = frozenset(
    {
        "AccessDeniedException",
        "DisabledException",
        "InvalidGrantTokenException",
        "InvalidKeyUsageException",
        "KMSInvalidStateException",
        "UnsupportedOperationException",
    }
)
_MISCONFIGURATIONS = frozenset(
    {
        "IncompleteSignature",
        "InvalidArnException",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "MissingAuthenticationToken",
        "NotFoundException",
        "OptInRequired",
        "UnrecognizedClientException",
        "ValidationException",
    }
)
"""What else goes wrong (throttling, 5xx, dependencies, keys or credentials that expire) may work later."""


@dataclass(frozen=True, slots=True)
class KmsLimits:
    """How long KMS may take. `total_seconds`: with waiting for a thread and all tries."""

    connect_seconds: float = 2.0
    read_seconds: float = 4.0
    tries: int = 2
    total_seconds: float = 15.0


class Kms:
    """One region's KMS. boto3 blocks, so it runs in a few threads of its own; a call that was given up ends by its own time limits."""

    def __init__(self, region: str, url: str | None = None, limits: KmsLimits | None = None) -> None:
        """`url`: another endpoint than the region's own."""
        self._region = region
        self._url = url
        self._limits = limits or KmsLimits()
        self._pool = ThreadPoolExecutor(THREADS, "kms")
        self._waiting = 0
        self._client: KMSClient | None = None
        self._making = threading.Lock()

    async def public_key_of(self, key_id: str) -> bytes:
        """The key's SubjectPublicKeyInfo in DER. Raises SignerError."""
        answer = await self._call(key_id, lambda client: client.get_public_key(KeyId=key_id)["PublicKey"])
        return bytes(answer)

    async def sign(
        self, key_id: str, message: bytes, kind: "MessageTypeType", algorithm: "SigningAlgorithmSpecType"
    ) -> bytes:
        """The signature as KMS makes it. Raises SignerError."""

        def call(client: "KMSClient") -> bytes:
            answer = client.sign(KeyId=key_id, Message=message, MessageType=kind, SigningAlgorithm=algorithm)
            return bytes(answer["Signature"])

        return await self._call(key_id, call)

    def signer(self, name: str, key_id: str, curve: Curve) -> "KmsSigner":
        """Of one of its keys, under the name that the settings give it."""
        return KmsSigner(self, name, key_id, curve)

    async def close(self) -> None:
        """Take no more calls; may be called again. Nothing waits for calls under way."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def _call(self, key_id: str, call: "Callable[[KMSClient], Found]") -> Found:
        if self._waiting >= MOST_WAITING:
            raise SignerUnavailable(f"{MOST_WAITING} calls wait for AWS KMS already")
        self._waiting += 1
        try:
            async with asyncio.timeout(self._limits.total_seconds):
                return await asyncio.get_running_loop().run_in_executor(self._pool, self._run, call)
        except TimeoutError:
            seconds = self._limits.total_seconds
            raise SignerUnavailable(f"AWS KMS did not answer for {key_id} within {seconds:g} s") from None
        except ClientError as error:
            raise _translated(key_id, error) from None
        except (NoCredentialsError, PartialCredentialsError, ProfileNotFound):
            raise SignerMisconfigured(
                "there are no credentials for AWS KMS: expected a role, or AWS_ACCESS_KEY_ID and its secret in the environment"
            ) from None
        except NoRegionError:
            raise SignerMisconfigured("AWS_REGION is missing") from None
        except (BotoCoreError, ResponseParserError, AttributeError, KeyError, TypeError, ValueError) as error:
            raise SignerUnavailable(
                f"AWS KMS cannot be reached or understood for {key_id} ({type(error).__name__})"
            ) from None
        finally:
            self._waiting -= 1

    def _run(self, call: "Callable[[KMSClient], Found]") -> Found:
        with self._making:
            if self._client is None:
                self._client = self._make_client()
        return call(self._client)

    def _make_client(self) -> "KMSClient":
        limits = self._limits
        config = Config(
            connect_timeout=limits.connect_seconds,
            read_timeout=limits.read_seconds,
            retries={"total_max_attempts": limits.tries, "mode": "standard"},
            max_pool_connections=THREADS,
        )
        return Session().client("kms", region_name=self._region, endpoint_url=self._url, config=config)


class KmsSigner:
    """Signs with a key in KMS. Its public key is asked for once."""

    def __init__(self, kms: Kms, key_name: str, key_id: str, curve: Curve) -> None:
        self._kms = kms
        self._key_name = key_name
        self._key_id = key_id
        self._curve = curve
        self._known_public_key: bytes | None = None

    def __repr__(self) -> str:
        return f"KmsSigner({self._key_name!r})"

    @property
    def key_name(self) -> str:
        return self._key_name

    @property
    def curve(self) -> Curve:
        return self._curve

    async def public_key(self) -> bytes:
        if self._known_public_key is None:
            der = await self._kms.public_key_of(self._key_id)
            self._known_public_key = public_key_in(self._key_name, der, self._curve)
        return self._known_public_key

    async def sign_digest(self, digest: bytes) -> RecoverableSignature:
        require(self, Curve.SECP256K1)
        check_digest(digest)
        public_key = await self.public_key()
        signature = await self._kms.sign(self._key_id, digest, "DIGEST", "ECDSA_SHA_256")
        r, s = numbers_in(self._key_name, signature)
        return recoverable(self._key_name, digest, r, s, public_key)

    async def sign_message(self, message: bytes) -> bytes:
        require(self, Curve.ED25519)
        check_message(message)
        public_key = await self.public_key()
        signature = await self._kms.sign(self._key_id, message, "RAW", "ED25519_SHA_512")
        return verified(self._key_name, message, signature, public_key)

    async def close(self) -> None:
        await self._kms.close()


def public_key_in(key_name: str, der: bytes, curve: Curve) -> bytes:
    """The public key in a SubjectPublicKeyInfo, as `Signer.public_key` gives it.

    Raises:
        SignerUnavailable: there is none in it.
        SignerMisconfigured: it is of another curve.
    """
    try:
        key = load_der_public_key(der)
    except (ValueError, UnsupportedAlgorithm):
        raise SignerUnavailable(f"{key_name} answered with something that is no public key") from None
    if curve is Curve.SECP256K1 and isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256K1):
        return key.public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
    if curve is Curve.ED25519 and isinstance(key, Ed25519PublicKey):
        return key.public_bytes(Encoding.Raw, PublicFormat.Raw)
    spec = "ECC_SECG_P256K1" if curve is Curve.SECP256K1 else "ECC_NIST_EDWARDS25519"
    raise SignerMisconfigured(f"{key_name} is a key of another kind; expected key spec {spec}, usage SIGN_VERIFY")


def numbers_in(key_name: str, der: bytes) -> tuple[int, int]:
    """r and s of an ECDSA signature in DER (RFC 3279). Raises SignerUnavailable."""
    try:
        return decode_dss_signature(der)
    except ValueError:
        raise SignerUnavailable(f"{key_name} answered with something that is no signature") from None


def _translated(key_id: str, error: ClientError) -> SignerError:
    """AWS' own words are left out: they name accounts and principals."""
    code = str(error.response.get("Error", {}).get("Code", "no code"))[:60]
    message = f"AWS KMS says {code} for {key_id}"
    if code in _REFUSALS:
        return SignerRefused(message)
    if code in _MISCONFIGURATIONS:
        return SignerMisconfigured(message)
    return SignerUnavailable(message)
