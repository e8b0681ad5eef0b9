"""`keys create` and `keys show` as an operator calls them."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kms import CREDENTIALS, ED25519_SPEC, REGION, kms_server, make_key, refusal, scripted_kms
from tests.server.test_commands import run

PASSPHRASE = {"KEYSTORE_PASSPHRASE": "Zq7vL0pX2nB8sT4d"}
ADDRESSES = {"evm": r"0x[0-9a-fA-F]{40}", "bitcoin": r"tb1q[0-9a-z]{38}", "solana": r"[1-9A-HJ-NP-Za-km-z]{32,44}"}


@pytest.fixture(scope="module")
def kms_url() -> Iterator[str]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in CREDENTIALS.items():
            patch.setenv(name, value)
        with kms_server() as url:
            yield url


def lines(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines()]


def test_keys_that_were_made_are_shown_with_the_same_addresses(tmp_path: Path) -> None:
    made = {}
    for family, pattern in ADDRESSES.items():
        path = tmp_path / "keys" / f"{family}.pem"
        done = run("keys", "create", family, "--path", str(path), **PASSPHRASE)
        assert (done.returncode, done.stderr) == (0, "")
        name, curve, *addresses, advice = lines(done.stdout)
        assert name == [f"{family}=keystore:{path}"]
        assert curve[0] == ("ED25519" if family == "solana" else "SECP256K1")
        assert addresses
        assert all(re.fullmatch(pattern, address[0]) for address in addresses)
        assert advice[3].startswith(f"WITHDRAWAL_KEYS={family}=keystore:{path}")
        assert path.stat().st_mode & 0o777 == 0o600
        made[name[0]] = done.stdout.splitlines()[:-1]
    shown = run("keys", "show", WITHDRAWAL_KEYS=",".join(made), **PASSPHRASE)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert shown.stdout.splitlines() == [line for each in made.values() for line in each]
    assert "Ethereum, Sepolia" in shown.stdout
    mainnet = run("keys", "show", WITHDRAWAL_KEYS=",".join(made), BLOCKCHAIN_NETWORK="mainnet", **PASSPHRASE)
    assert "  bc1q" in mainnet.stdout


def test_what_is_not_made(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    path.write_text("mine")
    blocked = tmp_path / "file" / "key.pem"
    (tmp_path / "file").touch()
    for arguments, environment, words in (
        ((str(path),), PASSPHRASE, f"there is a file {path} already; it is left as it is"),
        ((str(blocked),), PASSPHRASE, f"{blocked} cannot be written: "),
        ((str(tmp_path / "a,b"),), PASSPHRASE, "cannot stand in WITHDRAWAL_KEYS"),
        ((str(tmp_path / "new"),), {}, "KEYSTORE_PASSPHRASE is missing"),
    ):
        done = run("keys", "create", "evm", "--path", *arguments, **environment)
        assert (done.returncode, done.stdout) == (1, "")
        assert words in done.stderr
        assert len(done.stderr.splitlines()) == 1
    assert path.read_text() == "mine"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["file", "key.pem"]
    assert run("keys", "create", "doge", "--path", "x").returncode == 2
    assert run("keys", "create", "evm").returncode == 2


def test_nothing_configured_and_a_file_that_does_not_open(tmp_path: Path) -> None:
    nothing = run("keys", "show")
    assert (nothing.returncode, nothing.stdout) == (0, "WITHDRAWAL_KEYS is not set: no withdrawals are signed here\n")
    missing = run("keys", "show", WITHDRAWAL_KEYS=f"evm=keystore:{tmp_path}/none", **PASSPHRASE)
    assert missing.returncode == 1
    assert missing.stderr == f"cryptovault: the keystore {tmp_path}/none cannot be read: No such file or directory\n"


def test_keys_of_kms_show_that_they_sign(kms_url: str) -> None:
    evm, solana = make_key(kms_url, "ECC_SECG_P256K1"), make_key(kms_url, ED25519_SPEC)
    keys = f"evm=kms:{evm},bitcoin=kms:alias/none,solana=kms:{solana}"
    shown = run("keys", "show", WITHDRAWAL_KEYS=keys, AWS_REGION=REGION, AWS_KMS_URL=kms_url, **CREDENTIALS)
    assert shown.returncode == 1
    assert shown.stderr == ("keys: bitcoin=kms:alias/none: AWS KMS says NotFoundException for alias/none\n")
    names = [line for line in shown.stdout.splitlines() if not line.startswith(" ")]
    assert names == [f"evm=kms:{evm}", f"solana=kms:{solana}"]


def test_a_kms_that_denies_is_told_without_its_words() -> None:
    with scripted_kms(lambda *_: refusal("AccessDeniedException")) as url:
        shown = run("keys", "show", WITHDRAWAL_KEYS="evm=kms:k", AWS_REGION=REGION, AWS_KMS_URL=url, **CREDENTIALS)
    assert (shown.returncode, shown.stdout) == (1, "")
    assert shown.stderr == "keys: evm=kms:k: AWS KMS says AccessDeniedException for k\n"


def test_production_makes_none(tmp_path: Path) -> None:
    production = {
        "MODE": "production",
        "BLOCKCHAIN_NETWORK": "mainnet",
        "MONGO_URL": "mongodb://app:kX9-wQz41mTb@db1:27017/?replicaSet=rs0",
        "REDIS_URL": "rediss://:f7Jq02LmzXc8@cache:6379/0",
        "APP_URL": "https://api.vault.io",
        "ENCRYPTION_KEY": "BwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyAhIiMkJSY=",
        "EMAIL_PROVIDER": "smtp",
        "SMTP_URL": "smtps://app:kX9-wQz41mTb@mail:465",
        "MAIL_FROM": "Vault <no-reply@vault.io>",
        "SIMULATED_FALLBACK": "false",
    }
    done = run("keys", "create", "evm", "--path", str(tmp_path / "k"), **production, **PASSPHRASE)
    assert done.returncode == 1
    assert "MODE is PRODUCTION, where keys are in AWS KMS" in done.stderr
    assert not list(tmp_path.iterdir())
