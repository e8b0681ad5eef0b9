"""The whole wallet offline, as the README shows it: `dev` with a chain of its own, a wallet that is linked and signs in, a
deposit that is credited, a payment from the wallet, and a withdrawal that arrives."""

import json
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

from eth_account import Account
from eth_account.messages import encode_defunct

from integrations.chains.json_rpc import JsonRpc
from server.chain_commands import MNEMONIC
from server.local_chain import PROGRAM, URL_FILE
from tests.accounts import PASSWORD, REAUTHENTICATE
from tests.chains import ANVIL_ADDRESSES, ANVIL_KEYS
from tests.components import missing
from tests.flows.servers import Server, server, until
from tests.flows.traders import SETTINGS, Json, Trader, ledger_is_sound, traders
from tests.graphql_client import graphql_socket
from tests.server.test_account_commands import command

TO = "0x00000000219ab540356cBB839Cbe05303d7705Fa"
FRIEND = "0x000000000000000000000000000000000000dEaD"
COLD = {"COLD_ADDRESSES": f"ethereum={ANVIL_ADDRESSES[1]}"}
ADD = """mutation($input: AddWithdrawalAddressInput!) { addWithdrawalAddress(input: $input) {
  address { id } errors { code message }
} }"""
REQUEST = """mutation($input: RequestWithdrawalInput!) { requestWithdrawal(input: $input) {
  withdrawal { id status fee } errors { code message }
} }"""
CONFIRM = """mutation($token: String!) { confirmWithdrawal(input: {token: $token}) { withdrawal { status } errors { code } } }"""
CHALLENGE = """mutation($input: CreateLinkChallengeInput!) { createLinkChallenge(input: $input) {
  challenge { message } errors { code message }
} }"""
LINK = "mutation($input: LinkWalletInput!) { linkWallet(input: $input) { wallet { address } errors { code message } } }"
ADDRESS = """mutation { createDepositAddress(input: {chain: "ethereum"}) {
  depositAddress { address uri qrSvg } errors { code message }
} }"""
PREPARE = """mutation($input: PrepareTransferInput!) { prepareTransfer(input: $input) {
  transaction { id payload } errors { code message }
} }"""
SEND = """mutation($input: BroadcastTransactionInput!) { broadcastTransaction(input: $input) {
  transaction { hash } errors { code message }
} }"""
BEGIN = """mutation($input: BeginWalletLogInInput!) { beginWalletLogIn(input: $input) {
  challenge { message } errors { code message }
} }"""
FINISH = """mutation($input: FinishWalletLogInInput!) { finishWalletLogIn(input: $input) {
  tokens { accessToken } errors { code message }
} }"""


async def chain(folder: Path, *arguments: str) -> str:
    """What `python -m server chain …` says, as the README has it."""
    status, out, err = await command(None, "chain", *arguments, data_dir=folder / "data")
    assert status == 0, err
    return out.strip()


async def proven(ann: Trader, operation: str, given: Json) -> Json:
    """The input with a proof for it."""
    data = await ann.data(REAUTHENTICATE, operation=operation, parameters=given, proof={"password": PASSWORD})
    payload = data["reauthenticate"]
    assert payload["errors"] == [], payload
    return {**given, "stepUpProof": payload["stepUpProof"]}


async def mailed(running: Server, page: str) -> str:
    async def look() -> str | None:
        found = re.findall(rf"/{page}#token=(\S+)", running.log())
        return found[-1] if found else None

    return await until(look, bool) or ""


async def told(folder: Path, method: str, *params: object) -> str:
    """What the chain's node answers."""
    rpc = JsonRpc((folder / "data" / URL_FILE).read_text())
    try:
        return str(await rpc.call(method, *params))
    finally:
        await rpc.close()


async def link(folder: Path, ann: Trader) -> str:
    """Link the wallet of the chain's account 2; its address."""
    address = ANVIL_ADDRESSES[2]
    wallet = {"family": "EVM", "address": address}
    asked = (await ann.data(CHALLENGE, input={**wallet, "chainId": 31337}))["createLinkChallenge"]
    assert asked["errors"] == [], asked
    message = asked["challenge"]["message"]
    signature = await chain(folder, "sign", "--message", message)
    done = (await ann.data(LINK, input={**wallet, "message": message, "signature": signature}))["linkWallet"]
    assert done["errors"] == [], done
    return address


async def log_in_by_wallet(ann: Trader, address: str) -> None:
    stranger = Trader(ann.http, ann.email)
    wallet = {"family": "EVM", "address": address}
    asked = (await stranger.data(BEGIN, input={**wallet, "chainId": 31337}))["beginWalletLogIn"]
    message = asked["challenge"]["message"]
    signed = Account.sign_message(encode_defunct(text=message), ANVIL_KEYS[2])
    given = {**wallet, "message": message, "signature": "0x" + bytes(signed.signature).hex(), "delivery": "VALUES"}
    done = (await stranger.data(FINISH, input=given))["finishWalletLogIn"]
    assert done["errors"] == [], done
    assert done["tokens"]["accessToken"]


