"""Custody for tests: the real services with what a test says of prices, and a chain that does what it is told."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from core.bus import Bus
from core.clock import Clock
from core.vocabulary import ChainFamily
from integrations.chains.bitcoin.keys import parse_deposit_account
from integrations.chains.errors import ChainUnavailable
from integrations.chains.keys import parse_evm_account
from models.chain import ChainEntry
from models.hot_wallet import HotWalletDocument
from models.withdrawal import AttemptEntry, WithdrawalDocument
from services.audit import AuditLog
from services.catalogue import Catalogue
from services.chain_addresses import bitcoin_network, payable_address
from services.chains import Chains
from services.custody_services import CustodyParts, CustodyRules, CustodyServices, build_custody_services
from services.exchange_gateway import ExchangeGateway
from services.payouts import Fate, FateKind, Payouts, Promise, SendRefused, Wait
from services.trading_accounts import ReadMarks, TradingAccounts
from services.withdrawal_rules import Route
from services.withdrawal_steps import WithdrawalSteps
from services.withdrawals import RequireControl
from tests.chains import LITECOIN

RULES = CustodyRules(
    address_delay_hours=24,
    daily=Decimal(50_000),
    review_from=Decimal(10_000),
    served=frozenset({"ethereum", "polygon", "bsc", "bitcoin", "solana"}),
    watched=frozenset({"ethereum", "polygon", "bsc", "solana"}),
)
PRICES = {"ETH": Decimal(2_000), "USDT": Decimal(1), "USDC": Decimal(1), "BTC": Decimal(50_000), "USD": Decimal(1)}
XPUB = "xpub6Ce9NcJvTk37JBtr1eY9EsMZtMiNE1eTP4tmjVpfv5jBrmMxag6m2Vx99tzFbrPSgbYYCGJE82UetSJzNurv8JAzgEx2Duh3aa4p5ZW2gHX"
"""Of m/44'/60'/7' of the mnemonic that Anvil's accounts come from."""
BITCOIN_XPUB = (
    "vpub5YRRorZVvAATbadFBqXxBKY7eBYuJoytrCzsTtmYjGUrzhPQbDRgKodrHYmuY1Z42bAhRR53cJ9nuoHY2debCGrpjVPKbCNbSRop4pJP4TD"
)
"""Of m/84'/1'/7' of the same mnemonic."""
SOLANA_HOUSE = "GmaDrppBC7P5ARKV8g3djiwP89vz1jLK23V2GBjuAEGB"
"""Of the seed of 32 times 7: all deposits on Solana come in here."""
STRANGER = "0x00000000219ab540356cBB839Cbe05303d7705Fa"
"""An address that is nobody's here."""


def worth(asset: str, amount: Decimal) -> Decimal | None:
    """At fixed prices."""
    price = PRICES.get(asset)
    return None if price is None else price * amount


async def _is_the_hot_wallet(_chain: str, address: str) -> bool:
    return address == "0x000000000000000000000000000000000000dEaD"


def build_custody(
    *,
    gateway: ExchangeGateway,
    accounts: TradingAccounts,
    marks: ReadMarks,
    catalogue: Catalogue,
    bus: Bus,
    clock: Clock,
    audit: AuditLog,
    chains: Chains | None = None,
    cold: Mapping[str, frozenset[str]] | None = None,
    rules: CustodyRules = RULES,
    in_control: RequireControl | None = None,
) -> CustodyServices:
    """The services at fixed prices."""
    parts = CustodyParts(
        gateway=gateway,
        accounts=accounts,
        marks=marks,
        worth=worth,
        catalogue=catalogue,
        bus=bus,
        clock=clock,
        audit=audit,
        normal_address=payable_address,
        is_ours=_is_the_hot_wallet,
        in_control=in_control or _whoever,
        chains=chains or Chains(catalogue.chains, {}, clock),
        cold=cold or {},
        deposit_keys={
            ChainFamily.EVM: parse_evm_account(XPUB),
            ChainFamily.BITCOIN: parse_deposit_account(BITCOIN_XPUB, bitcoin_network(LITECOIN)),
        },
        shared_addresses={"solana": (SOLANA_HOUSE,)},
    )
    return build_custody_services(rules, parts)


