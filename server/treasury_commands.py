"""`python -m server treasury …`: what operators move between the house's wallets with keys that are offline.

`sweep` and `move` write a file of unsigned transactions, which nobody can use without the keys. Signed elsewhere, it comes back to `broadcast`, which sends what is
still exactly that. The file has a format of its own (`FORMAT`): a transaction for each key, its signature to be put into `signed`.
"""

import argparse
import json
import os
import sys
from contextlib import AsyncExitStack
from decimal import Decimal
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, Field, ValidationError

from core.clock import Clock, SystemClock, to_datetime
from core.money import CONTEXT, MalformedNumber, canonical, parse_decimal
from core.refusals import WalletRefused
from core.settings import Settings
from core.vocabulary import ChainFamily
from integrations.chains.bitcoin.keys import BitcoinAccount, ReceivingAddresses
from integrations.chains.errors import ChainError
from models.chain import ChainEntry
from models.treasury_export import TreasuryExportDocument
from server import process
from server.chains import open_chains
from server.command_database import command_database
from server.custody import cold_wallets, deposit_keys, shared_addresses
from server.errors import CannotRun
from server.local_chain import beside_local_chain
from services import catalogue
from services.catalogue import Catalogue
from services.chain_addresses import payable_address
from services.chains import Chains
from services.treasury import MoveState, MoveWish, SweepWish, Treasury, TreasuryChain, TreasuryRefused, Wallets
from services.treasury_bitcoin import BitcoinTreasury
from services.treasury_evm import EvmTreasury, forms_on
from services.treasury_solana import SolanaTreasury

FORMAT = "cryptovault/treasury/1"
MOST_FILE_BYTES = 20_000_000
EXIT_UNFINISHED = 1


class _SignedMove(BaseModel):
    """What is read of a transaction in a file that comes back; the rest is for whoever signs."""

    number: int
    signed: Annotated[str, Field(max_length=8_000_000)] | None = None


class _SignedFile(BaseModel):
    """A file that comes back."""

    format: str
    id: str
    transactions: list[_SignedMove]


def run(settings: Settings, options: argparse.Namespace) -> int:
    """Run the command that was chosen; gives the exit status, 1 also while not everything is in a block yet."""
    found = 0

    async def main() -> None:
        nonlocal found
        try:
            found = await _run(beside_local_chain(settings), options)
        except (TreasuryRefused, ChainError) as error:
            raise CannotRun(str(error)) from None
        except WalletRefused as error:
            raise CannotRun(error.message) from None

    return process.run(main) or found


async def _run(settings: Settings, options: argparse.Namespace) -> int:
    known, clock = catalogue.read_files(settings.blockchain_network), SystemClock()
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(command_database(settings))
        treasury = _treasury(settings, known, open_chains(settings, known, clock, stack), clock)
        if options.treasury_command == "broadcast":
            return await _broadcast(treasury, options)
        return await _export(treasury, known, options)


def _treasury(settings: Settings, known: Catalogue, chains: Chains, clock: Clock) -> Treasury:
    keys = deposit_keys(settings, known).get(ChainFamily.BITCOIN)
    account = keys.account if isinstance(keys, ReceivingAddresses) else None
    reached = {key: chain for key, chain in known.chains.items() if chains.configured(key)}
    found = {key: _chain(chain, known, chains, account) for key, chain in reached.items()}
    cold = {key: sorted(addresses) for key, addresses in cold_wallets(settings, known).items()}
    return Treasury(known.chains, found, cold, clock, shared=shared_addresses(settings, known))


def _chain(chain: ChainEntry, known: Catalogue, chains: Chains, account: BitcoinAccount | None) -> TreasuryChain:
    forms = forms_on(list(known.assets.values()), chain.key)
    match chain.family:
        case ChainFamily.EVM:
            return EvmTreasury(chains.evm(chain.key), chain, forms)
        case ChainFamily.BITCOIN:
            return BitcoinTreasury(chains.bitcoin(chain.key), chain, account)
        case ChainFamily.SOLANA:
            return SolanaTreasury(chains.solana(chain.key), chain, forms)


