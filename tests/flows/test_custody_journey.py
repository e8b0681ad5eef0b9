"""The whole wallet offline, by the README: each of its commands is pasted into a shell beside a `dev` with a chain of its own. A deposit is credited,
a wallet is linked and signs in, a payment from it becomes final, and a withdrawal arrives."""

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from eth_account import Account

from integrations.chains.json_rpc import JsonRpc
from server.chain_commands import MNEMONIC, account_of
from server.local_chain import DEMONSTRATION, PROGRAM, URL_FILE, WALLET_TOKENS, WALLETS
from tests.components import missing
from tests.evm import calldata
from tests.flows.servers import query, server, until
from tests.flows.terminal import Terminal, blocks, terminal
from tests.flows.traders import VERIFY, Json, ledger_is_sound
from tests.graphql_client import Operation, graphql_socket
from tests.server.test_account_commands import command

OFFLINE = {"BREACHED_PASSWORD_CHECK": "false"}
COLD = {"COLD_ADDRESSES": f"ethereum={WALLETS[0]}"}
"""For the sweep, which is no part of the tour."""
FRIEND = WALLETS[2]
MAILED = re.compile(r"(http\S+/account/([a-z-]+)#token=(\S+))")
STATES = ["AWAITING_CONFIRMATION", "APPROVED", "SIGNING", "BROADCAST", "CONFIRMED"]


@pytest.mark.timeout(300)
async def test_the_tour_of_the_readme(tmp_path: Path) -> None:
    if not PROGRAM.exists():
        missing("anvil (npm, deploy/chain)")
    settings = {**OFFLINE, **COLD, "WITH_CHAINS": "1"}
    async with server(tmp_path, "dev", settings=settings) as running, terminal(tmp_path, running) as newcomer:
        assert "withdrawals are not held after a change" in running.log()
        deposit, link, log_in_by_wallet, payment, withdrawal, confirmation = blocks(11)
        await sign_up(newcomer)
        async with told(newcomer, "depositUpdated { status }") as states:
            await newcomer.paste(deposit)
            while await anext(states) != "CREDITED":
                pass
        assert await balance(newcomer) == {"available": "25", "held": "0"}
        assert '"quantity":"10000"' in await newcomer.paste(link)
        await newcomer.paste(log_in_by_wallet)
        assert '"current":true,"method":"WALLET"' in await newcomer.paste(
            "gql '{ viewer { sessions { current method } } }'"
        )
        await newcomer.paste(payment)
        await until(lambda: newcomer.paste(payment.splitlines()[-1]), lambda answer: '"status":"FINAL"' in answer)
        assert await tokens_of(tmp_path, FRIEND) == WALLET_TOKENS + 5 * 10**6
        await sweep(tmp_path)
        await withdraw(newcomer, withdrawal, confirmation)
        assert await tokens_of(tmp_path, FRIEND) == WALLET_TOKENS + 12 * 10**6
        await until(lambda: balance(newcomer), lambda found: found == {"available": "15", "held": "0"})
    await ledger_is_sound(tmp_path)


async def sign_up(newcomer: Terminal) -> None:
    """Section 9, as far as a signed-in account."""
    signing_up, signing_in, *_ = blocks(9)
    await newcomer.paste(signing_up)
    _, token = await mailed(newcomer, "verify-email")
    await query(newcomer.running, VERIFY, token=token)
    assert '"emailVerified":true' in await newcomer.paste(signing_in)


async def withdraw(newcomer: Terminal, withdrawal: str, confirmation: str) -> None:
    """10 USDC, of which a fee of 3 is kept."""
    seen: list[str] = []
    async with told(newcomer, "withdrawalUpdated { status }") as states:
        assert '"amount":"10","fee":"3"' in await newcomer.paste(withdrawal)
        link, _ = await mailed(newcomer, "confirm-withdrawal")
        await newcomer.paste(confirmation.replace("<the link in the mail>", link))
        async for state in states:
            seen += [] if state in seen else [state]
            if state == "BROADCAST":
                await newcomer.paste("chain mine 40")
            if state == "CONFIRMED":
                break
    assert seen == STATES


@asynccontextmanager
async def told(newcomer: Terminal, selection: str) -> AsyncIterator[AsyncIterator[str]]:
    """The states that a subscription of the newcomer's tells."""
    credential = (await newcomer.paste("echo $auth")).removeprefix("Bearer ")
    async with graphql_socket(newcomer.running.base_url, credential=credential) as socket:
        operation = await socket.subscribe(f"subscription {{ {selection} }}")
        yield _states(operation, selection.split(maxsplit=1)[0])


async def _states(operation: Operation, name: str) -> AsyncIterator[str]:
    while True:
        yield (await operation.next())[name]["status"]


async def mailed(newcomer: Terminal, page: str) -> tuple[str, str]:
    """The link to this page in the newest mail that has one, and its token."""

    async def look() -> list[tuple[str, str]]:
        return [(link, token) for link, name, token in MAILED.findall(newcomer.running.log()) if name == page]

    return (await until(look, bool))[-1]


async def balance(newcomer: Terminal) -> Json:
    answer = json.loads(await newcomer.paste("""gql '{ viewer { balance(asset: "USDC") { available held } } }'"""))
    found: Json = answer["data"]["viewer"]["balance"]
    return found


async def tokens_of(folder: Path, owner: str) -> int:
    """What the chain says, in millionths."""
    rpc = JsonRpc((folder / "data" / URL_FILE).read_text())
    data = "0x" + calldata("balanceOf(address)", owner).hex()
    try:
        return int(str(await rpc.call("eth_call", {"to": DEMONSTRATION, "data": data}, "latest")), 16)
    finally:
        await rpc.close()


async def sweep(folder: Path) -> None:
    """Gather the deposit in the hot wallet as docs/operations.md does: exported, signed with the seed, sent."""
    file = folder / "sweep.json"

    async def treasury(*arguments: str) -> str:
        status, out, err = await command(None, "treasury", *arguments, data_dir=folder / "data", settings=COLD)
        assert status == 0, err
        return out

    await treasury("sweep", "ethereum", "--to", "hot", "--asset", "USDC", "--gas-from", "cold", "--file", str(file))
    content: Json = json.loads(file.read_text())
    assert [(each["asset"], each["stage"]) for each in content["transactions"]] == [("ETH", 1), ("USDC", 2)]
    for each in content["transactions"]:
        path = each["from"][0]["path"]
        key = account_of(1) if path is None else Account.from_mnemonic(MNEMONIC, account_path=path)
        each["signed"] = key.sign_transaction(each["unsigned"]).raw_transaction.to_0x_hex()
    file.write_text(json.dumps(content))
    done = await treasury("broadcast", str(file))
    assert [line.split(" 0x")[0] for line in done.splitlines()] == ["1. in a block", "2. in a block"]
