"""The command line: `python -m server COMMAND`. Each command's own module is loaded when it is chosen, so that help is instant.

Exit status: 0 done, or stopped by a signal; 1 could not run, could not go on, or a check failed; 2 wrong usage or wrong settings.
"""

import argparse
import gc
import importlib
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from pydantic import ValidationError

from core.money import use_wide_context
from core.redaction import redactor_for
from core.settings import Settings, describe_problems, load_settings, misspelled, redacted
from core.telemetry import ErrorReporter, configure_logging
from core.vocabulary import ChainFamily

EXIT_USAGE = 2
_COMMANDS = {
    "projections": "server.projection_commands",
    "ledger": "server.ledger_commands",
    "liabilities": "server.liability_commands",
}
_COMMANDS_WITH_OPTIONS = {
    **dict.fromkeys(("role", "audit", "encryption"), "server.account_commands"),
    "keys": "server.key_commands",
    "chain": "server.chain_commands",
    "treasury": "server.treasury_commands",
}


def main(arguments: Sequence[str]) -> int:
    """Run one command and give the exit status."""
    options = _parser().parse_args(arguments)
    if options.command == "replay":
        _replay_environment(options)
    try:
        settings = load_settings()
    except ValidationError as error:
        sys.stderr.write("".join(f"cryptovault: {line}\n" for line in describe_problems(error)))
        return EXIT_USAGE
    sys.stderr.write("".join(f"cryptovault: {line}\n" for line in misspelled()))
    use_wide_context()
    return _dispatch(options, settings)


def _dispatch(options: argparse.Namespace, settings: Settings) -> int:
    if options.command == "settings":
        sys.stdout.write("".join(f"{name}={value}\n" for name, value in redacted(settings).items()))
        return 0
    if options.command == "schema":
        return int(_load("server.schema").main(check=options.check))
    redactor = redactor_for(settings)
    configure_logging(settings, redactor, on_error=_error_reporter(settings))
    if options.command in _COMMANDS:
        return int(_load(_COMMANDS[options.command]).run(settings))
    if options.command in _COMMANDS_WITH_OPTIONS:
        return int(_load(_COMMANDS_WITH_OPTIONS[options.command]).run(settings, options))
    if options.command == "worker":
        return int(_load("server.workers").run(settings, options.names))
    if options.command == "api":
        if settings.api_processes > 1 and options.fd is None:
            return int(_load("server.several").run(settings))
        return int(_load("server.api").run(settings, options.fd))
    return int(_load("server.dev").run(settings))


def _load(module: str) -> ModuleType:
    """A command's module. What is imported stays for ever: to look for garbage in it takes a fifth of the time of starting, and time ever after."""
    gc.disable()
    try:
        return importlib.import_module(module)
    finally:
        gc.freeze()
        gc.enable()


def _error_reporter(settings: Settings) -> ErrorReporter | None:
    if settings.sentry_dsn is None:
        return None
    reporter: ErrorReporter = importlib.import_module("core.sentry").SentryReporter(settings, redactor_for(settings))
    return reporter


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m server",
        description="CryptoVault: one GraphQL endpoint with subscriptions. Settings come from the environment and .env.",
        epilog="exit status: 0 done or stopped by a signal; 1 could not run, or a check failed; 2 wrong usage or settings",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser(
        "dev", help="API, all workers and, unless MONGO_URL is set, the embedded database in one process"
    )
    api = commands.add_parser("api", help="the API alone (needs MONGO_URL and REDIS_URL)")
    api.add_argument(
        "--fd", type=int, help="serve on this listening socket, which others may share; metrics at WORKER_PORT"
    )
    worker = commands.add_parser("worker", help="some workers alone (needs MONGO_URL and REDIS_URL)")
    worker.add_argument("names", nargs="+", metavar="NAME", help="worker to run")
    schema = commands.add_parser("schema", help="write schema.graphql, or check it")
    schema.add_argument("--check", action="store_true", help="fail when the file differs from the code")
    commands.add_parser("settings", help="print the effective settings, secrets redacted")
    replay = commands.add_parser("replay", help="dev, with prices from a recorded trades CSV")
    replay.add_argument(
        "file", type=_existing_file, metavar="FILE", help="CSV: time_ms, trade_id, price, quantity, buyer_maker"
    )
    replay.add_argument("--speed", type=_speed, help="a factor such as 1 or 10, or max (default: REPLAY_SPEED or 1)")
    replay.add_argument("--symbol", help="market to play into (default: REPLAY_SYMBOL or BTC-USDT)")
    _add_account_commands(commands)
    ledger = commands.add_parser("ledger", help="prove the exchange's journal").add_subparsers(
        dest="ledger_command", required=True, metavar="COMMAND"
    )
    projections = commands.add_parser("projections", help="what is made of the exchange's journal").add_subparsers(
        dest="projections_command", required=True, metavar="COMMAND"
    )
    projections.add_parser("rebuild", help="make orders, balances, statements and trades anew from the journal")
    _add_key_commands(commands)
    _add_treasury_commands(commands)
    _add_chain_commands(commands)
    liabilities = commands.add_parser("liabilities", help="prove what people are owed").add_subparsers(
        dest="liabilities_command", required=True, metavar="COMMAND"
    )
    liabilities.add_parser("report", help="make and publish a report of everybody's balances now")
    ledger.add_parser("audit", help="fold the whole journal and compare it with what people read")
    return parser


