"""`make dev WITH_CHAINS=1`: an Ethereum of one's own, so that wallets, deposits and withdrawals can be tried offline.

Anvil runs as a child with its state in DATA_DIR/chain.json and makes a block a second. Its accounts are those of the mnemonic that everybody knows
(`test test … junk`): nothing here is worth anything. USDC is a token of ours at the address that the catalogue has for it on this network.
"""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from eth_abi.abi import encode
from pydantic import SecretStr

from core.settings import Settings
from core.settings_keys import SignerKind, WithdrawalKey
from core.vocabulary import ChainFamily
from core.wallet_vocabulary import ChainNetwork
from integrations.chains.errors import ChainError
from integrations.chains.json_rpc import JsonRpc
from integrations.signers.base import Curve
from integrations.signers.evm import evm_address
from integrations.signers.keystore import create_keystore, open_keystore
from server.embedded import HOST
from server.errors import CannotRun
from server.tether import tethered

FOLDER = Path(__file__).resolve().parent.parent / "deploy" / "chain"
PROGRAM = FOLDER / "node_modules" / ".bin" / "anvil"
URL_FILE = "chain.url"
PORT = 8545
CHAIN_ID = 31337
READY_SECONDS = 15.0
RICHEST = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"
"""The first of Anvil's accounts: it owns the token."""
WALLETS = (
    "0x70997970C51812dc3A010C7d01b50e0d17dc79C8",
    "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC",
    "0x90F79bf6EB2c4f870365E785982E1f101E93b906",
    "0x15d34AAf54267DB7D7c367839AAf71A00a2C6A65",
    "0x9965507D1a55bcC2695C58ba16FB37d819B0A4dc",
    "0x976EA74026E726554dB657fA54763abd0C3a0aa9",
    "0x14dC79964da2C08b23698B3D3cc7Ca32193d9955",
    "0x23618e81E3f5cdF7f54C3d65f7FBc0aBf5B21E8f",
    "0xa0Ee7A142d267C1f36714E4a8F75612F20a79720",
)
"""The other nine, from number 1 on: the wallets of people."""
DEMONSTRATION = "0x5FbDB2315678afecb367f032d93F642f64180aa3"
"""Where the first contract of that account is."""
DEPOSITS = (
    "xpub6Ce9NcJvTk37JBtr1eY9EsMZtMiNE1eTP4tmjVpfv5jBrmMxag6m2Vx99tzFbrPSgbYYCGJE82UetSJzNurv8JAzgEx2Duh3aa4p5ZW2gHX"
)
"""Of m/44'/60'/7' of that mnemonic: what is deposited can be had by anybody."""
SUPPLY = 10**9 * 10**6
HOT_COINS, HOT_TOKENS, WALLET_TOKENS = 100 * 10**18, 1_000_000 * 10**6, 10_000 * 10**6
_TRANSFER, _BALANCE_OF = bytes.fromhex("a9059cbb"), bytes.fromhex("70a08231")


@asynccontextmanager
async def local_chain(settings: Settings) -> AsyncIterator[Settings]:
    """The settings for a chain that runs while this lasts: its node, a hot wallet with funds, and nothing to wait for
    before a withdrawal, neither a new address's delay nor the hold after a change.

    Raises:
        CannotRun: Anvil is not installed, or does not start.
    """
    if not PROGRAM.exists():
        raise CannotRun(
            "Anvil is not installed: `make dev WITH_CHAINS=1` installs it with npm (Node.js 20 or newer), on Linux and macOS, "
            "x86-64 and arm64"
        )
    port = await _free_port()
    process = await _start(settings.data_dir, port)
    rpc = JsonRpc(f"http://{HOST}:{port}")
    try:
        await _until_ready(rpc, process)
        passphrase, key_file = _keystore(settings.data_dir)
        hot = evm_address(await open_keystore("hot", key_file, passphrase, Curve.SECP256K1).public_key())
        await _furnish(rpc, hot)
        (settings.data_dir / URL_FILE).write_text(f"http://{HOST}:{port}")
        yield settings.model_copy(
            update={
                **_chain_settings(f"http://{HOST}:{port}"),
                "withdrawal_keys": (WithdrawalKey(ChainFamily.EVM, SignerKind.KEYSTORE, str(key_file)),),
                "keystore_passphrase": passphrase,
                "withdrawal_address_delay_hours": 0,
                "withdrawal_hold_hours": 0,
            }
        )
    finally:
        await rpc.close()
        (settings.data_dir / URL_FILE).unlink(missing_ok=True)
        await _stop(process)


