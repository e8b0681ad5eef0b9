"""`python -m server chain …`: what a person would do with a wallet, on the local chain of `make dev WITH_CHAINS=1`.

Its accounts are Anvil's, whose keys everybody knows; so they are named by their number here, from 0 to 9.
"""

import argparse
import asyncio
import json
import sys
from decimal import Decimal

from eth_abi.abi import encode
from eth_account import Account
from eth_account.messages import encode_defunct
from eth_account.signers.local import LocalAccount

from core.money import MalformedNumber, parse_decimal
from core.settings import Settings
from integrations.chains.errors import ChainError
from integrations.chains.json_rpc import JsonRpc
from server.errors import CannotRun
from server.local_chain import DEMONSTRATION, URL_FILE

MNEMONIC = "test test test test test test test test test test test junk"
_TRANSFER = bytes.fromhex("a9059cbb")
_DECIMALS = {"ETH": 18, "USDC": 6}


def run(settings: Settings, options: argparse.Namespace) -> int:
    """Do it; gives the exit status."""
    try:
        sys.stdout.write(asyncio.run(_run(settings, options)) + "\n")
    except (ChainError, CannotRun) as problem:
        sys.stderr.write(f"cryptovault: {problem}\n")
        return 1
    return 0


async def _run(settings: Settings, options: argparse.Namespace) -> str:
    account = account_of(options.account)
    if options.chain_command == "sign":
        text = sys.stdin.read() if options.message is None else options.message.replace("\\n", "\n")
        return "0x" + bytes(account.sign_message(encode_defunct(text=text)).signature).hex()
    if options.chain_command == "sign-transaction":
        return _signed(account, sys.stdin.read() if options.payload is None else options.payload)
    if options.chain_command == "address":
        return str(account.address)
    rpc = _rpc(settings)
    try:
        if options.chain_command == "mine":
            await rpc.call("anvil_mine", hex(options.blocks))
            return f"{options.blocks} blocks were made"
        if options.chain_command == "reorg":
            await rpc.call("anvil_reorg", options.blocks, [])
            return f"the last {options.blocks} blocks were replaced by empty ones"
        return await _send(rpc, str(account.address), options)
    finally:
        await rpc.close()


def _signed(account: LocalAccount, payload: str) -> str:
    """The bytes for `broadcastTransaction`. Raises CannotRun."""
    try:
        fields = dict(json.loads(payload))
        sender = fields.pop("from")
        raw = account.sign_transaction(fields).raw_transaction
    except (KeyError, TypeError, ValueError):
        raise CannotRun("--payload: expected the payload of a prepared transaction, as JSON") from None
    if sender != account.address:
        raise CannotRun(f"--payload: it is to be signed by {sender}, not by {account.address}; see --account")
    return "0x" + bytes(raw).hex()


async def _send(rpc: JsonRpc, sender: str, options: argparse.Namespace) -> str:
    """Anvil signs for its own accounts."""
    units = _units(options.amount, options.asset)
    message = {"from": sender, "to": options.to, "value": hex(units)}
    if options.asset == "USDC":
        data = _TRANSFER + encode(["address", "uint256"], [options.to, units])
        message = {"from": sender, "to": DEMONSTRATION, "data": "0x" + data.hex()}
    return str(await rpc.call("eth_sendTransaction", message))


def _units(text: str, asset: str) -> int:
    try:
        amount = parse_decimal(text)
    except MalformedNumber as error:
        raise CannotRun(f"--amount: {error}") from None
    units = amount * Decimal(10) ** _DECIMALS[asset]
    if units <= 0 or units != units.to_integral_value():
        raise CannotRun(f"--amount: expected a number above 0 with at most {_DECIMALS[asset]} digits after the point")
    return int(units)


def _rpc(settings: Settings) -> JsonRpc:
    try:
        return JsonRpc((settings.data_dir / URL_FILE).read_text())
    except FileNotFoundError:
        raise CannotRun("no local chain runs: start it with `make dev WITH_CHAINS=1`") from None


def account_of(number: int) -> LocalAccount:
    """One of Anvil's ten accounts, by its number."""
    Account.enable_unaudited_hdwallet_features()
    account: LocalAccount = Account.from_mnemonic(MNEMONIC, account_path=f"m/44'/60'/0'/0/{number}")
    return account
