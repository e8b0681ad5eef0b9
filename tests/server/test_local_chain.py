"""The local chain of `make dev WITH_CHAINS=1`: what it is furnished with, and what survives a restart."""

import json
from pathlib import Path

import pytest

from core.settings import Settings
from core.wallet_vocabulary import ChainNetwork
from integrations.chains.json_rpc import JsonRpc
from integrations.signers.base import Curve
from integrations.signers.evm import evm_address
from integrations.signers.keystore import open_keystore
from server import local_chain
from server.chain_commands import account_of
from server.errors import CannotRun
from services import catalogue
from tests.chains import compiled
from tests.components import missing
from tests.evm import calldata


def settings_in(folder: Path) -> Settings:
    if not local_chain.PROGRAM.exists():
        missing("anvil (npm, deploy/chain)")
    return Settings(_env_file=None, data_dir=folder, with_chains=True)


async def asked(settings: Settings, method: str, *params: object) -> object:
    assert settings.ethereum_rpc_url is not None
    rpc = JsonRpc(settings.ethereum_rpc_url.get_secret_value())
    try:
        return await rpc.call(method, *params)
    finally:
        await rpc.close()


async def hot_of(settings: Settings) -> str:
    assert settings.withdrawal_keys is not None
    assert settings.keystore_passphrase is not None
    signer = open_keystore(
        "hot", Path(settings.withdrawal_keys[0].place), settings.keystore_passphrase, Curve.SECP256K1
    )
    return evm_address(await signer.public_key())


async def tokens_of(settings: Settings, owner: str) -> int:
    call = {"to": local_chain.DEMONSTRATION, "data": "0x" + calldata("balanceOf(address)", owner).hex()}
    return int(str(await asked(settings, "eth_call", call, "latest")), 16)


async def test_it_has_a_token_and_a_funded_hot_wallet_and_keeps_them(tmp_path: Path) -> None:
    async with local_chain.local_chain(settings_in(tmp_path)) as settings:
        assert settings.blockchain_network is ChainNetwork.LOCAL
        hot = await hot_of(settings)
        assert int(str(await asked(settings, "eth_getBalance", hot, "latest")), 16) == local_chain.HOT_COINS
        assert await tokens_of(settings, hot) == local_chain.HOT_TOKENS
        assert (settings.withdrawal_address_delay_hours, settings.withdrawal_hold_hours) == (0, 0)
        height = int(str(await asked(settings, "eth_blockNumber")), 16)
    async with local_chain.local_chain(settings_in(tmp_path)) as settings:
        assert await hot_of(settings) == hot
        assert await tokens_of(settings, hot) == local_chain.HOT_TOKENS
        assert int(str(await asked(settings, "eth_blockNumber")), 16) >= height


async def test_every_account_of_the_command_has_coins_and_tokens_and_gets_new_ones_when_it_has_none(
    tmp_path: Path,
) -> None:
    async with local_chain.local_chain(settings_in(tmp_path)) as settings:
        owners = [str(account_of(number).address) for number in range(10)]
        assert owners == [local_chain.RICHEST, *local_chain.WALLETS]
        for owner in local_chain.WALLETS:
            assert await tokens_of(settings, owner) == local_chain.WALLET_TOKENS
            assert int(str(await asked(settings, "eth_getBalance", owner, "latest")), 16) == 10_000 * 10**18
        data = calldata("transfer(address,uint256)", owners[2], local_chain.WALLET_TOKENS)
        await asked(
            settings,
            "eth_sendTransaction",
            {"from": owners[1], "to": local_chain.DEMONSTRATION, "data": "0x" + data.hex()},
        )
        await asked(settings, "anvil_mine", "0x1")
        assert await tokens_of(settings, owners[1]) == 0
    async with local_chain.local_chain(settings_in(tmp_path)) as settings:
        assert await tokens_of(settings, owners[1]) == local_chain.WALLET_TOKENS
        assert await tokens_of(settings, owners[2]) == 2 * local_chain.WALLET_TOKENS


def test_its_token_is_the_catalogues_and_made_of_the_source_in_the_tests() -> None:
    usdc = catalogue.read_files(ChainNetwork.LOCAL).asset("USDC")
    assert usdc.networks[0].contract == local_chain.DEMONSTRATION
    made = json.loads((local_chain.FOLDER / "token.json").read_text())
    assert made["bytecode"] == compiled("Token")["bytecode"]


async def test_without_the_program_it_is_said_in_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_chain, "PROGRAM", tmp_path / "none")
    settings = Settings(_env_file=None, data_dir=tmp_path)
    with pytest.raises(CannotRun, match="WITH_CHAINS=1"):
        async with local_chain.local_chain(settings):
            pass
