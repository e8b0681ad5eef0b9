"""`python -m server keys create` and `keys show`: the keys that sign withdrawals, as their operator sees them. What is secret is never printed."""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from core.settings import Mode, Settings
from core.settings_keys import SignerKind, WithdrawalKey
from core.vocabulary import ChainFamily
from integrations.signers.addresses import address_of
from integrations.signers.base import CURVES, Signer, SignerError, SignerMisconfigured, prove
from integrations.signers.keystore import create_keystore, open_keystore
from integrations.signers.registry import build_signers
from server import process
from server.errors import CannotRun
from services import catalogue

EXIT_FAILED = 1


def run(settings: Settings, options: argparse.Namespace) -> int:
    """Run the command that was chosen; gives the exit status."""
    found = 0

    async def main() -> None:
        nonlocal found
        if options.keys_command == "create":
            await _create(settings, ChainFamily(options.family), options.path)
        else:
            found = await _show(settings)

    return process.run(main) or found


async def _create(settings: Settings, family: ChainFamily, path: Path) -> None:
    if settings.mode is Mode.PRODUCTION:
        raise CannotRun("MODE is PRODUCTION, where keys are in AWS KMS; a keystore is for development")
    if settings.keystore_passphrase is None:
        raise CannotRun("KEYSTORE_PASSPHRASE is missing: it encrypts the file (`openssl rand -base64 32`)")
    if "," in str(path) or str(path) != str(path).strip():
        raise CannotRun(
            f"{str(path)!r} cannot stand in WITHDRAWAL_KEYS; expected a path without commas or spaces around it"
        )
    try:
        create_keystore(path, settings.keystore_passphrase, CURVES[family])
    except FileExistsError:
        raise CannotRun(f"there is a file {path} already; it is left as it is") from None
    except OSError as error:
        raise CannotRun(f"{path} cannot be written: {error.strerror}") from error
    key = WithdrawalKey(family, SignerKind.KEYSTORE, str(path))
    await _describe(open_keystore(str(key), path, settings.keystore_passphrase, CURVES[family]), family, settings)
    _say(f"Use it with WITHDRAWAL_KEYS={key}; whoever loses the file or the passphrase loses what it holds.")


async def _show(settings: Settings) -> int:
    """Each key signs something worth nothing, so that a key that only shows itself is found here."""
    try:
        signers = build_signers(settings)
    except SignerMisconfigured as error:
        raise CannotRun(str(error)) from None
    if not signers:
        _say("WITHDRAWAL_KEYS is not set: no withdrawals are signed here")
    failed = 0
    for family, signer in signers.items():
        try:
            await prove(signer)
            await _describe(signer, family, settings)
        except SignerError as error:
            sys.stderr.write(f"keys: {signer.key_name}: {error}\n")
            failed = EXIT_FAILED
    for signer in signers.values():
        await signer.close()
    return failed


async def _describe(signer: Signer, family: ChainFamily, settings: Settings) -> None:
    public_key = await signer.public_key()
    _say(signer.key_name)
    _say(f"  {signer.curve} {public_key.hex()}")
    for name, address in _addresses(family, public_key, settings):
        _say(f"  {address}  {name}")


def _addresses(family: ChainFamily, public_key: bytes, settings: Settings) -> Iterator[tuple[str, str]]:
    """The chains of the family on the network of this configuration, and the key's address on each."""
    for chain in catalogue.read_files(settings.blockchain_network).chains.values():
        if chain.family is family:
            hrp = chain.bitcoin.hrp if chain.bitcoin is not None else None
            yield f"{chain.name}, {chain.network_name}", address_of(family, public_key, hrp)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