def beside_local_chain(settings: Settings) -> Settings:
    """The settings for a command beside a `dev` whose local chain runs on the same DATA_DIR; without one, as they are."""
    try:
        url = (settings.data_dir / URL_FILE).read_text()
    except OSError:
        return settings
    return settings.model_copy(update=_chain_settings(url))


def _chain_settings(url: str) -> dict[str, object]:
    return {
        "blockchain_network": ChainNetwork.LOCAL,
        "ethereum_rpc_url": SecretStr(url),
        "deposit_xpubs": SecretStr(f"evm={DEPOSITS}"),
    }


async def _start(data_dir: Path, port: int) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *tethered(
            *(str(PROGRAM), "--host", HOST, "--port", str(port), "--chain-id", str(CHAIN_ID), "--block-time", "1"),
            *("--state", str(data_dir / "chain.json"), "--state-interval", "5", "--silent"),
        ),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,
    )


async def _until_ready(rpc: JsonRpc, process: asyncio.subprocess.Process) -> None:
    try:
        async with asyncio.timeout(READY_SECONDS):
            while process.returncode is None:
                try:
                    await rpc.call("eth_chainId")
                except ChainError:
                    await asyncio.sleep(0.02)
                else:
                    return
    except TimeoutError:
        raise CannotRun(f"Anvil did not answer within {READY_SECONDS:.0f} s") from None
    raise CannotRun(f"Anvil ended with status {process.returncode}")


def _keystore(data_dir: Path) -> tuple[SecretStr, Path]:
    """The hot wallet's key and what opens it, made at the first start."""
    word_file, key_file = data_dir / "chain-passphrase", data_dir / "chain-hot.pem"
    if not word_file.exists():
        word_file.touch(mode=0o600)
        word_file.write_text(secrets.token_urlsafe(24))
    passphrase = SecretStr(word_file.read_text())
    if not key_file.exists():
        create_keystore(key_file, passphrase, Curve.SECP256K1)
    return passphrase, key_file


async def _furnish(rpc: JsonRpc, hot: str) -> None:
    """Deploy the token and fund the hot wallet, where that was not done before; give some to each wallet that has none."""
    if await rpc.call("eth_getCode", DEMONSTRATION, "latest") == "0x":
        await _deploy(rpc)
        await _give(rpc, hot, HOT_TOKENS)
        await rpc.call("anvil_setBalance", hot, hex(HOT_COINS))
    for owner in WALLETS:
        asked = {"to": DEMONSTRATION, "data": "0x" + (_BALANCE_OF + encode(["address"], [owner])).hex()}
        if int(str(await rpc.call("eth_call", asked, "latest")), 16) == 0:
            await _give(rpc, owner, WALLET_TOKENS)
    await rpc.call("anvil_mine", "0x1")


async def _deploy(rpc: JsonRpc) -> None:
    code = bytes.fromhex(json.loads((FOLDER / "token.json").read_text())["bytecode"][2:])
    arguments = encode(["string", "string", "uint8", "uint256"], ["USD Coin (demonstration)", "USDC", 6, SUPPLY])
    await rpc.call("eth_sendTransaction", {"from": RICHEST, "data": "0x" + (code + arguments).hex()})
    await rpc.call("anvil_mine", "0x1")


async def _give(rpc: JsonRpc, owner: str, units: int) -> None:
    transfer = _TRANSFER + encode(["address", "uint256"], [owner, units])
    message = {"from": RICHEST, "to": DEMONSTRATION, "data": "0x" + transfer.hex(), "gas": hex(200_000)}
    await rpc.call("eth_sendTransaction", message)


async def _stop(process: asyncio.subprocess.Process) -> None:
    """SIGTERM lets Anvil write its state; SIGKILL after five seconds."""
    if process.returncode is not None:
        return
    process.terminate()
    try:
        async with asyncio.timeout(5):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


async def _free_port() -> int:
    """8545, which wallets know, or any that is free."""
    for port in (PORT, 0):
        try:
            server = await asyncio.start_server(lambda _reader, writer: writer.close(), HOST, port)
        except OSError:
            continue
        found: int = server.sockets[0].getsockname()[1]
        server.close()
        await server.wait_closed()
        return found
    raise CannotRun("no port is free for Anvil")
