"""Rows of the exchange's documents for tests, as the projection writes them."""

import dataclasses
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from core.money import to_storage
from core.order_vocabulary import (
    Liquidity,
    OrderStatus,
    OrderType,
    SelfTradePrevention,
    TimeInForce,
    TransactionKind,
)
from core.rows import Rows
from core.vocabulary import OrderSide
from events import codec
from events.answers import Answer, HouseState, PreviewOrder, PreviewState
from events.commands import Command
from events.trading import (
    AccountLogged,
    BalanceState,
    FillState,
    LoggedBalance,
    LoggedFill,
    OrderState,
    StatementLine,
    in_order,
)
from models.base import replace_rows, transaction
from models.fill import insert_fills
from models.packs import AccountLogDocument, Pack, StatementDocument, insert_packs
from models.projection import ProjectionDocument, Watermark
from models.trading_account import renew_accounts
from services import statement_rows
from services.trading_accounts import TradingAccount, read_row

T0 = 1_700_000_000_000
_FILLS = Rows(FillState)
_ORDERS = Rows(OrderState)


async def put_accounts(rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows of accounts."""
    async with transaction(ProjectionDocument) as session:
        await renew_accounts(rows, session)


async def write_watermark(mark: Watermark) -> None:
    """Say that the documents reach this far."""
    await replace_rows(ProjectionDocument, [{"_id": "exchange", **dataclasses.asdict(mark)}])


class FakeExchange:
    """Answers what it is told to, and remembers what it was asked."""

    def __init__(self, answer: Answer | None = None, house: HouseState | None = None) -> None:
        self.answer = answer or Answer()
        self.state = house
        self.asked: list[Command] = []

    async def ask(self, command: Command) -> Answer:
        self.asked.append(command)
        return self.answer

    async def preview(self, wish: PreviewOrder) -> PreviewState | None:
        return None

    async def house(self) -> HouseState | None:
        return self.state


class NoMarks:
    """Nobody was shown anything."""

    def __init__(self) -> None:
        self.raised: list[tuple[str, int]] = []

    async def wait(self, account: str, shown: int = 0) -> int | None:
        return None

    def raise_to(self, account: str, sequence: int) -> None:
        self.raised.append((account, sequence))


def stored(amounts: Mapping[str, str]) -> dict[str, Any]:
    """Amounts as rows hold them."""
    return {asset: to_storage(Decimal(amount)) for asset, amount in amounts.items()}


def account_row(
    account: str,
    balances: Mapping[str, tuple[str, str]] | None = None,
    positions: Mapping[str, tuple[str, str, Mapping[str, str], Mapping[str, str]]] | None = None,
    **fields: Any,
) -> dict[str, Any]:
    """Balances are available and held; positions are covered, uncovered, cost and realized."""
    return {
        "_id": account,
        "sequence": 1,
        "frozen": False,
        "balances": {
            asset: stored({"available": available, "held": held})
            for asset, (available, held) in (balances or {}).items()
        },
        "positions": {
            asset: {
                **stored({"covered": covered, "uncovered": uncovered}),
                "cost": stored(cost),
                "realized": stored(realized),
            }
            for asset, (covered, uncovered, cost, realized) in (positions or {}).items()
        },
        "open": [],
        "orders": 0,
        "fills": 0,
        "lines": 0,
        "logged": 0,
        **fields,
    }


def trading_account(account: str, **options: Any) -> TradingAccount:
    """The account of such a row."""
    return read_row(account, account_row(account, **options))


def line(number: int, amount: str = "1", **fields: Any) -> StatementLine:
    """A line of a statement, one a second."""
    given: dict[str, Any] = {
        "entry": number * 10,
        "kind": TransactionKind.TRADE,
        "asset": "BTC",
        "balance_after": Decimal(number),
        "symbol": "BTC-USDT",
        "fill": None,
        "order": None,
        "time_ms": T0 + number * 1000,
        **fields,
    }
    return StatementLine(number=number, amount=Decimal(amount), **given)


async def put_lines(account: str, lines: Sequence[StatementLine], *, in_pack: int = 100, **fields: Any) -> None:
    """Store a statement, and the account's row."""
    packs = [lines[start : start + in_pack] for start in range(0, len(lines), in_pack)]
    await insert_packs(
        StatementDocument,
        [Pack(account, pack[0].number, pack[-1].number, statement_rows.encode(pack)) for pack in packs],
    )
    last = lines[-1].number if lines else 0
    await put_accounts([account_row(account, lines=last, **{"sequence": last, **fields})])


def balance_logged(
    account: str, first: int, last: int, *, sequence: int | None = None, asset: str = "BTC"
) -> AccountLogged:
    """A batch that changed a balance so many times."""
    at = last * 10 if sequence is None else sequence
    events = [
        LoggedBalance(number, BalanceState(account, asset, Decimal(number), Decimal(0), T0 + number, at))
        for number in range(first, last + 1)
    ]
    return AccountLogged(account, first, last, (), (), tuple(events), at, T0 + last)


def fill_state(account: str, number: int, **fields: Any) -> FillState:
    """A fill of 2 BTC at 100 USDT."""
    given: dict[str, Any] = {
        "id": number * 2,
        "order": 7,
        "trade": number,
        "symbol": "BTC-USDT",
        "side": OrderSide.BUY,
        "price": Decimal(100),
        "quantity": Decimal(2),
        "quote_quantity": Decimal(200),
        "fee": Decimal("0.3"),
        "fee_asset": "USDT",
        "liquidity": Liquidity.TAKER,
        "time_ms": T0 + number,
        "sequence": number,
        **fields,
    }
    return FillState(number=number, account=account, **given)


def fill_logged(account: str, number: int) -> AccountLogged:
    """A batch with one fill."""
    fill = fill_state(account, number)
    return AccountLogged(account, number, number, (), (LoggedFill(number, fill),), (), number * 10, fill.time_ms)


def order_state(account: str, order_id: int, **fields: Any) -> OrderState:
    """An open order to buy 2 BTC at 100 USDT."""
    given: dict[str, Any] = {
        **dict.fromkeys(each.name for each in dataclasses.fields(OrderState)),
        "client_id": f"key of {order_id}",
        "symbol": "BTC-USDT",
        "side": OrderSide.BUY,
        "type": OrderType.LIMIT,
        "status": OrderStatus.OPEN,
        "time_in_force": TimeInForce.GTC,
        "quantity": Decimal(2),
        "price": Decimal(100),
        "post_only": False,
        "self_trade": SelfTradePrevention.CANCEL_NEWEST,
        "filled_quantity": Decimal(0),
        "filled_quote": Decimal(0),
        "remaining_quantity": Decimal(2),
        "fee": Decimal(0),
        "fee_asset": "USDT",
        "created_ms": T0,
        "updated_ms": T0,
        "sequence": order_id,
        **fields,
    }
    return OrderState(**{**given, "id": order_id, "account": account})


def order_row(order: OrderState) -> dict[str, Any]:
    """An order as it is stored."""
    return {**_ORDERS.write(order), "_id": order.id, "number": 1}


async def put_fills(*fills: FillState) -> None:
    """Store fills."""
    rows = []
    for number, fill in enumerate(fills, 1):
        row = _FILLS.write(fill)
        rows.append({**row, "_id": row.pop("id"), "order_fill": number})
    await insert_fills(rows)


async def put_logged(*batches: AccountLogged, reaching: int | None = None) -> None:
    """Store a piece of an account's log, its row and the watermark, as a flush does."""
    await insert_packs(
        AccountLogDocument, [Pack(each.account, each.first, each.last, codec.encode(each)) for each in batches]
    )
    newest = batches[-1]
    await put_accounts([account_row(newest.account, logged=newest.last, sequence=newest.sequence)])
    await write_watermark(Watermark(0, newest.sequence if reaching is None else reaching, newest.time_ms))
    assert [event.number for event in in_order(newest)] == list(range(newest.first, newest.last + 1))
