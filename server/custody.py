"""What moves between the ledger and chains, in a process: the services, and the workers that sign and watch, made from the settings."""

from dataclasses import dataclass

from core.bus import Bus
from core.clock import Clock
from core.settings import Settings
from services.audit import AuditLog
from services.catalogue import Catalogue
from services.chain_addresses import payable_address
from services.custody_services import CustodyParts, CustodyRules, CustodyServices, build_custody_services
from services.exchange_gateway import ExchangeGateway
from services.payouts import Payouts
from services.trading_accounts import ReadMarks, TradingAccounts
from services.valuation import Valuation
from services.withdrawal_steps import WithdrawalSteps
from workers import withdrawals as withdrawal_worker
from workers.leased import Loop
from workers.withdrawals import WithdrawalWorker


@dataclass(frozen=True, slots=True)
class CustodyGround:
    """What custody stands on. `holder` names who holds this process' leases."""

    clock: Clock
    bus: Bus
    catalogue: Catalogue
    gateway: ExchangeGateway
    accounts: TradingAccounts
    marks: ReadMarks
    valuation: Valuation
    audit: AuditLog
    holder: str


@dataclass(frozen=True, slots=True)
class Custody:
    """The services, and the loops that may run in this process."""

    services: CustodyServices
    workers: dict[str, Loop]


def open_custody(settings: Settings, ground: CustodyGround) -> Custody:
    """Without keys to sign with nothing is paid out, and what was asked for before is still finished or given back."""
    payouts: dict[str, Payouts] = {}
    rules = CustodyRules(
        address_delay_hours=settings.withdrawal_address_delay_hours,
        daily=settings.withdrawal_daily_limit_usd,
        review_from=settings.withdrawal_review_usd,
        served=frozenset(payouts),
    )
    services = build_custody_services(
        rules,
        CustodyParts(
            gateway=ground.gateway,
            accounts=ground.accounts,
            marks=ground.marks,
            worth=lambda asset, amount: ground.valuation.value(asset, amount, "USD"),
            catalogue=ground.catalogue,
            bus=ground.bus,
            clock=ground.clock,
            audit=ground.audit,
            normal_address=payable_address,
            is_ours=lambda _chain, _address: False,
        ),
    )
    steps = WithdrawalSteps(
        withdrawals=services.withdrawals,
        changes=services.withdrawal_changes,
        payouts=payouts,
        gateway=ground.gateway,
        accounts=ground.accounts,
        book=services.addresses,
        catalogue=ground.catalogue,
        mailbox=services.mailbox,
        clock=ground.clock,
    )
    worker = WithdrawalWorker(ground.clock, ground.holder, steps)
    return Custody(services, {withdrawal_worker.NAME: worker.run})
