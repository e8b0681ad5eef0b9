"""`treasury sweep`, `move` and `broadcast` as an operator calls them, with a real Ethereum node."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from core.clock import SystemClock
from core.database import Database
from core.settings import Settings
from core.vocabulary import ChainFamily
from integrations.chains.evm.client import EvmClient
from integrations.chains.keys import parse_evm_account
from models import DOCUMENTS, deposit_address, hot_wallet
from models.deposit_address import DepositAddressDocument, address_id
from models.treasury_export import MoveEntry
from tests import components
from tests.chains import anvil
from tests.custody import XPUB
from tests.evm import client_of, send
from tests.server.test_account_commands import command
from tests.services.test_treasury_evm import COLD, HOT_ADDRESS, signed


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[tuple[str, EvmClient, str]]:
    """URL of a database with one deposit address in it, a chain, and the address."""
    async with components.secantus(tmp_path / "mongo") as (_, url), anvil() as node:
        database = Database(url, Settings(_env_file=None), SystemClock())
        await database.connect(DOCUMENTS)
        account = parse_evm_account(XPUB)
        row = DepositAddressDocument(
            id=address_id("anna", ChainFamily.EVM),
            user_id="anna",
            family=ChainFamily.EVM,
            index=0,
            address=account.address(0),
            path=account.path(0),
            created_ms=1,
        )
        assert await deposit_address.insert(row)
        await hot_wallet.note_address("ethereum", HOT_ADDRESS)
        client = client_of(node)
        yield url, client, node
        await client.close()
        await database.close()


def environment(node: str) -> dict[str, str]:
    return {
        "BLOCKCHAIN_NETWORK": "local",
        "ETHEREUM_RPC_URL": node,
        "DEPOSIT_XPUBS": f"evm={XPUB}",
        "COLD_ADDRESSES": f"ethereum={COLD}",
    }


async def test_from_the_export_to_the_block(shop: tuple[str, EvmClient, str], tmp_path: Path) -> None:
    url, client, node = shop
    (row,) = await deposit_address.from_index(ChainFamily.EVM, 0, 1)
    await send(client, row.address, value=2 * 10**18)
    file = tmp_path / "sweep.json"

    async def treasury(*arguments: str) -> tuple[int, str, str]:
        return await command(url, "treasury", *arguments, settings=environment(node))

    status, out, err = await treasury("sweep", "ethereum", "--to", "hot", "--asset", "ETH", "--file", str(file))
    assert (status, err) == (0, "")
    assert out.startswith("1. 1.99")
    assert f"ETH from {row.address} to {HOT_ADDRESS}" in out
    assert file.stat().st_mode & 0o777 == 0o600
    written = json.loads(file.read_text())
    (told,) = written["transactions"]
    assert (told["from"], told["signed"]) == ([{"address": row.address, "path": row.path}], None)
    assert float(told["amount"]) + float(told["feeAtMost"]) == pytest.approx(2)
    status, out, err = await treasury("broadcast", str(file))
    assert (status, out.splitlines()[0]) == (1, "1. not signed")
    told["signed"] = _signed(told)
    file.write_text(json.dumps(written))
    status, out, err = await treasury("broadcast", str(file), "--wait", "5")
    assert (status, err) == (0, "")
    assert out.startswith("1. in a block 0x")
    assert await client.balance(HOT_ADDRESS) == int(told["unsigned"]["value"], 16)


def _signed(told: dict[str, Any]) -> str:
    entry = MoveEntry(
        number=1,
        purpose="",
        asset="ETH",
        units="0",
        fee="0",
        sources=(told["from"][0]["address"],),
        paths=(told["from"][0]["path"],),
        target=told["to"],
        unsigned=told["unsigned"],
    )
    return signed(entry)


async def test_what_is_refused_names_its_reason(shop: tuple[str, EvmClient, str], tmp_path: Path) -> None:
    url, _, node = shop
    taken, broken, other = tmp_path / "taken.json", tmp_path / "broken.json", tmp_path / "other.json"
    taken.write_text("mine")
    broken.write_text('{"format": "cryptovault/treasury/1", "id": "x", "transactions": [{"signed": "0x"}]}')
    other.write_text('{"format": "cryptovault/treasury/2", "id": "x", "transactions": []}')
    new = ("--file", str(tmp_path / "new.json"))
    to_hot = ("--to", "hot")
    for arguments, words in (
        (("sweep", "ethereum", *to_hot, "--file", str(taken)), f"there is a file {taken} already; it is left as it is"),
        (("sweep", "mars", *to_hot, *new), "there is no chain mars; there are bitcoin, ethereum, solana"),
        (("sweep", "solana", *to_hot, *new), "no hot wallet of solana is known: start the worker that signs once"),
        (("sweep", "ethereum", *to_hot, *new), "there is nothing to move"),
        (("sweep", "ethereum", *to_hot, "--least", "1", *new), "--least is of one asset: name it with --asset"),
        (("sweep", "ethereum", *to_hot, "--least", "x", *new), "--least: "),
        (("move", "ethereum", "--from", "cold", *to_hot, "--asset", "ETH", "--amount", "-1", *new), "--amount: "),
        (
            ("move", "ethereum", "--from", "0x12", *to_hot, "--asset", "ETH", "--amount", "1", *new),
            "expected 0x and 40 hex",
        ),
        (("broadcast", str(taken)), "is no export"),
        (("broadcast", str(broken)), "is no export: transactions.0.number is not as it was written"),
        (("broadcast", str(other)), "is no export of this format (cryptovault/treasury/1)"),
    ):
        status, out, err = await command(url, "treasury", *arguments, settings=environment(node))
        assert (status, out) == (1, "")
        assert words in err
    assert not (tmp_path / "new.json").exists()
