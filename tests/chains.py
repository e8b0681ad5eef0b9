"""Real nodes for tests, each on a free port: Anvil for EVM chains, litecoind in regtest for chains of Bitcoin's kind; and contracts compiled for Anvil."""

import asyncio
import json
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from core.vocabulary import ChainFamily
from integrations.chains.json_rpc import JsonRpc
from models.chain import BitcoinParameters, ChainEntry
from server.local_chain import PROGRAM
from tests.components import ROOT, free_port, missing, stop, wait_for_port

NODE_MODULES = ROOT / "tests" / "node" / "node_modules"
CONTRACTS = ROOT / "tests" / "contracts"
ANVIL_KEYS = (
    "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80",
    "0x59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d",
    "0x5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a",
)
"""Keys of the accounts that Anvil funds with 10,000 ETH each: of its published mnemonic "test test … junk"."""
ANVIL_ADDRESSES = (
    "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266",
    "0x70997970C51812dc3A010C7d01b50e0d17dc79C8",
    "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC",
)
LOCAL_ETHEREUM = ChainEntry(
    key="ethereum",
    name="Ethereum",
    family=ChainFamily.EVM,
    native="ETH",
    network_name="Anvil",
    chain_id=31337,
    explorer="https://explorer.example",
    block_seconds=1,
    final_after=3,
)
LITECOIN = ChainEntry(
    key="bitcoin",
    name="Bitcoin",
    family=ChainFamily.BITCOIN,
    native="BTC",
    network_name="Regtest",
    genesis="530827f38f93b43ed12af0b3ad25a288dc02ed74d6d7857862df51fc56c416f9",
    explorer="https://explorer.example",
    block_seconds=1,
    final_after=3,
    bitcoin=BitcoinParameters(hrp="rltc", p2pkh=111, p2sh=58, coin_type=1, message_prefix="Litecoin Signed Message:\n"),
)
"""Litecoin's regtest in the place of Bitcoin: the same rules under other prefixes."""


@asynccontextmanager
async def anvil(*options: str, port: int | None = None, chain_id: int = 31337) -> AsyncIterator[str]:
    """An Ethereum node that makes a block for every transaction; yields its URL. `--no-mining` leaves blocks to `anvil_mine`."""
    if not PROGRAM.exists():
        missing("anvil (npm, deploy/chain)")
    port = port or free_port()
    process = await asyncio.create_subprocess_exec(
        str(PROGRAM),
        *("--port", str(port), "--chain-id", str(chain_id), "--silent", *options),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        await wait_for_port(port, process)
        yield f"http://127.0.0.1:{port}"
    finally:
        await stop(process)


@asynccontextmanager
async def litecoind(folder: Path, *options: str) -> AsyncIterator[str]:
    """A litecoin node in regtest with a funded wallet (101 blocks); yields its URL with user and password. Of two options alike the last one counts."""
    binary = shutil.which("litecoind")
    if binary is None:
        missing("litecoind")
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        str(binary),
        *("-regtest", f"-datadir={folder}", f"-rpcport={port}", "-rpcuser=u", "-rpcpassword=p", "-server", "-listen=0"),
        *("-txindex", "-fallbackfee=0.0001", "-acceptnonstdtxn=0", "-vbparams=mweb:-2:0"),
        "-keypool=10",  # 3,000 keys made in advance take three quarters of a node's time
        *("-mempoolreplacement=1", "-dustrelayfee=0.00003", *options),  # as Bitcoin Core does
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    url = f"http://u:p@127.0.0.1:{port}"
    node = JsonRpc(url)
    try:
        await wait_for_port(port, process)
        await _until_warm(node)
        await node.call("createwallet", "tests")
        await node.call("generatetoaddress", 101, await node.call("getnewaddress", "", "bech32"))
        yield url
    finally:
        await node.close()
        await stop(process)


async def _until_warm(node: JsonRpc) -> None:
    """A node that has just opened its port says -28 until it has read its chain."""
    async with asyncio.timeout(30):
        while True:
            try:
                await node.call("getblockcount")
            except Exception:  # noqa: BLE001
                await asyncio.sleep(0.05)
            else:
                return


def compiled(name: str) -> Mapping[str, Any]:
    """A contract of tests/contracts by its name: `abi` and `bytecode` (hex), as solc makes them for `paris`."""
    found = next(contracts[name] for contracts in _compiled().values() if name in contracts)
    return {"abi": found["abi"], "bytecode": "0x" + found["evm"]["bytecode"]["object"]}


@cache
def _compiled() -> Mapping[str, Mapping[str, Any]]:
    """All contracts, by file and name. The compiler takes seconds to start, so what it said stays in node_modules until a source changes."""
    sources = {file.name: {"content": file.read_text()} for file in sorted(CONTRACTS.glob("*.sol"))}
    request = {
        "language": "Solidity",
        "sources": sources,
        "settings": {
            "evmVersion": "paris",
            "optimizer": {"enabled": True},
            "outputSelection": {"*": {"*": ["abi", "evm.bytecode.object"]}},
        },
    }
    asked = json.dumps(request)
    version = (NODE_MODULES.parent / "package-lock.json").read_bytes()
    kept = NODE_MODULES / ".cache" / f"contracts-{sha256(asked.encode() + version).hexdigest()}.json"
    if not kept.exists():
        said = _compiler_says(asked)
        kept.parent.mkdir(exist_ok=True)
        own = kept.with_suffix(f".{os.getpid()}")
        own.write_text(said)
        own.replace(kept)
    output = json.loads(kept.read_text())
    problems = [each["formattedMessage"] for each in output.get("errors", []) if each["severity"] == "error"]
    if problems:
        raise RuntimeError("\n".join(problems))
    contracts: Mapping[str, Mapping[str, Any]] = output["contracts"]
    return contracts


def _compiler_says(request: str) -> str:
    """The answer to a request in the compiler's standard JSON."""
    solc = NODE_MODULES / ".bin" / "solcjs"
    if not solc.exists():
        missing("solc (npm, tests/node)")
    done = subprocess.run([str(solc), "--standard-json"], input=request, capture_output=True, text=True, check=True)
    return done.stdout[done.stdout.index("{") :]
