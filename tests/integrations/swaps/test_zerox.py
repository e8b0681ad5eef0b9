"""0x as it answers, and what is made of every way in which an answer may be wrong."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from integrations.chains.http import NodeLimits
from integrations.swaps.base import ProviderQuote, SwapAsk, SwapRefused, SwapUnavailable, SwapUntrue
from integrations.swaps.fields import NATIVE, NOBODY
from integrations.swaps.zerox import ZeroEx
from integrations.swaps.zerox_calls import ALLOWANCE_HOLDER, check_call
from tests.chains import ANVIL_ADDRESSES
from tests.integrations.swaps.test_lifi import put
from tests.swap_servers import MALLORY, SETTLER, USDC, USDT, WETH, Json, Reply, SwapServer, settler_call

ALICE = ANVIL_ADDRESSES[0]
ASK = SwapAsk(1, 1, USDC, USDT, 1_000_000_000, ALICE, 50)
OF_COINS = SwapAsk(1, 1, None, USDC, 10**18, ALICE, 100)
INTO_COINS = SwapAsk(1, 1, USDC, None, 1_000_000_000, ALICE, 100)


async def quoted(server: SwapServer, ask: SwapAsk = ASK, **options: Any) -> ProviderQuote | None:
    async with server.listening():
        source = ZeroEx(server.url, "the key", **options)
        try:
            return await source.quote(ask)
        finally:
            await source.close()


async def test_a_quote_is_asked_for_and_read() -> None:
    server = SwapServer(out=999_000_000)
    quote = await quoted(server)
    assert quote is not None
    (path, asked, headers), *_ = server.asked
    assert path == "/swap/allowance-holder/quote"
    assert (headers["0x-api-key"], headers["0x-version"]) == ("the key", "v2")
    assert asked == {
        **{"chainId": "1", "sellToken": USDC, "buyToken": USDT, "sellAmount": "1000000000"},
        **{"taker": ALICE, "slippageBps": "50"},
    }
    assert (quote.amount_out, quote.minimum_out) == (999_000_000, 994_005_000)
    assert (quote.spender, quote.call.to, quote.settler) == (ALLOWANCE_HOLDER, ALLOWANCE_HOLDER, SETTLER)
    assert (quote.call.value, quote.call.gas) == (0, 288_079)
    assert [(fee.token.contract, fee.amount) for fee in quote.fees] == [(USDT, 1_497_751)]
    assert [(step.tool, step.seconds) for step in quote.steps] == [("Uniswap V3", None)]


async def test_coins_are_named_as_it_wants_and_need_no_allowance() -> None:
    server = SwapServer()
    quote = await quoted(server, OF_COINS)
    assert quote is not None
    assert server.asked[0][1]["sellToken"] == NATIVE
    assert (quote.spender, quote.call.value) == (None, 10**18)
    assert await quoted(SwapServer(), INTO_COINS) is not None


async def test_no_liquidity_is_an_ordinary_answer() -> None:
    assert await quoted(SwapServer(reply=Reply(200, {"liquidityAvailable": False, "zid": "0x1"}))) is None


async def test_a_refusal_keeps_its_reason() -> None:
    body = {"name": "TOKEN_NOT_SUPPORTED", "message": "sellToken is not supported", "data": {"zid": "0x1"}}
    with pytest.raises(SwapRefused, match="TOKEN_NOT_SUPPORTED"):
        await quoted(SwapServer(reply=Reply(422, body)))


UNUSABLE = [
    Reply(500, {"name": "INTERNAL_SERVER_ERROR"}),
    Reply(200, b"nothing"),
    Reply(200, {}),
    Reply(200, {"liquidityAvailable": "yes"}),
    Reply(403, {"name": "UNAUTHORIZED"}),
]


@pytest.mark.parametrize("reply", UNUSABLE)
async def test_what_is_no_answer_of_the_protocol_is_a_failure(reply: Reply) -> None:
    with pytest.raises(SwapUnavailable):
        await quoted(SwapServer(reply=reply))


async def test_a_stall_ends_and_a_rate_limit_says_how_long() -> None:
    with pytest.raises(SwapUnavailable, match="no answer within"):
        await quoted(SwapServer(reply=Reply(200, {}, stall=True)), limits=NodeLimits(total_seconds=0.05))
    with pytest.raises(SwapUnavailable) as limited:
        await quoted(SwapServer(reply=Reply(429, {"name": "RATE_LIMITED"}, {"retry-after": "7"})))
    assert limited.value.retry_after_seconds == 7


LIES = {
    "another token": put(WETH, "buyToken"),
    "another token sold": put(WETH, "sellToken"),
    "more sold": put("1000000001", "sellAmount"),
    "another contract": put(MALLORY, "transaction", "to"),
    "an approval of another contract": put(MALLORY, "allowanceTarget"),
    "an approval of Settler": put(SETTLER, "issues", "allowance", "spender"),
    "coins": put("1", "transaction", "value"),
    "a minimum that the call does not keep": put("1989999999", "minBuyAmount"),
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
async def test_an_answer_that_is_not_what_was_asked_for_is_untrue(lie: Callable[[Json], None]) -> None:
    with pytest.raises(SwapUntrue):
        await quoted(SwapServer(lie=lie))


MALFORMED = {
    "an amount that is a number": put(5, "buyAmount"),
    "no route": put({}, "route"),
    "no trades": put([], "route", "fills"),
    "trades over an unknown token": put([{"from": WETH, "to": USDT, "source": "x"}], "route", "fills"),
    "fees in an unknown token": put({"amount": "5", "token": WETH, "type": "volume"}, "fees", "zeroExFee"),
    "no transaction": put(None, "transaction"),
    "gas beyond any block": put("9" * 15, "transaction", "gas"),
}


@pytest.mark.parametrize("lie", MALFORMED.values(), ids=MALFORMED)
async def test_values_that_cannot_be_are_a_failure(lie: Callable[[Json], None]) -> None:
    with pytest.raises(SwapUnavailable):
        await quoted(SwapServer(lie=lie))


FALSE_CALLS = {
    "pays somebody else": partial(settler_call, recipient=MALLORY),
    "does not say whom it pays": partial(settler_call, recipient=NOBODY, bought=NOBODY, minimum=0),
    "buys another token": partial(settler_call, bought=WETH),
    "accepts less": partial(settler_call, minimum=1),
    "takes another token": partial(settler_call, token=WETH),
    "takes more": partial(settler_call, amount=1_000_000_001),
    "lends to somebody else": partial(settler_call, operator=MALLORY),
    "calls somebody else": partial(settler_call, target=MALLORY),
    "is a transfer": lambda asked, least: b"\xa9\x05\x9c\xbb" + bytes(64),
    "is cut off": lambda asked, least: settler_call(asked, least)[:200],
}


@pytest.mark.parametrize("call", FALSE_CALLS.values(), ids=FALSE_CALLS)
async def test_a_call_that_does_something_else_is_untrue(call: Any) -> None:
    with pytest.raises(SwapUntrue):
        await quoted(SwapServer(call=call))


async def test_a_call_that_sells_coins_may_not_take_tokens() -> None:
    with pytest.raises(SwapUntrue):
        await quoted(SwapServer(call=partial(settler_call, token=USDC)), OF_COINS)


@given(st.binary(min_size=4, max_size=600))
def test_whatever_the_call_is_it_is_read_or_untrue(data: bytes) -> None:
    with pytest.raises(SwapUntrue):
        check_call(ASK, 1, data)


@given(st.binary(max_size=600))
def test_whatever_is_inside_a_call_is_read_or_untrue(data: bytes) -> None:
    whole = settler_call({"sellToken": USDC, "buyToken": USDT, "sellAmount": "5", "taker": ALICE}, 5)
    with pytest.raises(SwapUntrue):
        check_call(ASK, 6, whole[:4] + data)
