"""Chains: where assets move. Configured by the reviewed data file, not stored."""

from pydantic import BaseModel

from core.vocabulary import ChainFamily


class ChainEntry(BaseModel, frozen=True):
    """A chain; `chain_id` is the EIP-155 id of EVM chains."""

    key: str
    name: str
    family: ChainFamily
    chain_id: int | None
    native: str
    explorer: str
