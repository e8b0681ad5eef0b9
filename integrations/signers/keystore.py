"""Keys in encrypted files, for development: PKCS#8 in PEM (RFC 5958), under a passphrase (PBES2), for both curves.

OpenSSL reads and writes the same files. A file is read once; the key then stays in this process' memory, which is why production has its keys in KMS.
"""

import errno
import os
import stat
from pathlib import Path

from coincurve import PrivateKey
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from pydantic import SecretStr

from integrations.signers.base import (
    Curve,
    RecoverableSignature,
    SignerMisconfigured,
    check_digest,
    check_message,
    recoverable,
    verified,
    wrong_curve,
)

FILE_MODE = 0o600
_MOST_BYTES = 65_536
_ENCRYPTED = b"-----BEGIN ENCRYPTED PRIVATE KEY-----"


class KeystoreSigner:
    """Signs with a key that this process holds."""

    def __init__(self, key_name: str, key: PrivateKey | Ed25519PrivateKey) -> None:
        self._key_name = key_name
        self._key = key

    def __repr__(self) -> str:
        return f"KeystoreSigner({self._key_name!r})"

    @property
    def key_name(self) -> str:
        return self._key_name

    @property
    def curve(self) -> Curve:
        return Curve.SECP256K1 if isinstance(self._key, PrivateKey) else Curve.ED25519

    async def public_key(self) -> bytes:
        return self._public_key()

    async def sign_digest(self, digest: bytes) -> RecoverableSignature:
        """RFC 6979: the same digest gets the same signature."""
        if not isinstance(self._key, PrivateKey):
            raise wrong_curve(self, Curve.SECP256K1)
        check_digest(digest)
        signature = self._key.sign_recoverable(digest, hasher=None)
        r, s = int.from_bytes(signature[:32]), int.from_bytes(signature[32:64])
        return recoverable(self._key_name, digest, r, s, self._public_key())

    async def sign_message(self, message: bytes) -> bytes:
        if not isinstance(self._key, Ed25519PrivateKey):
            raise wrong_curve(self, Curve.ED25519)
        check_message(message)
        return verified(self._key_name, message, self._key.sign(message), self._public_key())

    async def close(self) -> None:
        """Nothing is open."""

    def _public_key(self) -> bytes:
        if isinstance(self._key, PrivateKey):
            return self._key.public_key.format()
        return self._key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def open_keystore(key_name: str, path: Path, passphrase: SecretStr, curve: Curve) -> KeystoreSigner:
    """The key in this file. Raises SignerMisconfigured, which names the file and what would be right."""
    pem = _read(path)
    if not pem.lstrip().startswith(_ENCRYPTED):
        raise SignerMisconfigured(f"the keystore {path} is no encrypted key in PKCS#8; `keys create` makes one")
    try:
        key = load_pem_private_key(pem, passphrase.get_secret_value().encode())
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise SignerMisconfigured(
            f"the keystore {path} cannot be opened: KEYSTORE_PASSPHRASE is not the one it was made with, or it is damaged"
        ) from None
    if isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, ec.SECP256K1):
        found = KeystoreSigner(key_name, PrivateKey.from_int(key.private_numbers().private_value))
    elif isinstance(key, Ed25519PrivateKey):
        found = KeystoreSigner(key_name, key)
    else:
        raise SignerMisconfigured(f"the keystore {path} holds a key of another kind; expected {curve}")
    if found.curve is not curve:
        raise SignerMisconfigured(f"the keystore {path} holds an {found.curve} key; expected {curve}")
    return found


def create_keystore(path: Path, passphrase: SecretStr, curve: Curve) -> None:
    """Make a key and its file, which its owner alone can read.

    Raises:
        FileExistsError: there is a file already; it is left as it is.
        OSError: the file cannot be written; none is left behind.
    """
    key = ec.generate_private_key(ec.SECP256K1()) if curve is Curve.SECP256K1 else Ed25519PrivateKey.generate()
    encryption = BestAvailableEncryption(passphrase.get_secret_value().encode())
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)
    _make_folder(path.parent)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(pem)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        path.unlink(missing_ok=True)
        raise


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except FileExistsError:
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder)) from None


def _read(path: Path) -> bytes:
    try:
        # Without O_NONBLOCK, to open a pipe would wait for its other end.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        try:
            _check_mode(path, os.fstat(descriptor).st_mode)
            return os.read(descriptor, _MOST_BYTES)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise SignerMisconfigured(f"the keystore {path} cannot be read: {error.strerror}") from None


def _check_mode(path: Path, mode: int) -> None:
    if not stat.S_ISREG(mode):
        raise SignerMisconfigured(f"the keystore {path} is no file")
    if mode & 0o077:
        wrong = f"the keystore {path} may be used by others (mode {stat.S_IMODE(mode):04o})"
        raise SignerMisconfigured(f"{wrong}; expected 0600: chmod 600 {path}")
