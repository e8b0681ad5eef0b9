"""Batched reads about funds, per operation. Nothing is kept: an operation may be a subscription, whose every event reads anew."""

from collections.abc import Awaitable, Callable, Sequence
from decimal import Decimal

from strawberry.dataloader import DataLoader

from events.trading import FillState, OrderState
from events.transfer import DepositState, WithdrawalState
from models.user import UserDocument
from services.funds_services import FundsServices
from services.trading_accounts import TradingAccount
from services.valuation import PastValue, Rate, value_at

Person = Callable[[str], Awaitable[UserDocument | None]]
Transfer = DepositState | WithdrawalState


class FundsLoaders:
    """Fields that begin at the same moment share one read; so all that an answer shows of an account's row is of one moment."""

    def __init__(self, funds: FundsServices, person: Person) -> None:
        self._funds = funds
        self._person = person
        self._accounts: DataLoader[str, TradingAccount] = DataLoader(load_fn=funds.accounts.read_all, cache=False)
        self._transfers: DataLoader[str, int] = DataLoader(load_fn=funds.events.newest_transfers, cache=False)
        self._quotes: DataLoader[str, str] = DataLoader(load_fn=self._load_quotes, cache=False)
        self._rates: DataLoader[PastValue, Rate | None] = DataLoader(load_fn=funds.statements.rates_at, cache=False)
        self._fills: DataLoader[int, FillState | None] = DataLoader(load_fn=self._load_fills, cache=False)
        self._orders: DataLoader[int, OrderState | None] = DataLoader(load_fn=self._load_orders, cache=False)
        self._moved: DataLoader[tuple[str, str], Transfer | None] = DataLoader(load_fn=self._load_moved, cache=False)

    async def account(self, account: str) -> TradingAccount:
        """What the exchange knows of an account. A field that shows more of the account reads this first."""
        return await self._accounts.load(account)

    async def transfers(self, account: str) -> int:
        """How far the log of an account's deposits and withdrawals reaches. A field that lists them reads this first."""
        return await self._transfers.load(account)

    async def quote_asset(self, account: str) -> str:
        """What the account's owner values in."""
        return await self._quotes.load(account)

    async def value_at(self, asset: str, quote: str, time_ms: int, amount: Decimal) -> Decimal | None:
        """What an amount was worth at a time."""
        rate = await self._rates.load(PastValue(asset, quote, time_ms))
        return None if rate is None else value_at({asset: rate}, asset, amount)

    async def fill(self, fill_id: int) -> FillState | None:
        """The fill that a line of a statement names."""
        return await self._fills.load(fill_id)

    async def order(self, order_id: int) -> OrderState | None:
        """The order that a line of a statement names."""
        return await self._orders.load(order_id)

    async def transfer(self, account: str, named: str) -> Transfer | None:
        """The deposit or withdrawal that a line of the account's statement names."""
        return await self._moved.load((account, named))

    async def _load_quotes(self, accounts: Sequence[str]) -> list[str]:
        people = {account: await self._person(account) for account in dict.fromkeys(accounts)}
        return [_DEFAULT_QUOTE if (person := people[each]) is None else person.quote_asset for each in accounts]

    async def _load_fills(self, ids: Sequence[int]) -> list[FillState | None]:
        found = await self._funds.statements.fills(set(ids))
        return [found.get(each) for each in ids]

    async def _load_orders(self, ids: Sequence[int]) -> list[OrderState | None]:
        found = await self._funds.statements.orders(set(ids))
        return [found.get(each) for each in ids]

    async def _load_moved(self, wanted: Sequence[tuple[str, str]]) -> list[Transfer | None]:
        found: dict[tuple[str, str], Transfer] = {}
        for account in dict.fromkeys(account for account, _ in wanted):
            named = list(dict.fromkeys(name for owner, name in wanted if owner == account))
            for start in range(0, len(named), _AT_ONCE):
                states = await self._funds.statements.transfers(account, named[start : start + _AT_ONCE])
                found |= {(account, name): state for name, state in states.items()}
        return [found.get(each) for each in wanted]


_AT_ONCE = 100
_DEFAULT_QUOTE = "USD"
"""Of an account without a person, such as the house's."""
