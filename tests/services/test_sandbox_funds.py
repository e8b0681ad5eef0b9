"""Test funds: who gets them, how many a day, and what the exchange is told."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from core.account_vocabulary import Role, UserStatus
from core.clock import ManualClock
from core.database import Database
from core.order_vocabulary import OrderErrorCode, TransactionKind
from core.refusals import OrderRefused
from events.answers import Answer, RefusalState
from events.commands import MoveFunds
from models.client_key import UsedKey, insert_keys
from services.sandbox_funds import SandboxFunds
from services.trading_accounts import TradingAccounts
from services.valuation import Valuation
from services.viewer import Viewer
from tests.markets import D, Markets, feed, tick
from tests.trading_rows import FakeExchange, NoMarks, line, put_lines

Code = OrderErrorCode
ANNA = Viewer("anna", Role.USER, UserStatus.ACTIVE, email_verified=True, locale="en", expires_ms=0)
NOW_MS = 1_700_006_400_000 // 86_400_000 * 86_400_000 + 1_000


class Desk:
    """Test funds on a fake exchange; 1 BTC is 40,000 USD."""

    def __init__(self, answer: Answer | None = None, markets: Markets | None = None, **rules: Any) -> None:
        self.exchange = FakeExchange(answer or Answer(made=5, sequence=77))
        self.marks = NoMarks()
        markets = markets or Markets().apply(feed("BTC-USD"), tick(1, "40000", "BTC-USD"))
        self.funds = SandboxFunds(
            gateway=self.exchange,
            accounts=TradingAccounts(self.marks),
            marks=self.marks,
            valuation=Valuation(markets.catalogue, markets.view),
            catalogue=markets.catalogue,
            clock=ManualClock(NOW_MS),
            **{"allowed": True, "daily_worth": D(100_000), **rules},
        )

    async def refusal(
        self, viewer: Viewer = ANNA, key: str = "k", asset: str = "BTC", amount: str = "1"
    ) -> OrderRefused:
        with pytest.raises(OrderRefused) as refused:
            await self.funds.claim(viewer, key, asset, Decimal(amount))
        return refused.value


async def test_a_claim(database: Database) -> None:
    desk = Desk()
    await put_lines("anna", [], balances={"BTC": ("1.5", "0.5")})
    claimed = await desk.funds.claim(ANNA, "key-1", "BTC", D("1.50"))
    assert (claimed.balance.available, claimed.balance.held, claimed.replayed) == (D("1.5"), D("0.5"), False)
    (command,) = desk.exchange.asked
    assert isinstance(command, MoveFunds)
    assert command[:5] == ("anna", "house:test-funds", "BTC", 150_000_000, "key-1")
    assert desk.marks.raised == [("anna", 77)]
    await desk.funds.claim(ANNA, "key-1", "BTC", D("1.5"))
    assert desk.exchange.asked[1] == command, "the digest is of what is meant"
    await desk.funds.claim(ANNA, "key-1", "BTC", D("1.6"))
    other = desk.exchange.asked[2]
    assert isinstance(other, MoveFunds)
    assert other.digest != command.digest


@pytest.mark.parametrize(
    ("changes", "code", "field"),
    [
        ({"viewer": replace(ANNA, status=UserStatus.FROZEN)}, Code.ACCOUNT_FROZEN, None),
        ({"viewer": replace(ANNA, email_verified=False)}, Code.EMAIL_NOT_VERIFIED, None),
        ({"key": ""}, Code.INVALID_INPUT, ["clientClaimId"]),
        ({"key": "é"}, Code.INVALID_INPUT, ["clientClaimId"]),
        ({"key": "x" * 65}, Code.INVALID_INPUT, ["clientClaimId"]),
        ({"asset": "SHELLS"}, Code.INVALID_INPUT, ["asset"]),
        ({"amount": "0"}, Code.MALFORMED_NUMBER, ["amount"]),
        ({"amount": "-1"}, Code.MALFORMED_NUMBER, ["amount"]),
        ({"amount": "0.000000001"}, Code.MALFORMED_NUMBER, ["amount"]),
        ({"asset": "ETH"}, Code.PRICE_STALE, ["asset"]),
        ({"amount": "2.50000001"}, Code.QUANTITY_TOO_LARGE, ["amount"]),
    ],
)
async def test_refusals(database: Database, changes: dict[str, Any], code: Code, field: list[str] | None) -> None:
    desk = Desk()
    refused = await desk.refusal(**changes)
    assert (refused.reason, refused.field) == (code, field)
    assert desk.exchange.asked == []


async def test_there_are_none_in_production(database: Database) -> None:
    assert (await Desk(allowed=False).refusal()).reason is Code.NOT_SANDBOX


async def test_a_days_worth_is_what_is_left_of_it(database: Database) -> None:
    funds = TransactionKind.TEST_FUNDS
    yesterday, today = NOW_MS - 2_000, NOW_MS - 500
    lines = [
        line(1, "2.5", kind=funds, time_ms=yesterday),
        line(2, "1", kind=funds, time_ms=today),
        line(3, "9", kind=TransactionKind.TRADE, time_ms=today),
    ]
    await put_lines("anna", lines)
    desk = Desk()
    refused = await desk.refusal(amount="1.50000001")
    assert (refused.reason, refused.limit, refused.actual) == (Code.QUANTITY_TOO_LARGE, D("1.5"), D("1.50000001"))
    await desk.funds.claim(ANNA, "k", "BTC", D("1.5"))
    await desk.funds.claim(ANNA, "k2", "USDT", D(100_000))
    assert (await desk.refusal(asset="USDT", amount="100000.01")).limit == 100_000


async def test_a_key_that_was_used_is_judged_by_the_exchange_whatever_is_left(database: Database) -> None:
    await insert_keys([UsedKey("anna", "old", "digest", 3)])
    desk = Desk(Answer(made=3, replayed=True, sequence=9))
    assert (await desk.funds.claim(ANNA, "old", "BTC", D(1_000))).replayed
    mismatch = Desk(Answer(refusal=RefusalState(Code.IDEMPOTENCY_MISMATCH)))
    refused = await mismatch.refusal(key="old", amount="1000")
    assert (refused.reason, refused.field) == (Code.IDEMPOTENCY_MISMATCH, ["clientClaimId"])
    assert mismatch.marks.raised == []


async def test_a_price_in_a_stablecoin_will_do(database: Database) -> None:
    """A replay plays into one market, such as BTC-USDT: nobody says there what a dollar is."""
    markets = Markets().apply(feed("BTC-USDT"), tick(1, "50000", "BTC-USDT"))
    desk = Desk(markets=markets)
    refused = await desk.refusal(amount="2.00000001")
    assert (refused.reason, refused.limit) == (Code.QUANTITY_TOO_LARGE, D("2"))
