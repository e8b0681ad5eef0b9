"""Secrets from mounted files, as Docker and Kubernetes provide them: NAME_FILE names a file that holds the value of NAME."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from core.settings_describe import is_secret
from core.settings_values import WrongValue

MOST_BYTES = 65_536


class MountedSecrets(PydanticBaseSettingsSource):
    """Reads the files. A problem is given as the field's value, a WrongValue, so that it is reported with all others."""

    def __init__(self, settings: type[BaseSettings], variables: Mapping[str, str | None]) -> None:
        """`variables`: the environment and `.env`, names in lower case."""
        super().__init__(settings)
        self._variables = variables

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """The secret, or what is wrong; None where no file is named."""
        path = self._variables.get(f"{field_name}_file")
        if not path or not is_secret(field):
            return None, field_name, False
        if self._variables.get(field_name):
            name = field_name.upper()
            return WrongValue(f"both {name} and {name}_FILE are set", "one of the two"), field_name, False
        return _read(Path(path)), field_name, False

    def __call__(self) -> dict[str, Any]:
        """Fields that a file provides."""
        read = {name: self.get_field_value(field, name)[0] for name, field in self.settings_cls.model_fields.items()}
        return {name: value for name, value in read.items() if value is not None}


def _read(path: Path) -> str | WrongValue:
    right = "a readable text file that holds the secret"
    try:
        with path.open("rb") as file:
            text = file.read(MOST_BYTES).decode().rstrip("\r\n")
    except OSError as error:
        return WrongValue(f"the file {str(path)!r} cannot be read ({error.strerror})", right)
    except UnicodeDecodeError:
        return WrongValue(f"the file {str(path)!r} is no text", right)
    return text or WrongValue(f"the file {str(path)!r} is empty", right)
