"""The ring of keys that encrypts stored secrets: from the configuration, or, for development, from a file made at the first start."""

import os
import secrets
from base64 import b64encode
from pathlib import Path

from pydantic import SecretStr

from core.secret_box import SecretBox
from core.settings import Settings
from core.settings_values import KEY_BYTES, key_bytes, split_secrets
from server.errors import CannotRun

FILE_NAME = "encryption.key"


def configured_box(settings: Settings) -> SecretBox:
    """The ring of ENCRYPTION_KEY and ENCRYPTION_OLD_KEYS. Raises CannotRun without a key."""
    if settings.encryption_key is None:
        raise CannotRun("ENCRYPTION_KEY is missing: 32 bytes in base64, the same for every process")
    return _box(settings.encryption_key, settings)


def development_box(settings: Settings) -> SecretBox:
    """The configured ring, or else one of the key in DATA_DIR, which is made when there is none. Raises CannotRun."""
    if settings.encryption_key is not None:
        return configured_box(settings)
    return _box(_kept_key(settings.data_dir), settings)


def _box(key: SecretStr, settings: Settings) -> SecretBox:
    old = split_secrets(settings.encryption_old_keys) if settings.encryption_old_keys is not None else []
    return SecretBox([key_bytes(each) for each in (key, *old)])


def _kept_key(folder: Path) -> SecretStr:
    path = folder / FILE_NAME
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not path.exists():
            unfinished = path.with_suffix(".new")
            descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(b64encode(secrets.token_bytes(KEY_BYTES)))
                file.flush()
                os.fsync(file.fileno())
            unfinished.rename(path)
        key = SecretStr(path.read_text().strip())
    except OSError as error:
        raise CannotRun(f"the key file {path} cannot be used: {error.strerror}") from error
    if len(key_bytes(key)) != KEY_BYTES:
        raise CannotRun(f"the key file {path} holds no key; stored secrets cannot be read without the one it held")
    return key