def _add_account_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    role = commands.add_parser("role", help="give an account a role; the first administrator is made so")
    role.add_argument("account", help="its address, or its plain id")
    role.add_argument("role", type=str.upper, choices=["USER", "SUPPORT", "ADMIN"])
    audit = commands.add_parser("audit", help="prove the audit logs").add_subparsers(
        dest="audit_command", required=True, metavar="COMMAND"
    )
    verify = audit.add_parser("verify", help="find every row that was changed, moved, or taken out")
    verify.add_argument("--account", help="only this one: its address, or its plain id")
    verify.add_argument("--anchor", type=Path, metavar="FILE", help="also compare with heads that were saved before")
    verify.add_argument("--save-anchor", type=Path, metavar="FILE", help="save the heads, to be kept elsewhere")
    encryption = commands.add_parser("encryption", help="keys of stored secrets").add_subparsers(
        dest="encryption_command", required=True, metavar="COMMAND"
    )
    encryption.add_parser("rotate", help="put everything under ENCRYPTION_KEY, so that older keys are not needed")


def _add_key_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    keys = commands.add_parser("keys", help="keys that sign withdrawals").add_subparsers(
        dest="keys_command", required=True, metavar="COMMAND"
    )
    create = keys.add_parser("create", help="make a key in an encrypted file, for development")
    create.add_argument(
        "family",
        type=str.upper,
        choices=[family.value for family in ChainFamily],
        metavar="FAMILY",
        help="evm, bitcoin or solana",
    )
    create.add_argument("--path", type=Path, required=True, metavar="FILE", help="file to make; never replaced")
    keys.add_parser("show", help="where each key of WITHDRAWAL_KEYS is funded, and whether it signs")


def _add_treasury_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    treasury = commands.add_parser("treasury", help="move the house's coins with keys that are offline").add_subparsers(
        dest="treasury_command", required=True, metavar="COMMAND"
    )
    sweep = treasury.add_parser("sweep", help="write unsigned transactions that gather what is on deposit addresses")
    move = treasury.add_parser("move", help="write an unsigned payment between wallets of the house, such as a top-up")
    for each in (sweep, move):
        each.add_argument("chain", metavar="CHAIN", help="such as ethereum or bitcoin")
        each.add_argument("--file", type=Path, required=True, help="file to make; never replaced")
    wallet = "hot, cold, or an address of COLD_ADDRESSES"
    sweep.add_argument("--to", required=True, metavar="WALLET", help=wallet)
    sweep.add_argument("--asset", action="append", metavar="CODE", help="only this one; may be given again")
    sweep.add_argument("--least", default="0", metavar="AMOUNT", help="leave addresses alone that have less of it")
    sweep.add_argument("--gas-from", metavar="WALLET", help="cold wallet that pays for tokens' way where coins lack")
    sweep.add_argument(
        "--most", type=int, choices=range(1, 501), default=100, metavar="1…500", help="so many at once (default: 100)"
    )
    move.add_argument("--from", dest="source", required=True, metavar="WALLET", help="cold, or an address")
    move.add_argument("--to", required=True, metavar="WALLET", help=wallet)
    move.add_argument("--asset", required=True, metavar="CODE")
    move.add_argument("--amount", required=True)
    move.add_argument("--nonce-account", metavar="ADDRESS", help="Solana: lets the transaction live until it is sent")
    broadcast = treasury.add_parser("broadcast", help="check what was signed against what was exported, and send it")
    broadcast.add_argument("file", type=_existing_file, metavar="FILE", help="the file with signatures")
    broadcast.add_argument("--wait", type=int, default=60, metavar="SECONDS", help="for blocks (default: 60)")


def _existing_file(text: str) -> Path:
    if not Path(text).is_file():
        raise argparse.ArgumentTypeError(f"there is no file {text}")
    return Path(text).resolve()


def _speed(text: str) -> str:
    if text != "max" and not (re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,3})?", text, re.ASCII) and float(text) > 0):
        raise argparse.ArgumentTypeError(f"expected a factor above 0 such as 1 or 10, or max; got {text}")
    return text


def _replay_environment(options: argparse.Namespace) -> None:
    """What the options say wins over the environment and .env."""
    chosen = {
        "PRICE_SOURCES": "replay",
        "REPLAY_FILE": str(options.file),
        "REPLAY_SPEED": options.speed,
        "REPLAY_SYMBOL": options.symbol,
    }
    os.environ.update({name: value for name, value in chosen.items() if value is not None})


def _add_chain_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    chain = commands.add_parser("chain", help="act as a wallet on the local chain of `make dev WITH_CHAINS=1`")
    chain.add_argument(
        "--account", type=int, choices=range(10), default=2, help="which of Anvil's accounts (default: 2)"
    )
    actions = chain.add_subparsers(dest="chain_command", required=True, metavar="COMMAND")
    actions.add_parser("address", help="the account's address")
    sign = actions.add_parser("sign", help="sign a message as a wallet does (EIP-191)")
    sign.add_argument("--message", help="the message, \\n for a new line; without it, what comes in")
    transaction = actions.add_parser("sign-transaction", help="sign a prepared transaction, as a wallet does")
    transaction.add_argument("--payload", help="its `payload` as JSON; without it, what comes in")
    send = actions.add_parser("send", help="send coins or the demonstration token")
    send.add_argument("--to", required=True, metavar="ADDRESS")
    send.add_argument("--amount", required=True)
    send.add_argument("--asset", choices=["ETH", "USDC"], default="ETH")
    for name, text in (("mine", "make blocks at once"), ("reorg", "let the chain give up its last blocks")):
        actions.add_parser(name, help=text).add_argument("blocks", type=int, metavar="BLOCKS")
