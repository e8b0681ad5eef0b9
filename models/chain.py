"""Chains: where assets move. Configured by the reviewed data file, not stored."""

from typing import Self

from pydantic import BaseModel, model_validator

from core.vocabulary import ChainFamily


class BitcoinParameters(BaseModel, frozen=True):
    """What tells one chain of Bitcoin's kind from another: prefixes of its addresses and extended keys (SLIP-132), and of signed messages."""

    hrp: str
    p2pkh: int
    p2sh: int
    coin_type: int
    """Of BIP-44 paths (SLIP-44)."""
    message_prefix: str = "Bitcoin Signed Message:\n"


class EvmContracts(BaseModel, frozen=True):
    """Contracts of a chain that readers lean on; None: it has none, and they do without."""

    multicall: str | None = None
    """Multicall3."""
    ens_registry: str | None = None


class ChainEntry(BaseModel, frozen=True):
    """A chain on the network that this server speaks to.

    `chain_id` is the EIP-155 id of EVM chains, `genesis` the hash of the first block elsewhere: by them a node proves which chain it is of (None: not
    checked). `network_name` is what the network is called; `block_seconds` the usual time between blocks; `final_after` the confirmations after
    which nothing is taken back any more.
    """

    key: str
    name: str
    family: ChainFamily
    native: str
    network_name: str
    chain_id: int | None = None
    genesis: str | None = None
    explorer: str | None = None
    block_seconds: float
    final_after: int
    bitcoin: BitcoinParameters | None = None
    evm: EvmContracts = EvmContracts()

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.family is ChainFamily.EVM and self.chain_id is None:
            raise ValueError("an EVM chain needs its chain_id")
        if self.family is ChainFamily.BITCOIN and self.bitcoin is None:
            raise ValueError("a chain of Bitcoin's family needs its parameters")
        return self

    def transaction_url(self, hash_: str) -> str | None:
        """A transaction in the chain's explorer; None without one."""
        return self._url("tx", hash_)

    def address_url(self, address: str) -> str | None:
        """An address in the chain's explorer; None without one."""
        return self._url("account" if self.family is ChainFamily.SOLANA else "address", address)

    def token_url(self, contract: str) -> str | None:
        """A token in the chain's explorer; None without one."""
        return self._url("token", contract)

    def _url(self, kind: str, name: str) -> str | None:
        if self.explorer is None:
            return None
        base, question, query = self.explorer.partition("?")
        return f"{base.rstrip('/')}/{kind}/{name}{question}{query}"
