"""The key that signs reports of liabilities: one for good, Ed25519, so that whoever has noted it once knows every later report by it.

It is kept as the keys of access tokens are (`models/signing_key.py`), under a name of its own.
"""

from base64 import urlsafe_b64encode

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from core.errors import InvariantBroken
from core.secret_box import SecretBox
from models import signing_key
from models.signing_key import SigningKeyDocument

KID = "liabilities"
_CONTEXT = f"signing-key:{KID}"


class LiabilityKey:
    """Signs. Call `load` before anything else."""

    def __init__(self, box: SecretBox) -> None:
        self._box = box
        self._private: Ed25519PrivateKey | None = None

    async def load(self) -> None:
        """Have the key; whoever needs it first makes it. Raises SealBroken, PyMongoError."""
        found = await signing_key.by_ids([KID])
        if not found:
            await signing_key.insert_first(self._new())
            found = await signing_key.by_ids([KID])
        self._private = Ed25519PrivateKey.from_private_bytes(self._box.open(found[0].sealed_private_key, _CONTEXT))

    def sign(self, text: str) -> str:
        """The signature of a text (RFC 8032), base64url."""
        return _text(self._key().sign(text.encode()))

    @property
    def public(self) -> str:
        """The public key, base64url, as `x` of a JSON Web Key (RFC 8037)."""
        return _public(self._key())

    def jwks(self) -> dict[str, object]:
        """The public key as it is published (RFC 7517)."""
        key = {"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": KID, "x": self.public}
        return {"keys": [key]}

    def _key(self) -> Ed25519PrivateKey:
        if self._private is None:
            raise InvariantBroken("the key was not loaded")
        return self._private

    def _new(self) -> SigningKeyDocument:
        private = Ed25519PrivateKey.generate()
        raw = private.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
        return SigningKeyDocument(id=KID, public_key=_public(private), sealed_private_key=self._box.seal(raw, _CONTEXT))


def _public(private: Ed25519PrivateKey) -> str:
    return _text(private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw))


def _text(data: bytes) -> str:
    return urlsafe_b64encode(data).decode().rstrip("=")