async def _export(treasury: Treasury, known: Catalogue, options: argparse.Namespace) -> int:
    chain = known.chains.get(options.chain)
    if chain is None:
        raise TreasuryRefused(f"there is no chain {options.chain}; there are {', '.join(known.chains)}")
    if options.file.exists():
        raise TreasuryRefused(f"there is a file {options.file} already; it is left as it is")
    wallets = await treasury.wallets(chain.key)
    target = _wallet(wallets, chain, options.to)
    if options.treasury_command == "sweep":
        gas_from = None if options.gas_from is None else _wallet(wallets, chain, options.gas_from)
        assets, least = frozenset(options.asset or ()), _amount(options.least, "--least")
        if least and len(assets) != 1 and chain.family is not ChainFamily.BITCOIN:
            raise TreasuryRefused("--least is of one asset: name it with --asset")
        row, notes = await treasury.sweep(chain.key, SweepWish(target, assets, least, gas_from, options.most))
    else:
        source = _wallet(wallets, chain, options.source)
        wish = MoveWish(source, target, options.asset, _amount(options.amount, "--amount"), options.nonce_account)
        row, notes = await treasury.move(chain.key, wish)
    _write(options.file, _told(row, chain, known))
    for move in row.moves:
        amount = canonical(_whole(known, chain, move.asset, move.units))
        sys.stdout.write(
            f"{move.number}. {amount} {move.asset} from {', '.join(move.sources)} to {move.target}: {move.purpose}\n"
        )
    sys.stdout.writelines(f"note: {note}\n" for note in notes)
    sys.stdout.write(f"export {row.id}: {len(row.moves)} unsigned transactions are in {options.file}\n")
    return 0


async def _broadcast(treasury: Treasury, options: argparse.Namespace) -> int:
    read = _read(options.file)
    numbers = [move.number for move in read.transactions]
    if len(set(numbers)) != len(numbers):
        raise TreasuryRefused(f"{options.file} has a transaction twice")
    signed = {move.number: move.signed for move in read.transactions if move.signed}
    reports = await treasury.broadcast(read.id, signed, patience_seconds=options.wait)
    for report in reports:
        parts = [report.state.value, report.move.hash or "", "" if report.reason is None else f"({report.reason})"]
        sys.stdout.write(f"{report.move.number}. {' '.join(part for part in parts if part)}\n")
    finished = all(report.state is MoveState.INCLUDED for report in reports)
    if not finished:
        sys.stdout.write("not all are in a block: run it again, with the same file or with more of it signed\n")
    return 0 if finished else EXIT_UNFINISHED


def _told(row: TreasuryExportDocument, chain: ChainEntry, known: Catalogue) -> dict[str, object]:
    """The file's content."""
    return {
        "format": FORMAT,
        "id": row.id,
        "kind": row.kind,
        "chain": row.chain,
        "network": chain.network_name,
        "family": chain.family.value,
        "createdAt": to_datetime(row.created_ms).isoformat(timespec="seconds"),
        "transactions": [
            {
                "number": move.number,
                "stage": move.stage,
                "purpose": move.purpose,
                "asset": move.asset,
                "amount": canonical(_whole(known, chain, move.asset, move.units)),
                "feeAtMost": canonical(_whole(known, chain, chain.native, move.fee)),
                "from": [
                    {"address": address, "path": path} for address, path in zip(move.sources, move.paths, strict=True)
                ],
                "to": move.target,
                "unsigned": move.unsigned,
                "signed": None,
            }
            for move in row.moves
        ],
    }


def _whole(known: Catalogue, chain: ChainEntry, asset: str, units: str) -> Decimal:
    digits = next(form.decimals for form in known.assets[asset].networks if form.chain == chain.key)
    return CONTEXT.scaleb(Decimal(units), -digits)


def _wallet(wallets: Wallets, chain: ChainEntry, text: str) -> str:
    """The address that is meant: `hot`, `cold` where there is one alone, or the address itself. Raises TreasuryRefused, WalletRefused."""
    if text == "hot":
        if wallets.hot is None:
            raise TreasuryRefused(f"no hot wallet of {chain.key} is known: start the worker that signs once")
        return wallets.hot
    if text == "cold":
        if len(wallets.cold) != 1:
            raise TreasuryRefused(f"COLD_ADDRESSES has {len(wallets.cold)} addresses on {chain.key}; name one of them")
        return wallets.cold[0]
    return payable_address(chain, text)


def _amount(text: str, option: str) -> Decimal:
    try:
        amount = parse_decimal(text)
    except MalformedNumber as error:
        raise TreasuryRefused(f"{option}: {error}") from None
    if amount < 0:
        raise TreasuryRefused(f"{option}: expected no negative number")
    return amount


def _write(path: Path, content: dict[str, object]) -> None:
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            json.dump(content, file, indent=2)
            file.write("\n")
    except OSError as error:
        raise TreasuryRefused(f"{path} cannot be written: {error.strerror}") from None


def _read(path: Path) -> _SignedFile:
    try:
        if path.stat().st_size > MOST_FILE_BYTES:
            raise TreasuryRefused(f"{path} is longer than an export can be")
        found = _SignedFile.model_validate_json(path.read_bytes())
    except OSError as error:
        raise TreasuryRefused(f"{path} cannot be read: {error.strerror}") from None
    except ValidationError as error:
        place = ".".join(str(part) for part in error.errors()[0]["loc"]) or "it"
        raise TreasuryRefused(f"{path} is no export: {place} is not as it was written") from None
    if found.format != FORMAT:
        raise TreasuryRefused(f"{path} is no export of this format ({FORMAT})")
    return found