async def _whoever(_user_id: str, _chain: ChainEntry, _address: str) -> None:
    """Everybody controls everything."""


@dataclass
class SmallChain(Payouts):
    """A chain that counts nonces: it takes one transaction for each, the dearest that was offered before the block."""

    funds: int = 10**24
    next_nonce: int = 0
    height: int = 0
    pool: dict[str, AttemptEntry] = field(default_factory=dict)
    blocks: dict[str, int] = field(default_factory=dict)
    """Hash to the height of its block."""
    reverts: bool = False
    is_down: bool = False
    refuses: SendRefused | None = None
    signed: list[AttemptEntry] = field(default_factory=list)
    stuck_after_ms: int = 60_000
    base: int = 10

    async def promise(self, row: WithdrawalDocument, way: Route, wallet: HotWalletDocument) -> Promise | Wait:
        self._answer()
        if (row.amount - row.fee).scaleb(way.network.decimals) > self.funds:
            return Wait("the hot wallet has too little of it now")
        nonce = max(wallet.next_nonce, self.next_nonce)
        return Promise(str(nonce), {"to": row.address, "amount": str(row.amount - row.fee)}, nonce + 1)

    async def sign(self, row: WithdrawalDocument, now_ms: int) -> AttemptEntry:
        assert row.spends is not None
        fee = self.base + len(row.attempts)
        raw = f"{row.spends}|{row.terms}|{fee}".encode()
        attempt = AttemptEntry(
            hash=f"0x{row.spends}-{fee}",
            raw=raw,
            spends=row.spends,
            fee_units=fee,
            terms=row.terms or {},
            signed_ms=now_ms,
        )
        self.signed.append(attempt)
        return attempt

    async def send(self, attempt: AttemptEntry) -> None:
        self._answer()
        if self.refuses is not None:
            raise self.refuses
        if int(attempt.spends) >= self.next_nonce:
            self.pool[attempt.hash] = attempt

    async def fate(self, row: WithdrawalDocument) -> Fate:
        self._answer()
        for attempt in row.attempts:
            if attempt.hash in self.blocks:
                kind = FateKind.FAILED if self.reverts else FateKind.INCLUDED
                return Fate(kind, attempt.hash, self.height - self.blocks[attempt.hash] + 1, attempt.fee_units)
        if row.spends is not None and int(row.spends) < self.next_nonce:
            return Fate(FateKind.TAKEN)
        known = [attempt for attempt in row.attempts if attempt.hash in self.pool]
        return Fate(FateKind.PENDING, known[-1].hash) if known else Fate(FateKind.UNKNOWN)

    def is_stuck(self, row: WithdrawalDocument, now_ms: int) -> bool:
        return now_ms - row.attempts[-1].signed_ms >= self.stuck_after_ms

    def mine(self, blocks: int = 1) -> None:
        """Blocks, the first of which takes all that the pool offers in the order of nonces."""
        self.height += 1
        while offers := [each for each in self.pool.values() if int(each.spends) == self.next_nonce]:
            best = max(offers, key=lambda each: each.fee_units)
            self.blocks[best.hash] = self.height
            self.pool = {hash_: each for hash_, each in self.pool.items() if each.spends != best.spends}
            self.next_nonce += 1
        self.height += blocks - 1

    def orphan(self) -> None:
        """The chain gives up every block with a transaction; they are in nobody's pool either."""
        self.next_nonce -= len(self.blocks)
        self.blocks.clear()

    def _answer(self) -> None:
        if self.is_down:
            raise ChainUnavailable("ethereum", {"node": "cannot be reached"})


def build_steps(
    custody: CustodyServices,
    chain: Payouts,
    *,
    gateway: ExchangeGateway,
    accounts: TradingAccounts,
    catalogue: Catalogue,
    clock: Clock,
) -> WithdrawalSteps:
    """A worker's steps on one chain, whatever its name."""
    return WithdrawalSteps(
        withdrawals=custody.withdrawals,
        changes=custody.withdrawal_changes,
        payouts=dict.fromkeys(RULES.served, chain),
        gateway=gateway,
        accounts=accounts,
        book=custody.addresses,
        catalogue=catalogue,
        mailbox=custody.mailbox,
        clock=clock,
    )
