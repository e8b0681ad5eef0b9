"""Everything about what moves between the ledger and chains, put together: what each part needs is handed to it here and nowhere else."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from core.bus import Bus
from core.clock import Clock
from core.vocabulary import ChainFamily
from services.audit import AuditLog
from services.catalogue import Catalogue
from services.chains import Chains
from services.deposit_addresses import DepositAddresses, DepositKeys
from services.deposit_reads import DepositReads
from services.deposits import Deposits
from services.exchange_gateway import ExchangeGateway
from services.mail import Mailbox
from services.reserves import Reserves
from services.trading_accounts import ReadMarks, TradingAccounts
from services.transfer_log import TransferLog
from services.unclaimed_deposits import UnclaimedDeposits
from services.withdrawal_addresses import IsOurs, NormalAddress, WithdrawalAddresses
from services.withdrawal_outlook import WithdrawalOutlook, WithdrawalRules, Worth
from services.withdrawal_reads import WithdrawalReads
from services.withdrawal_states import WithdrawalChanges
from services.withdrawals import RequireControl, Withdrawals


@dataclass(frozen=True, slots=True)
class CustodyRules:
    """What the configuration decides. Amounts in US dollars; `served` are the chains that this installation signs for, `watched` those whose
    blocks it reads."""

    address_delay_hours: int
    daily: Decimal
    review_from: Decimal
    served: frozenset[str]
    watched: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class CustodyParts:
    """What custody is built on. `is_ours` tells addresses of the house by chain and address. By chain: `cold` are addresses of cold wallets, `shared_addresses` those
    that all deposit to, the one that is given out first."""

    gateway: ExchangeGateway
    accounts: TradingAccounts
    marks: ReadMarks
    worth: Worth
    catalogue: Catalogue
    bus: Bus
    clock: Clock
    audit: AuditLog
    normal_address: NormalAddress
    is_ours: IsOurs
    in_control: RequireControl
    chains: Chains
    cold: Mapping[str, frozenset[str]]
    deposit_keys: Mapping[ChainFamily, DepositKeys]
    shared_addresses: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class CustodyServices:
    """The parts that resolvers, fields and workers use."""

    deposit_addresses: DepositAddresses
    deposits: Deposits
    deposit_reads: DepositReads
    unclaimed: UnclaimedDeposits
    addresses: WithdrawalAddresses
    withdrawals: Withdrawals
    withdrawal_outlook: WithdrawalOutlook
    withdrawal_reads: WithdrawalReads
    withdrawal_changes: WithdrawalChanges
    transfer_log: TransferLog
    mailbox: Mailbox
    reserves: Reserves


def build_custody_services(rules: CustodyRules, parts: CustodyParts) -> CustodyServices:
    """Put everything together; nothing is read yet."""
    mailbox = Mailbox(parts.bus, parts.clock)
    log = TransferLog(parts.bus)
    changes = WithdrawalChanges(log)
    addresses = WithdrawalAddresses(
        catalogue=parts.catalogue,
        normal=parts.normal_address,
        is_ours=parts.is_ours,
        audit=parts.audit,
        mailbox=mailbox,
        clock=parts.clock,
        delay_hours=rules.address_delay_hours,
    )
    outlook = WithdrawalOutlook(
        accounts=parts.accounts,
        worth=parts.worth,
        catalogue=parts.catalogue,
        book=addresses,
        clock=parts.clock,
        rules=WithdrawalRules(rules.daily, rules.review_from),
        served=rules.served,
    )
    withdrawals = Withdrawals(
        gateway=parts.gateway,
        marks=parts.marks,
        outlook=outlook,
        catalogue=parts.catalogue,
        changes=changes,
        audit=parts.audit,
        mailbox=mailbox,
        clock=parts.clock,
        served=rules.served,
        in_control=parts.in_control,
    )
    return CustodyServices(
        deposit_addresses=DepositAddresses(
            catalogue=parts.catalogue,
            keys=parts.deposit_keys,
            shared={chain: addresses[0] for chain, addresses in parts.shared_addresses.items()},
            watched=rules.watched,
            clock=parts.clock,
        ),
        unclaimed=UnclaimedDeposits(catalogue=parts.catalogue, transfers=log, audit=parts.audit, clock=parts.clock),
        deposits=Deposits(parts.gateway, parts.marks, log, parts.clock),
        deposit_reads=DepositReads(parts.bus, parts.marks),
        addresses=addresses,
        withdrawals=withdrawals,
        withdrawal_outlook=outlook,
        withdrawal_reads=WithdrawalReads(parts.bus, parts.clock),
        withdrawal_changes=changes,
        transfer_log=log,
        mailbox=mailbox,
        reserves=Reserves(parts.chains, parts.catalogue, parts.cold, parts.clock, shared=parts.shared_addresses),
    )
