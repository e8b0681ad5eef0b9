"""The signers that a configuration asks for."""

from collections.abc import Mapping
from pathlib import Path

from core.settings import Settings
from core.settings_keys import SignerKind, WithdrawalKey
from core.vocabulary import ChainFamily
from integrations.signers.base import CURVES, Signer, SignerMisconfigured
from integrations.signers.keystore import open_keystore
from integrations.signers.kms import Kms, KmsSigner


def build_signers(settings: Settings) -> Mapping[ChainFamily, Signer]:
    """One signer for each family that WITHDRAWAL_KEYS names. Keystore files are opened here; KMS is asked only when it is to sign.

    Raises:
        SignerMisconfigured: names the setting or the file.
    """
    kms = Kms(settings.aws_region, settings.aws_kms_url) if settings.aws_region is not None else None
    return {key.family: _build(key, settings, kms) for key in settings.withdrawal_keys or ()}


def _build(key: WithdrawalKey, settings: Settings, kms: Kms | None) -> Signer:
    name, curve = str(key), CURVES[key.family]
    if key.kind is SignerKind.KMS:
        if kms is None:
            raise SignerMisconfigured(f"AWS_REGION is not set; {name} needs it")
        return KmsSigner(kms, name, key.place, curve)
    if settings.keystore_passphrase is None:
        raise SignerMisconfigured(f"KEYSTORE_PASSPHRASE is not set; {name} needs it")
    return open_keystore(name, Path(key.place), settings.keystore_passphrase, curve)
