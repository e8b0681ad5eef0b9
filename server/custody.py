"""What moves between the ledger and chains, in a process: the services, and the workers that sign and watch, made from the settings."""

import functools
from collections.abc import Iterable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass

from core.bus import Bus
from core.clock import Clock
from core.refusals import WalletRefused
from core.settings import Settings
from core.settings_values import deposit_key_of
from core.vocabulary import ChainFamily
from integrations.chains.bitcoin.keys import parse_deposit_account
from integrations.chains.evm.client import EvmClient
from integrations.chains.keys import KeyRefused, parse_evm_account
from integrations.signers.addresses import address_of
from integrations.signers.base import Signer, SignerError, SignerMisconfigured
from integrations.signers.registry import build_signers
from models import hot_wallet
from models.chain import ChainEntry
from server.errors import CannotRun
from services.audit import AuditLog
from services.catalogue import Catalogue
from services.chain_addresses import bitcoin_network, payable_address
from services.chains import Chains
from services.custody_services import CustodyParts, CustodyRules, CustodyServices, build_custody_services
from services.debts import Debts
from services.deposit_addresses import DepositKeys
from services.deposit_bitcoin import BitcoinDeposits
from services.deposit_chain import DepositChain
from services.deposit_evm import EvmDeposits
from services.deposit_forms import forms_of
from services.deposit_watch import DepositWatch, Watched
from services.deposit_watch_solana import SolanaDepositWatch, WatchedSolana
from services.exchange_gateway import ExchangeGateway
from services.payouts import Payouts
from services.payouts_bitcoin import BitcoinPayouts
from services.payouts_evm import EvmPayouts, Fees, GasFees
from services.payouts_solana import SolanaPayouts
from services.trading_accounts import ReadMarks, TradingAccounts
from services.valuation import Valuation
from services.withdrawal_steps import WithdrawalSteps
from services.withdrawals import RequireControl
from workers import deposits as deposit_worker
from workers import withdrawals as withdrawal_worker
from workers.deposits import ChainWatch, DepositWorker
from workers.leased import Loop
from workers.withdrawals import Interrupted, WithdrawalWorker

WORTH_QUOTE = "USD"


@dataclass(frozen=True, slots=True)
class CustodyGround:
    """What custody stands on. `holder` names who holds this process' leases."""

    clock: Clock
    bus: Bus
    catalogue: Catalogue
    chains: Chains
    gateway: ExchangeGateway
    accounts: TradingAccounts
    marks: ReadMarks
    valuation: Valuation
    audit: AuditLog
    in_control: RequireControl
    holder: str


@dataclass(frozen=True, slots=True)
class Custody:
    """The services, and the loops that may run in this process."""

    services: CustodyServices
    workers: dict[str, Loop]


def open_custody(settings: Settings, ground: CustodyGround, stack: AsyncExitStack) -> Custody:
    """Without keys to sign with nothing is paid out, and what was asked for before is still given back. Keys are opened by the worker alone.

    Raises CannotRun for a cold wallet's address that is none.
    """
    cold = cold_wallets(settings, ground.catalogue)
    shared = shared_addresses(settings, ground.catalogue)
    keys = deposit_keys(settings, ground.catalogue)
    watched = frozenset(
        key
        for key, chain in ground.catalogue.chains.items()
        if (chain.family in keys or key in shared) and ground.chains.configured(key)
    )

    async def is_ours(chain: str, address: str) -> bool:
        known = (*cold.get(chain, ()), *shared.get(chain, ()))
        return address in known or (await hot_wallet.addresses()).get(chain) == address

    services = build_custody_services(
        CustodyRules(
            address_delay_hours=settings.withdrawal_address_delay_hours,
            daily=settings.withdrawal_daily_limit_usd,
            review_from=settings.withdrawal_review_usd,
            served=_served(settings, ground),
            watched=watched,
        ),
        CustodyParts(
            gateway=ground.gateway,
            accounts=ground.accounts,
            marks=ground.marks,
            worth=lambda asset, amount: ground.valuation.value(asset, amount, WORTH_QUOTE),
            catalogue=ground.catalogue,
            bus=ground.bus,
            clock=ground.clock,
            audit=ground.audit,
            normal_address=payable_address,
            is_ours=is_ours,
            in_control=ground.in_control,
            chains=ground.chains,
            cold=cold,
            deposit_keys=keys,
            shared_addresses=shared,
        ),
    )
    stack.push_async_callback(services.reserves.close)

    async def open_steps() -> WithdrawalSteps:
        return WithdrawalSteps(
            withdrawals=services.withdrawals,
            changes=services.withdrawal_changes,
            payouts=await _open_payouts(settings, ground, stack),
            gateway=ground.gateway,
            accounts=ground.accounts,
            book=services.addresses,
            catalogue=ground.catalogue,
            mailbox=services.mailbox,
            clock=ground.clock,
        )

    worker = WithdrawalWorker(ground.clock, ground.holder, open_steps)
    watches = {
        key: functools.partial(_watch, ground, services, key, cold.get(key, frozenset()), shared.get(key, ()))
        for key in sorted(watched)
    }
    debts = Debts(ground.gateway, ground.accounts, ground.clock)
    deposits = DepositWorker(ground.clock, ground.holder, watches, debts)
    return Custody(services, {withdrawal_worker.NAME: worker.run, deposit_worker.NAME: deposits.run})


