"""The settings of swaps: who is asked for quotes."""

from pydantic import Field
from pydantic_settings import BaseSettings

from core.settings_values import ApiKey, HttpUrl


class SwapSettings(BaseSettings):
    """Swaps"""

    lifi_url: HttpUrl | None = Field(
        default=None,
        description="LI.FI, REST. Unset: `https://li.quest` with `BLOCKCHAIN_NETWORK=mainnet`, else nobody; it knows only main networks.",
    )
    lifi_api_key: ApiKey | None = Field(
        default=None, description="LI.FI key; without one a few hundred quotes in two hours are answered."
    )
    zerox_url: HttpUrl | None = Field(
        default=None,
        description="0x, REST. Unset: `https://api.0x.org` with `BLOCKCHAIN_NETWORK=mainnet`, else nobody.",
    )
    zerox_api_key: ApiKey | None = Field(
        default=None,
        description="0x key; 0x is not asked without. Its quotes are checked against the chain, which needs a node.",
    )
