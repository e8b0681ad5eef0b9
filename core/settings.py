"""Configuration from the environment, `.env` and mounted secret files.

A variable of the environment wins over the same one in `.env`; an empty one counts as unset. All wrong values are reported together
(`describe_problems`), each with what would be right; none is repeated where it could be a secret.
"""

import difflib
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

from dotenv import dotenv_values
from pydantic import (
    SecretStr,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    field_validator,
    model_validator,
)
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError
from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from core import settings_rules
from core.settings_describe import expected, is_secret, shown_value
from core.settings_fields import TOPICS, Mode, SettingsFields
from core.settings_files import MountedSecrets
from core.settings_rules import SettingsProblem
from core.settings_values import WrongValue, shown, urls_of
from core.wallet_vocabulary import ChainNetwork

__all__ = ["Mode", "Settings", "SettingsProblem", "describe_problems", "load_settings", "misspelled", "redacted"]

ENV_FILE = Path(".env")
_LIKENESS = 0.8
_INFURA_ETHEREUM = "https://mainnet.infura.io/v3/"
_ALCHEMY_ETHEREUM = "https://eth-mainnet.g.alchemy.com/v2/"


class Settings(SettingsFields):
    """The effective configuration of a process; built once and passed. Raises pydantic.ValidationError, see `describe_problems`."""

    model_config = SettingsConfigDict(
        env_file=ENV_FILE,
        env_file_encoding="utf-8",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        allow_inf_nan=False,
        hide_input_in_errors=True,
    )

    @property
    def embedded_database(self) -> bool:
        """Whether this process starts its own database."""
        return self.mongo_url is None

    def mirrors(self, symbol: str) -> bool:
        """Whether the house quotes the reference's book in a market."""
        said = {symbol: kind for symbol, _, kind in (entry.rpartition("=") for entry in self.liquidity or ())}
        default = said.get("", "none" if self.mode is Mode.PRODUCTION else "mirror")
        return said.get(symbol, default) == "mirror"

    @property
    def ethereum_mainnet_url(self) -> SecretStr | None:
        """JSON-RPC of Ethereum's main network: CHAINLINK_RPC_URL, the first of ETHEREUM_RPC_URL where that is of the main network, or the
        endpoint of the provider whose key is set."""
        if self.chainlink_rpc_url is not None:
            return self.chainlink_rpc_url
        if self.ethereum_rpc_url is not None and self.blockchain_network is ChainNetwork.MAINNET:
            return SecretStr(urls_of(self.ethereum_rpc_url)[0])
        for key, endpoint in ((self.infura_api_key, _INFURA_ETHEREUM), (self.alchemy_api_key, _ALCHEMY_ETHEREUM)):
            if key is not None:
                return SecretStr(endpoint + quote(key.get_secret_value(), safe=""))
        return None

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 (a folder of secrets is not used)
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """What the caller says, mounted files, the environment, `.env`: the first that knows a setting wins."""
        variables: dict[str, str | None] = {}
        for source in (dotenv_settings, env_settings):
            if isinstance(source, EnvSettingsSource | DotEnvSettingsSource):
                variables |= source.env_vars
        return init_settings, MountedSecrets(settings_cls, variables), env_settings, dotenv_settings

    @field_validator("*", mode="before")
    @classmethod
    def _usable(cls, value: object, info: ValidationInfo) -> object:
        if isinstance(value, WrongValue):
            raise value
        if value == "" and info.field_name is not None:
            return cls.model_fields[info.field_name].default
        return value

    @model_validator(mode="wrap")
    @classmethod
    def _all_problems_at_once(cls, data: dict[str, Any], handler: ValidatorFunctionWrapHandler) -> Self:
        found: list[SettingsProblem] = []
        try:
            settings: Self = handler(data)
        except ValidationError as error:
            found = [_problem(details) for details in error.errors()]
            wrong = {problem.field for problem in found}
            settings = handler({name: value for name, value in data.items() if name not in wrong})
        wrong = {problem.field for problem in found}
        found += [
            problem
            for problem in settings_rules.problems(settings)
            if wrong.isdisjoint({problem.field, *problem.others})
        ]
        if found:
            raise ValidationError.from_exception_data(
                cls.__name__, [_details(problem) for problem in found], hide_input=True
            )
        return settings


def load_settings() -> Settings:
    """Settings of this process' environment and the `.env` of its folder. Raises pydantic.ValidationError."""
    return Settings()


def describe_problems(error: ValidationError) -> list[str]:
    """One line per problem: the variable, what is wrong, what would be right."""
    return [str(_problem(details)) for details in error.errors()]


def misspelled(env_file: Path = ENV_FILE) -> list[str]:
    """One line for each name in the file that is no setting but looks like one: it would be ignored."""
    known = {name.upper() for name in Settings.model_fields}
    known |= {f"{name.upper()}_FILE" for name, field in Settings.model_fields.items() if is_secret(field)}
    lines = []
    for name in dotenv_values(env_file):
        alike = difflib.get_close_matches(name.upper(), known, n=1, cutoff=_LIKENESS)
        if name.upper() not in known and alike:
            lines.append(f"{env_file}: {name} is no setting and is ignored; did you mean {alike[0]}?")
    return lines


def redacted(settings: Settings) -> dict[str, str]:
    """Every variable, by topic, and its effective value; secrets hidden, also those inside URLs."""
    return {name.upper(): shown_value(getattr(settings, name)) for topic in TOPICS for name in topic.model_fields}


def _problem(details: ErrorDetails) -> SettingsProblem:
    name = str(details["loc"][0])
    context = details.get("ctx", {})
    if details["type"] == "setting":
        return SettingsProblem(name, context["wrong"], context["right"])
    cause = context.get("error")
    if isinstance(cause, WrongValue):
        return SettingsProblem(name, cause.wrong, cause.right)
    field = Settings.model_fields[name]
    wrong = "the value cannot be used" if is_secret(field) else f"{shown(details['input'])} cannot be used"
    return SettingsProblem(name, wrong, expected(field))


def _details(problem: SettingsProblem) -> InitErrorDetails:
    reason = PydanticCustomError(
        "setting", "{wrong}; expected {right}", {"wrong": problem.wrong, "right": problem.right}
    )
    return InitErrorDetails(type=reason, loc=(problem.field,), input=None)