async def test_a_wallet_and_a_withdrawal_on_a_chain_of_ones_own(tmp_path: Path) -> None:
    if not PROGRAM.exists():
        missing("anvil (npm, deploy/chain)")
    settings = {
        **{**SETTINGS, **COLD, "WITH_CHAINS": "1"},
        **{"WITHDRAWAL_HOLD_HOURS": "0", "WITHDRAWAL_REVIEW_USD": "1000000"},
    }
    async with server(tmp_path, "dev", settings=settings) as running, traders(running, "ann") as (ann,):
        status = await ann.data("{ chains { key network status { healthy head } } }")
        assert [each["status"]["healthy"] for each in status["chains"] if each["key"] == "ethereum"] == [True]
        address = await link(tmp_path, ann)
        await log_in_by_wallet(ann, address)
        await pay(tmp_path, running, ann, address)
        await deposit(tmp_path, running, ann)
        await sweep(tmp_path)
        await until(lambda: ann.ask('{ asset(code: "ETH") { price(quote: "USD") { price } } }'), _is_priced)
        await ann.claim("ETH", "2")
        book = await proven(ann, "addWithdrawalAddress", {"chain": "ethereum", "address": TO, "label": "cold"})
        entry = (await ann.data(ADD, input=book))["addWithdrawalAddress"]["address"]["id"]
        wish = {"clientWithdrawalId": "w1", "asset": "ETH", "chain": "ethereum", "addressId": entry, "amount": "1"}
        asked = (await ann.data(REQUEST, input=await proven(ann, "requestWithdrawal", wish)))["requestWithdrawal"]
        assert asked["errors"] == [], asked
        states = await followed(tmp_path, running, ann)
        assert states == ["AWAITING_CONFIRMATION", "APPROVED", "SIGNING", "BROADCAST", "CONFIRMED"]
        assert int(await told(tmp_path, "eth_getBalance", TO, "latest"), 16) == 999 * 10**15
        balances = await until(ann.balances, lambda found: found["ETH"][1] == 0)
        assert balances["ETH"] == (Decimal(1), Decimal(0))
    await ledger_is_sound(tmp_path)


async def pay(folder: Path, running: Server, ann: Trader, address: str) -> None:
    """Send from a wallet of one's own as the README does, and be told until it is final."""
    wish = {"chain": "ethereum", "from": address, "to": FRIEND, "token": "ETH", "amount": "5"}
    prepared = (await ann.data(PREPARE, input=wish))["prepareTransfer"]
    assert prepared["errors"] == [], prepared
    made = prepared["transaction"]
    signed = await chain(folder, "sign-transaction", "--payload", json.dumps(made["payload"]))
    given = {"clientBroadcastId": "b1", "chain": "ethereum", "signed": signed, "preparedId": made["id"]}
    sent = (await ann.data(SEND, input=given))["broadcastTransaction"]
    assert sent["errors"] == [], sent
    watch = f'subscription {{ chainTransactionUpdated(chain: "ethereum", hash: "{sent["transaction"]["hash"]}") {{ status }} }}'
    states: list[str] = []
    async with graphql_socket(running.base_url, credential=ann.access) as socket:
        operation = await socket.subscribe(watch)
        while not states or states[-1] != "FINAL":
            state: Any = (await operation.next())["chainTransactionUpdated"]["status"]
            if not states:
                await told(folder, "anvil_mine", hex(70))
            states.append(state)
    assert int(await told(folder, "eth_getBalance", FRIEND, "latest"), 16) == 5 * 10**18


async def deposit(folder: Path, running: Server, ann: Trader) -> None:
    """Send a token as the README does, and be told until it is in the balance."""
    made = (await ann.data(ADDRESS))["createDepositAddress"]
    assert made["errors"] == [], made
    async with graphql_socket(running.base_url, credential=ann.access) as socket:
        operation = await socket.subscribe("subscription { depositUpdated { status amount confirmations required } }")
        await chain(folder, "--account", "0", "send", "--to", made["depositAddress"]["address"], "--amount", "25", "--asset", "USDC")  # fmt: skip
        first: Any = (await operation.next())["depositUpdated"]
        assert (first["status"], first["amount"], first["confirmations"]) == ("SEEN", "25", 1)
        await told(folder, "anvil_mine", hex(40))
        while (await operation.next())["depositUpdated"]["status"] != "CREDITED":
            pass
    assert (await ann.balances())["USDC"] == (Decimal(25), Decimal(0))


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
    Account.enable_unaudited_hdwallet_features()
    for each in content["transactions"]:
        path = each["from"][0]["path"]
        key = Account.from_key(ANVIL_KEYS[1]) if path is None else Account.from_mnemonic(MNEMONIC, account_path=path)
        each["signed"] = key.sign_transaction(each["unsigned"]).raw_transaction.to_0x_hex()
    file.write_text(json.dumps(content))
    told = await treasury("broadcast", str(file))
    assert [line.split(" 0x")[0] for line in told.splitlines()] == ["1. in a block", "2. in a block"]


async def followed(folder: Path, running: Server, ann: Trader) -> list[str]:
    """The states that the withdrawal comes to, as its owner is told, from its confirmation to the end."""
    states: list[str] = []
    async with graphql_socket(running.base_url, credential=ann.access) as socket:
        operation = await socket.subscribe("subscription { withdrawalUpdated { status } }")
        while not states or states[-1] != "CONFIRMED":
            state: Any = (await operation.next())["withdrawalUpdated"]["status"]
            if state not in states:
                states.append(state)
                await _urge(state, folder, running, ann)
    return states


def _is_priced(body: Json) -> bool:
    return bool((body["data"]["asset"] or {}).get("price"))


async def _urge(state: str, folder: Path, running: Server, ann: Trader) -> None:
    if state == "AWAITING_CONFIRMATION":
        done = await ann.data(CONFIRM, token=await mailed(running, "confirm-withdrawal"))
        assert done["confirmWithdrawal"]["errors"] == []
    elif state == "BROADCAST":
        await told(folder, "anvil_mine", hex(40))
