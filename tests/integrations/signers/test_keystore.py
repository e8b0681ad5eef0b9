"""Keys in encrypted files: who may open them, what they sign, and that nothing of them is shown."""

import os
import pickle
import shutil
import subprocess
import traceback
from pathlib import Path

import pytest
from coincurve import PrivateKey, PublicKey
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from core.settings import Settings
from core.vocabulary import ChainFamily
from integrations.signers.base import Curve, SignerMisconfigured, SignerRefused, prove
from integrations.signers.keystore import KeystoreSigner, create_keystore, open_keystore
from integrations.signers.kms import KmsSigner
from integrations.signers.registry import build_signers
from tests.components import missing

PASSPHRASE = SecretStr("Zq7vL0pX2nB8sT4d")
EIP_155 = KeystoreSigner("evm=keystore:k", PrivateKey(b"\x46" * 32))


def write(path: Path, pem: bytes, mode: int = 0o600) -> Path:
    path.write_bytes(pem)
    path.chmod(mode)
    return path


@pytest.mark.parametrize("curve", list(Curve))
async def test_a_file_that_was_made_opens_and_signs(tmp_path: Path, curve: Curve) -> None:
    path = tmp_path / "keys" / "key.pem"
    create_keystore(path, PASSPHRASE, curve)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    first, again = (open_keystore("k", path, PASSPHRASE, curve) for _ in range(2))
    assert first.curve is curve
    assert await first.public_key() == await again.public_key()
    assert len(await first.public_key()) == (33 if curve is Curve.SECP256K1 else 32)
    await prove(first)
    path.unlink()
    await prove(first)


async def test_a_file_is_never_replaced(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    create_keystore(path, PASSPHRASE, Curve.ED25519)
    held = path.read_bytes()
    for curve in Curve:
        with pytest.raises(FileExistsError):
            create_keystore(path, PASSPHRASE, curve)
    assert path.read_bytes() == held
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o660, 0o610])
def test_a_file_that_others_may_use_is_refused_by_name(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "key.pem"
    create_keystore(path, PASSPHRASE, Curve.ED25519)
    path.chmod(mode)
    with pytest.raises(SignerMisconfigured) as refused:
        open_keystore("k", path, PASSPHRASE, Curve.ED25519)
    assert (
        str(refused.value)
        == f"the keystore {path} may be used by others (mode {mode:04o}); expected 0600: chmod 600 {path}"
    )
    path.chmod(0o400)
    open_keystore("k", path, PASSPHRASE, Curve.ED25519)


def pem_of(
    key: ec.EllipticCurvePrivateKey | Ed25519PrivateKey | rsa.RSAPrivateKey, passphrase: SecretStr | None = PASSPHRASE
) -> bytes:
    encryption = (
        NoEncryption() if passphrase is None else BestAvailableEncryption(passphrase.get_secret_value().encode())
    )
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)


@pytest.mark.parametrize(
    ("pem", "words"),
    [
        (pem_of(Ed25519PrivateKey.generate(), None), "is no encrypted key in PKCS#8; `keys create` makes one"),
        (b"", "is no encrypted key in PKCS#8"),
        (b"0x" + b"46" * 32, "is no encrypted key in PKCS#8"),
        (pem_of(Ed25519PrivateKey.generate(), SecretStr("another passphrase")), "KEYSTORE_PASSPHRASE is not the one"),
        (pem_of(Ed25519PrivateKey.generate())[:150], "or it is damaged"),
        (pem_of(ec.generate_private_key(ec.SECP256R1())), "holds a key of another kind; expected SECP256K1"),
        (pem_of(rsa.generate_private_key(65537, 2048)), "holds a key of another kind; expected SECP256K1"),
        (pem_of(Ed25519PrivateKey.generate()), "holds an ED25519 key; expected SECP256K1"),
    ],
)
def test_a_file_that_holds_no_such_key(tmp_path: Path, pem: bytes, words: str) -> None:
    path = write(tmp_path / "key.pem", pem)
    with pytest.raises(SignerMisconfigured, match=str(path)) as refused:
        open_keystore("k", path, PASSPHRASE, Curve.SECP256K1)
    assert words in str(refused.value)
    assert refused.value.__cause__ is None


def test_what_is_no_file_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    (tmp_path / "folder").mkdir(mode=0o700)
    for name, words in (("pipe", "is no file"), ("folder", "is no file"), ("none", "No such file or directory")):
        with pytest.raises(SignerMisconfigured, match=words):
            open_keystore("k", tmp_path / name, PASSPHRASE, Curve.ED25519)


