"""Settings of chains: their nodes, what is deposited and withdrawn, and who signs."""

from decimal import Decimal
from typing import Annotated

from pydantic import Field
from pydantic_settings import BaseSettings

from core.settings_keys import AwsRegion, Passphrase, WithdrawalKeys
from core.settings_values import (
    LOWER,
    ApiKey,
    ChainAddresses,
    DepositKeys,
    HttpUrl,
    SecretHttpUrl,
    SecretHttpUrls,
)
from core.wallet_vocabulary import ChainNetwork


class ChainSettings(BaseSettings):
    """Chains"""

    blockchain_network: Annotated[ChainNetwork, LOWER] = Field(
        default=ChainNetwork.TESTNET,
        description="Whose chains wallets, deposits and withdrawals use: `mainnet`, `testnet` (Sepolia, Amoy, BSC testnet, Bitcoin "
        "testnet4, Solana devnet) or `local` (nodes of your own: Anvil, Bitcoin regtest). Production needs `mainnet`.",
    )
    ethereum_rpc_url: SecretHttpUrls | None = Field(
        default=None,
        description="Ethereum JSON-RPC of that network; several URLs, separated by commas, stand in for each other.",
    )
    polygon_rpc_url: SecretHttpUrls | None = Field(default=None, description="Polygon JSON-RPC, as above.")
    bsc_rpc_url: SecretHttpUrls | None = Field(default=None, description="BNB Smart Chain JSON-RPC, as above.")
    solana_rpc_url: SecretHttpUrls | None = Field(default=None, description="Solana JSON-RPC, as above.")
    bitcoin_rpc_url: SecretHttpUrls | None = Field(
        default=None, description="JSON-RPC of Bitcoin Core nodes with user and password, as above."
    )
    bitcoin_api_url: SecretHttpUrls | None = Field(
        default=None, description="Esplora REST APIs of Bitcoin, as above; they also know what addresses own."
    )
    infura_api_key: ApiKey | None = Field(
        default=None, description="Infura key: its nodes come after those named above."
    )
    alchemy_api_key: ApiKey | None = Field(default=None, description="Alchemy key: its nodes come after all others.")
    chainlink_rpc_url: SecretHttpUrl | None = Field(
        default=None,
        description="Ethereum mainnet JSON-RPC for the price source `chainlink`; unset: the first of `ETHEREUM_RPC_URL` with "
        "`BLOCKCHAIN_NETWORK=mainnet`, or the provider whose key is set.",
    )


class LocalChainSettings(BaseSettings):
    """Local chain"""

    with_chains: bool = Field(
        default=False,
        description="`make dev WITH_CHAINS=1` starts an Ethereum of its own with funded accounts and a token, and uses it. There "
        "nothing is waited for: withdrawals are not held after a change, and new addresses of an address book are active at once.",
    )


class CustodySettings(BaseSettings):
    """Deposits and withdrawals"""

    deposit_xpubs: DepositKeys | None = Field(
        default=None,
        description="Extended public keys of the accounts that deposit addresses are derived from, such as `evm=xpub…` of "
        "m/44'/60'/0', `bitcoin=zpub…` of m/84'/0'/0'; a family without one takes no deposits. Never a private key.",
    )
    deposit_addresses: ChainAddresses = Field(
        default=(),
        description="Where everybody deposits on chains whose addresses cannot be derived from a public key, told apart by memos: `solana=ADDRESS`, its key offline. "
        "The first of a chain is given out; those after it are still read.",
    )
    cold_addresses: ChainAddresses = Field(
        default=(),
        description="Cold wallets, such as `ethereum=0x…,bitcoin=bc1…`: what they hold is the house's reserve.",
    )
    withdrawal_address_delay_hours: int = Field(
        default=24, ge=0, le=720, description="Hours before a new address of an address book may be used."
    )
    withdrawal_daily_limit_usd: Decimal = Field(
        default=Decimal(50_000),
        ge=0,
        description="What an account may withdraw a day (UTC), by its worth in US dollars.",
    )
    withdrawal_review_usd: Decimal = Field(
        default=Decimal(10_000),
        ge=0,
        description="Withdrawals worth so many US dollars or more, and those that nobody can value, wait for an operator's word.",
    )


class SignerSettings(BaseSettings):
    """Signing"""

    withdrawal_keys: WithdrawalKeys | None = Field(
        default=None,
        description="Who signs withdrawals, for each family of chains (`evm`: all EVM chains): `kms:` and a key's id, `alias/…` or ARN in "
        "AWS KMS, or, for development, `keystore:` and the path of a file that `keys create` has made; such as "
        "`evm=kms:alias/hot-evm,solana=keystore:data/keys/solana.pem`. Unset: nothing is signed here.",
    )
    keystore_passphrase: Passphrase | None = Field(
        default=None, description="Decrypts the keystore files; 16 letters or more (`openssl rand -base64 32`)."
    )
    aws_region: AwsRegion | None = Field(
        default=None,
        description="Region of the keys in AWS KMS. Credentials are found where AWS' own tools find them: the environment, "
        "`~/.aws`, or the role of the machine; not in `.env`.",
    )
    aws_kms_url: HttpUrl | None = Field(
        default=None, description="Endpoint of AWS KMS; unset: the region's public one. For VPC endpoints and tests."
    )
