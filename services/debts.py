"""What accounts owe since a deposit was taken back, repaid from whatever becomes available: a deposit repays by itself, a sale or a canceled order does not."""

from core.clock import Clock
from events.commands import RepayDebt
from models import debtor
from models.debtor import DebtorDocument
from services.exchange_gateway import ExchangeGateway
from services.ledger_commands import have_done
from services.trading_accounts import Funds, TradingAccounts

LOOK_SECONDS = 5.0


class Debts:
    """One per worker."""

    def __init__(self, gateway: ExchangeGateway, accounts: TradingAccounts, clock: Clock) -> None:
        self._gateway = gateway
        self._accounts = accounts
        self._clock = clock
        self._next_look = 0.0

    async def collect(self) -> None:
        """Ask for what is owed and can be paid; at most every few seconds. Raises LedgerSilent, PyMongoError."""
        if self._clock.monotonic() < self._next_look:
            return
        self._next_look = self._clock.monotonic() + LOOK_SECONDS
        for row in await debtor.everybody():
            await self._collect(row)

    async def _collect(self, row: DebtorDocument) -> None:
        account = await self._accounts.read(row.user_id)
        if account.sequence < row.sequence:
            return  # the documents do not know of the reversal yet
        funds = account.balances.get(row.asset, Funds())
        if not funds.debt:
            await debtor.forget(row)
        elif funds.available:
            await have_done(self._gateway, RepayDebt(row.user_id, row.asset))