def _watch(
    ground: CustodyGround, services: CustodyServices, key: str, cold: frozenset[str], shared: tuple[str, ...]
) -> ChainWatch:
    async def hot() -> str | None:
        return (await hot_wallet.read(key)).address

    chain = ground.catalogue.chains[key]
    forms = forms_of(ground.catalogue.assets.values(), key)
    if chain.family is ChainFamily.SOLANA:
        on_solana = WatchedSolana(chain, ground.chains.solana(key), forms, shared, hot, cold)
        return SolanaDepositWatch(on_solana, services.deposits, services.transfer_log, ground.gateway, ground.clock)
    reader: DepositChain
    if chain.family is ChainFamily.BITCOIN:
        reader = BitcoinDeposits(ground.chains.bitcoin(key), forms.get(None))
    else:
        reader = EvmDeposits(ground.chains.evm(key), forms)
    watched = Watched(chain, reader, forms, hot, cold)
    return DepositWatch(watched, services.deposits, services.transfer_log, ground.gateway, ground.clock)


def deposit_keys(settings: Settings, catalogue: Catalogue) -> Mapping[ChainFamily, DepositKeys]:
    """What addresses are derived from. Raises CannotRun."""
    if settings.deposit_xpubs is None:
        return {}
    found: dict[ChainFamily, DepositKeys] = {}
    evm, bitcoin = (deposit_key_of(settings.deposit_xpubs, family) for family in ("evm", "bitcoin"))
    try:
        if evm is not None:
            found[ChainFamily.EVM] = parse_evm_account(evm)
        for chain in catalogue.chains.values():
            if bitcoin is not None and chain.family is ChainFamily.BITCOIN:
                found[chain.family] = parse_deposit_account(bitcoin, bitcoin_network(chain))
    except KeyRefused as refused:
        raise CannotRun(f"DEPOSIT_XPUBS: {refused}") from None
    return found


def cold_wallets(settings: Settings, catalogue: Catalogue) -> Mapping[str, frozenset[str]]:
    """Addresses of cold wallets by chain. Raises CannotRun."""
    found = _addresses("COLD_ADDRESSES", settings.cold_addresses, catalogue)
    return {chain: frozenset(addresses) for chain, addresses in found.items()}


def shared_addresses(settings: Settings, catalogue: Catalogue) -> Mapping[str, tuple[str, ...]]:
    """Addresses that everybody deposits to, by chain, the one that is given out first. Raises CannotRun."""
    found = _addresses("DEPOSIT_ADDRESSES", settings.deposit_addresses, catalogue)
    for key in found:
        if catalogue.chains[key].family is not ChainFamily.SOLANA:
            raise CannotRun(f"DEPOSIT_ADDRESSES: {key} has an address for each account; see DEPOSIT_XPUBS")
    return found


def _addresses(name: str, entries: Iterable[str], catalogue: Catalogue) -> dict[str, tuple[str, ...]]:
    """Addresses by chain, as a setting names them, each once. Raises CannotRun."""
    found: dict[str, tuple[str, ...]] = {}
    for entry in entries:
        key, _, address = entry.partition("=")
        chain = catalogue.chains.get(key)
        if chain is None:
            raise CannotRun(f"{name}: there is no chain {key}; there are {', '.join(catalogue.chains)}")
        try:
            normal = payable_address(chain, address)
        except WalletRefused as refused:
            raise CannotRun(f"{name}: {address}: {refused.message}") from None
        found[key] = tuple(dict.fromkeys((*found.get(key, ()), normal)))
    return found


def _served(settings: Settings, ground: CustodyGround) -> frozenset[str]:
    """Chains that withdrawals are made on: there is a key for them, and a node."""
    families = {key.family for key in settings.withdrawal_keys or ()}
    return frozenset(
        key
        for key, chain in ground.catalogue.chains.items()
        if chain.family in families and ground.chains.configured(key)
    )


async def _open_payouts(settings: Settings, ground: CustodyGround, stack: AsyncExitStack) -> dict[str, Payouts]:
    """Of every chain that is served; where its hot wallet is, is noted. Raises CannotRun, Interrupted."""
    try:
        signers = build_signers(settings)
        for signer in signers.values():
            stack.push_async_callback(signer.close)
        return {key: await _open(ground, ground.catalogue.chains[key], signers) for key in _served(settings, ground)}
    except SignerMisconfigured as error:
        raise CannotRun(str(error)) from None
    except SignerError as error:
        raise Interrupted(str(error)) from error


async def _open(ground: CustodyGround, chain: ChainEntry, signers: Mapping[ChainFamily, Signer]) -> Payouts:
    signer = signers[chain.family]
    hrp = None if chain.bitcoin is None else chain.bitcoin.hrp
    hot = address_of(chain.family, await signer.public_key(), hrp)
    await hot_wallet.note_address(chain.key, hot)
    if chain.family is ChainFamily.BITCOIN:
        bitcoin = ground.chains.bitcoin(chain.key)
        return BitcoinPayouts(bitcoin, signer, hot, block_seconds=chain.block_seconds)
    if chain.family is ChainFamily.SOLANA:
        return SolanaPayouts(ground.chains.solana(chain.key), signer, hot, final_after=chain.final_after)
    client = ground.chains.evm(chain.key)
    return EvmPayouts(client, signer, hot, _fees(client), block_seconds=chain.block_seconds)


def _fees(client: EvmClient) -> Fees:
    async def fees() -> GasFees:
        offer = (await client.gas_offers()).standard
        return GasFees(offer.most, offer.most if offer.priority is None else offer.priority)

    return fees
