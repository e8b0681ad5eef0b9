"""LI.FI as it answers, and what is made of every way in which an answer may be wrong."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from integrations.chains.http import NodeLimits
from integrations.swaps.base import Progress, ProviderQuote, SwapAsk, SwapRefused, SwapUnavailable, SwapUntrue
from integrations.swaps.fields import NOBODY
from integrations.swaps.lifi import Lifi
from integrations.swaps.lifi_calls import DIAMOND, check_call
from tests import swap_servers
from tests.chains import ANVIL_ADDRESSES
from tests.swap_servers import BRIDGED_USDT, MALLORY, USDC, USDT, WETH, Json, Reply, SwapServer, lifi_status, token

ALICE = ANVIL_ADDRESSES[0]
THOUSAND = 1_000_000_000
ONE_CHAIN = SwapAsk(1, 1, USDC, USDT, THOUSAND, ALICE, 50)
OVER_CHAINS = SwapAsk(1, 56, USDC, BRIDGED_USDT, THOUSAND, ALICE, 50)
OF_COINS = SwapAsk(1, 1, None, USDC, 10**18, ALICE, 100)
HASH = "0x" + "a" * 64


async def quoted(server: SwapServer, ask: SwapAsk = ONE_CHAIN, **options: Any) -> ProviderQuote | None:
    async with server.listening():
        source = Lifi(server.url, **options)
        try:
            return await source.quote(ask)
        finally:
            await source.close()


async def test_a_quote_on_one_chain_is_asked_for_and_read() -> None:
    server = SwapServer(out=999_000_000)
    quote = await quoted(server, api_key="the key")
    assert quote is not None
    (path, asked, headers), *_ = server.asked
    assert path == "/v1/quote"
    assert headers["x-lifi-api-key"] == "the key"
    assert asked == {
        **{"fromChain": "1", "toChain": "1", "fromToken": USDC, "toToken": USDT, "fromAmount": "1000000000"},
        **{"fromAddress": ALICE, "toAddress": ALICE, "slippage": "0.0050", "allowDestinationCall": "false"},
    }
    assert (quote.amount_out, quote.minimum_out, quote.spender) == (999_000_000, 994_005_000, DIAMOND)
    assert (quote.call.to, quote.call.value, quote.call.gas) == (DIAMOND, 0, 0xB2089)
    assert [(fee.token.symbol, fee.amount, fee.on_top) for fee in quote.fees] == [("USDC", 2_500_000, False)]
    assert [(step.tool, step.from_token.contract, step.seconds) for step in quote.steps] == [("1Inch", USDC, 5)]
    assert (quote.bridge, quote.settler) == (None, None)


async def test_a_quote_over_chains_names_its_bridge() -> None:
    quote = await quoted(SwapServer(), OVER_CHAINS)
    assert quote is not None
    assert quote.bridge == "across"
    assert [(step.from_token.chain, step.to_token.chain) for step in quote.steps] == [(1, 56)]


async def test_coins_need_no_allowance_and_go_with_the_call() -> None:
    quote = await quoted(SwapServer(), OF_COINS)
    assert quote is not None
    assert (quote.spender, quote.call.value) == (None, 10**18)


async def test_fees_on_top_go_with_the_call_as_far_as_they_are_told() -> None:
    def charge(answer: Json, *, paid: int) -> None:
        answer["estimate"]["feeCosts"].append(
            {"token": token(1, NOBODY), "amount": "900", "included": False, "name": "f"}
        )
        answer["transactionRequest"]["value"] = hex(paid)

    quote = await quoted(SwapServer(lie=partial(charge, paid=900)), OVER_CHAINS)
    assert quote is not None
    assert quote.call.value == 900
    with pytest.raises(SwapUntrue, match="coins"):
        await quoted(SwapServer(lie=partial(charge, paid=901)), OVER_CHAINS)


async def test_a_swap_in_a_single_exchange_is_read() -> None:
    assert await quoted(SwapServer(call=swap_servers.single_call)) is not None


NO_ROUTES = [
    Reply(404, {"message": "No available quotes for the requested transfer", "code": 1002, "errors": {"failed": []}}),
    Reply(404, {"message": "Unable to find a quote for the requested transfer.", "errors": []}),
    Reply(422, {"message": "no quote", "code": 1002}),
]


@pytest.mark.parametrize("reply", NO_ROUTES)
async def test_no_way_is_an_ordinary_answer(reply: Reply) -> None:
    assert await quoted(SwapServer(reply=reply)) is None


async def test_a_refusal_keeps_its_reason() -> None:
    with pytest.raises(SwapRefused, match="must be at least 1"):
        await quoted(SwapServer(reply=Reply(400, {"message": "fromAmount must be at least 1", "code": 1011})))


UNUSABLE = [
    Reply(500, {"message": "oops", "code": 1006}),
    Reply(502, b"<html>Bad gateway</html>"),
    Reply(200, b"{"),
    Reply(200, []),
    Reply(200, {}),
    Reply(200, {"action": 5}),
    Reply(200, b"[" * 100_000),
    Reply(401, {"message": "unknown key"}),
    Reply(200, b" " * (2**20 + 1)),
]


@pytest.mark.parametrize("reply", UNUSABLE)
async def test_what_is_no_answer_of_the_protocol_is_a_failure(reply: Reply) -> None:
    with pytest.raises(SwapUnavailable):
        await quoted(SwapServer(reply=reply))


async def test_a_stall_ends() -> None:
    with pytest.raises(SwapUnavailable, match="no answer within"):
        await quoted(SwapServer(reply=Reply(200, {}, stall=True)), limits=NodeLimits(total_seconds=0.05))


async def test_a_rate_limit_says_how_long() -> None:
    with pytest.raises(SwapUnavailable) as limited:
        await quoted(SwapServer(reply=Reply(429, {"code": 1005}, {"retry-after": "30"})))
    assert limited.value.retry_after_seconds == 30


def put(value: object, *path: str) -> Callable[[Json], None]:
    """A lie: this value at that place of the answer."""

    def lie(answer: Json) -> None:
        place: Any = answer
        for name in path[:-1]:
            place = place[name]
        place[path[-1]] = value

    return lie


def step_over(chain: int, *, seconds: int = 5) -> Json:
    return {
        "type": "swap",
        "tool": "1inch",
        "action": {"fromToken": token(1, USDC), "toToken": token(chain, USDT)},
        "estimate": {"executionDuration": seconds},
    }


LIES = {
    "another token": put(token(1, WETH), "action", "toToken"),
    "another chain": put(137, "action", "toChainId"),
    "a step on another chain": put([step_over(137)], "includedSteps"),
    "another amount": put("5", "action", "fromAmount"),
    "another amount in the estimate": put("5", "estimate", "fromAmount"),
    "another recipient": put(MALLORY, "action", "toAddress"),
    "another sender": put(MALLORY, "transactionRequest", "from"),
    "a transaction of another chain": put(56, "transactionRequest", "chainId"),
    "another contract": put(MALLORY, "transactionRequest", "to"),
    "an approval of another contract": put(MALLORY, "estimate", "approvalAddress"),
    "coins": put("0x1", "transactionRequest", "value"),
    "a minimum that the call does not keep": put("1989999999", "estimate", "toAmountMin"),
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
async def test_an_answer_that_is_not_what_was_asked_for_is_untrue(lie: Callable[[Json], None]) -> None:
    with pytest.raises(SwapUntrue):
        await quoted(SwapServer(lie=lie))


async def test_coins_that_are_not_sold_whole_are_untrue() -> None:
    with pytest.raises(SwapUntrue):
        await quoted(SwapServer(lie=put("0x5", "transactionRequest", "value")), OF_COINS)


MALFORMED = {
    "an amount that is a number": put(1_990_000_000, "estimate", "toAmount"),
    "an amount with a point": put("1.5", "estimate", "toAmount"),
    "an amount below zero": put("-5", "estimate", "toAmountMin"),
    "an amount too long": put("9" * 35, "estimate", "toAmount"),
    "another alphabet's digits": put("١٢", "estimate", "toAmount"),
    "an address too short": put("0x12", "transactionRequest", "to"),
    "no data": put("0x", "transactionRequest", "data"),
    "data that is not hexadecimal": put("0xzz112233", "transactionRequest", "data"),
    "data too long": put("0x" + "00" * 65_537, "transactionRequest", "data"),
    "no steps that can be read": put([5], "includedSteps"),
    "gas beyond any block": put("0x" + "f" * 16, "transactionRequest", "gasLimit"),
    "a step that takes ages": put([step_over(1, seconds=10**12)], "includedSteps"),
    "steps without end": put([step_over(1)] * 21, "includedSteps"),
}


@pytest.mark.parametrize("lie", MALFORMED.values(), ids=MALFORMED)
async def test_values_that_cannot_be_are_a_failure(lie: Callable[[Json], None]) -> None:
    with pytest.raises(SwapUnavailable):
        await quoted(SwapServer(lie=lie))


def swap(sold: str = USDC, bought: str = USDT, amount: int = THOUSAND, *, deposits: bool = True) -> tuple[Any, ...]:
    return (DIAMOND, DIAMOND, sold, bought, amount, b"", deposits)


FALSE_CALLS = {
    "pays somebody else": partial(swap_servers.swap_call, receiver=MALLORY),
    "accepts less": partial(swap_servers.swap_call, minimum=1),
    "buys another token": partial(swap_servers.swap_call, swaps=[swap(bought=WETH)]),
    "takes more": partial(swap_servers.swap_call, swaps=[swap(amount=THOUSAND + 1)]),
    "takes twice": partial(swap_servers.swap_call, swaps=[swap(), swap()]),
    "takes another token too": partial(swap_servers.swap_call, swaps=[swap(), swap(sold=WETH)]),
    "takes another token first": partial(swap_servers.swap_call, swaps=[swap(sold=WETH, deposits=False), swap()]),
    "is no swap": lambda asked, least: b"\xa9\x05\x9c\xbb" + bytes(64),
    "is nothing": lambda asked, least: swap_servers.swap_call(asked, least)[:4],
    "is cut off": lambda asked, least: swap_servers.swap_call(asked, least)[:-40],
    "leaves the chain": swap_servers.bridge_call,
}


@pytest.mark.parametrize("call", FALSE_CALLS.values(), ids=FALSE_CALLS)
async def test_a_call_that_does_something_else_is_untrue(call: Any) -> None:
    with pytest.raises(SwapUntrue):
        await quoted(SwapServer(call=call))


FALSE_BRIDGES = {
    "pays somebody else": partial(swap_servers.bridge_call, receiver=MALLORY),
    "goes elsewhere": partial(swap_servers.bridge_call, chain=137),
    "takes more": partial(swap_servers.bridge_call, amount=THOUSAND + 1),
    "takes another token": partial(swap_servers.bridge_call, sent=WETH),
    "hands it to a contract": partial(swap_servers.bridge_call, has_call=True),
    "takes another token before": partial(swap_servers.bridge_call, sent=WETH, swaps=[swap(sold=USDT, bought=WETH)]),
    "takes more before": partial(swap_servers.bridge_call, sent=WETH, swaps=[swap(bought=WETH, amount=THOUSAND + 1)]),
    "bridges what it did not buy": partial(swap_servers.bridge_call, sent=USDT, swaps=[swap(bought=WETH)]),
    "swaps nothing before": partial(swap_servers.bridge_call, swaps=[]),
    "stays here": swap_servers.swap_call,
    "is cut off": lambda asked, least: swap_servers.bridge_call(asked, least)[:300],
}


@pytest.mark.parametrize("call", FALSE_BRIDGES.values(), ids=FALSE_BRIDGES)
async def test_a_bridge_that_does_something_else_is_untrue(call: Any) -> None:
    with pytest.raises(SwapUntrue):
        await quoted(SwapServer(call=call), OVER_CHAINS)


async def test_a_swap_before_the_bridge_is_read() -> None:
    call = partial(swap_servers.bridge_call, sent=WETH, swaps=[swap(bought=WETH)])
    assert await quoted(SwapServer(call=call), OVER_CHAINS) is not None


@given(st.binary(min_size=4, max_size=600), st.booleans())
def test_whatever_the_call_is_it_is_read_or_untrue(data: bytes, crosses: bool) -> None:
    with pytest.raises(SwapUntrue):
        check_call(OVER_CHAINS if crosses else ONE_CHAIN, 1, data)


PROGRESS = [
    (lifi_status(HASH), Progress.DONE, "0x" + "b" * 64),
    (lifi_status(HASH, "PENDING", "WAIT_DESTINATION_TRANSACTION"), Progress.PENDING, None),
    (lifi_status(HASH, "DONE", "REFUNDED"), Progress.REFUNDED, "0x" + "b" * 64),
    (lifi_status(HASH, "DONE", "PARTIAL"), Progress.FAILED, "0x" + "b" * 64),
    (lifi_status(HASH, "FAILED", "UNKNOWN_ERROR"), Progress.FAILED, None),
    ({"status": "NOT_FOUND", "substatus": None}, Progress.UNKNOWN, None),
    ({"status": "INVALID"}, Progress.UNKNOWN, None),
]


async def followed(server: SwapServer) -> tuple[Progress, str | None]:
    async with server.listening():
        source = Lifi(server.url)
        try:
            found = await source.progress(HASH, 1, 56, "across")
        finally:
            await source.close()
    return found.kind, found.hash


@pytest.mark.parametrize(("status", "kind", "hash_"), PROGRESS)
async def test_how_far_a_swap_is(status: Json, kind: Progress, hash_: str | None) -> None:
    server = SwapServer(status=status)
    assert await followed(server) == (kind, hash_)
    assert server.asked[0][1] == {"txHash": HASH, "fromChain": "1", "toChain": "56", "bridge": "across"}


async def test_news_of_another_transaction_are_untrue() -> None:
    with pytest.raises(SwapUntrue):
        await followed(SwapServer(status=lifi_status("0x" + "c" * 64)))


@pytest.mark.parametrize("reply", [Reply(200, {"status": "HUGE"}), Reply(500, {}), Reply(200, {"status": "DONE"})])
async def test_news_that_cannot_be_read_are_a_failure(reply: Reply) -> None:
    with pytest.raises(SwapUnavailable):
        await followed(SwapServer(reply=reply))
