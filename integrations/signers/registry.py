"""The signers that a configuration asks for."""

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from core.settings import Settings
from core.settings_keys import SignerKind, WithdrawalKey
from core.vocabulary import ChainFamily
from integrations.signers.base import CURVES, Signer, SignerMisconfigured
from integrations.signers.keystore import open_keystore

if TYPE_CHECKING:
    from integrations.signers.kms import Kms


def build_signers(settings: Settings) -> Mapping[ChainFamily, Signer]:
    """One signer for each family that WITHDRAWAL_KEYS names. Keystore files are opened here; KMS is asked only when it is to sign.

    Raises:
        SignerMisconfigured: names the setting or the file.
    """
    kms = _kms_of(settings)
    return {key.family: _build(key, settings, kms) for key in settings.withdrawal_keys or ()}


def _kms_of(settings: Settings) -> "Kms | None":
    """The KMS that the settings name; AWS's library is loaded for it alone."""
    if settings.aws_region is None:
        return None
    kms: Kms = importlib.import_module("integrations.signers.kms").Kms(settings.aws_region, settings.aws_kms_url)
    return kms


def _build(key: WithdrawalKey, settings: Settings, kms: "Kms | None") -> Signer:
    name, curve = str(key), CURVES[key.family]
    if key.kind is SignerKind.KMS:
        if kms is None:
            raise SignerMisconfigured(f"AWS_REGION is not set; {name} needs it")
        return kms.signer(name, key.place, curve)
    if settings.keystore_passphrase is None:
        raise SignerMisconfigured(f"KEYSTORE_PASSPHRASE is not set; {name} needs it")
    return open_keystore(name, Path(key.place), settings.keystore_passphrase, curve)
