"""Where the ring of encryption keys comes from."""

from base64 import b64encode
from pathlib import Path

import pytest
from pydantic import SecretStr

from core.secret_box import SecretBox
from core.settings import Settings
from server.encryption_keys import FILE_NAME, configured_box, development_box
from server.errors import CannotRun

KEYS = [bytes([first, *range(31)]) for first in (1, 2, 3)]
TEXTS = [b64encode(key).decode() for key in KEYS]


def settings(folder: Path, **given: str) -> Settings:
    return Settings(_env_file=None, data_dir=folder, **{name: SecretStr(text) for name, text in given.items()})  # type: ignore[arg-type]


def test_the_configured_keys_make_the_ring_the_newest_first(tmp_path: Path) -> None:
    box = configured_box(settings(tmp_path, encryption_key=TEXTS[0], encryption_old_keys=f"{TEXTS[1]}, {TEXTS[2]}"))
    for key in KEYS:
        assert box.open(SecretBox([key]).seal(b"x", "c"), "c") == b"x"
    assert SecretBox([KEYS[0]]).open(box.seal(b"x", "c"), "c") == b"x"


def test_without_a_key_a_deployment_does_not_start(tmp_path: Path) -> None:
    with pytest.raises(CannotRun, match="ENCRYPTION_KEY is missing"):
        configured_box(settings(tmp_path))


def test_development_makes_a_key_once_that_its_owner_alone_can_read(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    sealed = development_box(settings(folder)).seal(b"x", "c")
    assert development_box(settings(folder)).open(sealed, "c") == b"x"
    assert (folder / FILE_NAME).stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o777 == 0o700
    assert development_box(settings(tmp_path / "other")).is_current(sealed) is False


def test_a_configured_key_is_used_in_development_too(tmp_path: Path) -> None:
    box = development_box(settings(tmp_path, encryption_key=TEXTS[0]))
    assert box.is_current(SecretBox([KEYS[0]]).seal(b"x", "c"))
    assert not (tmp_path / FILE_NAME).exists()


def test_a_key_file_that_is_none_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_text("not a key")
    with pytest.raises(CannotRun, match="holds no key"):
        development_box(settings(tmp_path))
    assert (tmp_path / FILE_NAME).read_text() == "not a key"