def test_openssl_reads_and_makes_the_same_files(tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        missing("openssl")
    path = tmp_path / "key.pem"
    create_keystore(path, PASSPHRASE, Curve.SECP256K1)
    word = f"pass:{PASSPHRASE.get_secret_value()}"
    subprocess.run(
        ["openssl", "pkey", "-in", path, "-passin", word, "-noout", "-check"], check=True, capture_output=True
    )
    made = tmp_path / "made.pem"
    plain = subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519"], check=True, capture_output=True).stdout
    subprocess.run(
        ["openssl", "pkcs8", "-topk8", "-iter", "100000", "-v2", "aes-256-cbc", "-passout", word, "-out", made],
        input=plain,
        check=True,
    )
    made.chmod(0o600)
    signer = open_keystore("k", made, PASSPHRASE, Curve.ED25519)
    key = load_pem_private_key(plain, None)
    assert isinstance(key, Ed25519PrivateKey)
    assert signer._public_key() == key.public_key().public_bytes_raw()


async def test_eip_155s_own_example() -> None:
    """The digest and signature that EIP-155 gives (v 37 on chain 1: parity 0), and deterministic as RFC 6979 has it."""
    digest = bytes.fromhex("daf5a779ae972f972197303d7b574746c7ef83eadac0f2791ad23db92e4c8e53")
    found = await EIP_155.sign_digest(digest)
    assert f"{found.r:x}" == "28ef61340bd939bc2195fe537567866003e1a15d3c71ff63e1590620aa636276"
    assert f"{found.s:x}" == "67cbe9d8997f761aecb703304b3800ccf555c9f3dc64214b297fb1966a3b6d83"
    assert found.y_parity == 37 - 35 - 2 * 1
    assert await EIP_155.sign_digest(digest) == found


@given(secret=st.binary(min_size=32, max_size=32), digest=st.binary(min_size=32, max_size=32))
async def test_every_digest_gets_a_low_signature_that_recovers(secret: bytes, digest: bytes) -> None:
    try:
        key = PrivateKey(secret)
    except ValueError:
        return
    found = await KeystoreSigner("k", key).sign_digest(digest)
    assert found.s <= 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0
    raw = found.r.to_bytes(32) + found.s.to_bytes(32) + bytes([found.y_parity])
    assert PublicKey.from_signature_and_message(raw, digest, hasher=None) == key.public_key


async def test_rfc_8032s_own_example() -> None:
    secret = bytes.fromhex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb")
    signer = KeystoreSigner("k", Ed25519PrivateKey.from_private_bytes(secret))
    assert (await signer.public_key()).hex() == "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"
    signature = await signer.sign_message(b"\x72")
    assert signature.hex().startswith("92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da")
    Ed25519PublicKey.from_public_bytes(await signer.public_key()).verify(signature, b"\x72")


async def test_a_key_signs_nothing_else() -> None:
    ed25519 = KeystoreSigner("solana=keystore:k", Ed25519PrivateKey.generate())
    for digest in (b"", bytes(31), bytes(33)):
        with pytest.raises(SignerRefused, match="a digest has 32 bytes"):
            await EIP_155.sign_digest(digest)
    for message in (b"", bytes(4097)):
        with pytest.raises(SignerRefused, match="a message has 1 to 4096 bytes"):
            await ed25519.sign_message(message)
    with pytest.raises(SignerRefused, match="is a key of ED25519"):
        await ed25519.sign_digest(bytes(32))
    with pytest.raises(SignerRefused, match="is a key of SECP256K1"):
        await EIP_155.sign_message(b"x")


async def test_no_key_is_shown(tmp_path: Path) -> None:
    secret = "46" * 32
    assert repr(EIP_155) == str(EIP_155) == "KeystoreSigner('evm=keystore:k')"
    with pytest.raises(TypeError):
        pickle.dumps(EIP_155)
    wrong = write(tmp_path / "k.pem", pem_of(ec.derive_private_key(int(secret, 16), ec.SECP256K1()), None))
    for pem in (wrong.read_bytes(), pem_of(Ed25519PrivateKey.generate())):
        with pytest.raises(SignerMisconfigured) as refused:
            open_keystore("k", write(wrong, pem), SecretStr("passphrase of a stranger"), Curve.SECP256K1)
        shown = "".join(traceback.format_exception(refused.value))
        assert secret not in shown
        assert pem.splitlines()[1].decode() not in shown
        assert "stranger" not in str(refused.value)


def settings(**given: object) -> Settings:
    return Settings(_env_file=None, **given)  # type: ignore[arg-type]


async def test_a_configuration_gives_a_signer_for_each_family_it_names(tmp_path: Path) -> None:
    for name, curve in (("e", Curve.SECP256K1), ("s", Curve.ED25519)):
        create_keystore(tmp_path / name, PASSPHRASE, curve)
    keys = f"evm=keystore:{tmp_path}/e,bitcoin=kms:alias/hot,solana=keystore:{tmp_path}/s"
    signers = build_signers(settings(withdrawal_keys=keys, keystore_passphrase=PASSPHRASE, aws_region="eu-central-1"))
    assert {family: signer.key_name for family, signer in signers.items()} == {
        ChainFamily.EVM: f"evm=keystore:{tmp_path}/e",
        ChainFamily.BITCOIN: "bitcoin=kms:alias/hot",
        ChainFamily.SOLANA: f"solana=keystore:{tmp_path}/s",
    }
    assert isinstance(signers[ChainFamily.BITCOIN], KmsSigner)
    await prove(signers[ChainFamily.EVM])
    await prove(signers[ChainFamily.SOLANA])
    for signer in signers.values():
        await signer.close()
    assert build_signers(settings()) == {}


def test_a_configuration_with_a_key_of_the_wrong_curve(tmp_path: Path) -> None:
    create_keystore(tmp_path / "s", PASSPHRASE, Curve.ED25519)
    keys = f"evm=keystore:{tmp_path}/s"
    with pytest.raises(SignerMisconfigured, match="holds an ED25519 key; expected SECP256K1"):
        build_signers(settings(withdrawal_keys=keys, keystore_passphrase=PASSPHRASE))
