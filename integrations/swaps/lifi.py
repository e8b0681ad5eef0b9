"""LI.FI: swaps on one chain and across chains (https://docs.li.fi/api-reference/get-a-quote-for-a-token-transfer, version 1 of its REST API).

Native coins are the zero address. Without a key the service allows a few requests an hour; a key goes into `x-lifi-api-key`.
"""

from collections.abc import Mapping
from decimal import Decimal
from urllib.parse import urlencode

from core.wallet_vocabulary import SwapProvider
from integrations.chains.errors import Failure, ProviderFailed
from integrations.chains.http import NodeHttp, NodeLimits
from integrations.chains.shapes import JsonObject, as_hash, as_int, as_list, as_object, as_text, malformed
from integrations.swaps.base import (
    Progress,
    ProviderFee,
    ProviderQuote,
    ProviderStep,
    ProviderToken,
    SwapAsk,
    SwapCall,
    SwapProgress,
    SwapRefused,
    SwapUnavailable,
    SwapUntrue,
)
from integrations.swaps.fields import (
    NOBODY,
    as_address,
    as_call_data,
    as_contract,
    as_gas,
    as_hex_number,
    as_name,
    as_seconds,
    as_units,
)
from integrations.swaps.lifi_calls import DIAMOND, check_call

PUBLIC_URL = "https://li.quest"
VALID_SECONDS = 60
"""The service gives no end; prices are about a minute old when its own interface asks again."""
LIMITS = NodeLimits(total_seconds=12.0, max_body_bytes=2**20)
"""It asks dozens of exchanges and bridges itself."""
_MOST_STEPS = 20
_MOST_DECIMALS = 77
_NO_ROUTE = frozenset({1002, 1003})
"""NoQuoteError, NotFoundError (https://docs.li.fi/api-reference/error-codes)."""
_PROGRESS = {
    "NOT_FOUND": Progress.UNKNOWN,
    "INVALID": Progress.UNKNOWN,
    "PENDING": Progress.PENDING,
    "DONE": Progress.DONE,
    "FAILED": Progress.FAILED,
}
_SUBSTATUSES = {"REFUNDED": Progress.REFUNDED, "PARTIAL": Progress.FAILED}
"""Of DONE: what was paid came back; or another token arrived than was bought."""


class Lifi:
    """The service."""

    provider = SwapProvider.LIFI
    crosses_chains = True

    def __init__(self, url: str = PUBLIC_URL, api_key: str | None = None, limits: NodeLimits = LIMITS) -> None:
        headers = {} if api_key is None else {"x-lifi-api-key": api_key}
        self._http = NodeHttp(url, limits, headers=headers)

    async def close(self) -> None:
        await self._http.close()

    async def quote(self, ask: SwapAsk) -> ProviderQuote | None:
        query = {
            "fromChain": str(ask.from_chain),
            "toChain": str(ask.to_chain),
            "fromToken": ask.from_token or NOBODY,
            "toToken": ask.to_token or NOBODY,
            "fromAmount": str(ask.amount),
            "fromAddress": ask.address,
            "toAddress": ask.address,
            "slippage": str(Decimal(ask.slippage_bps).scaleb(-4)),
            "allowDestinationCall": "false",
        }
        try:
            status, body = await self._http.get_answer(f"/v1/quote?{urlencode(query)}")
            answer = as_object(body, "answer")
            if status == 200:
                return _quote(ask, answer)
            if _is_no_route(status, answer):
                return None
            raise _failure(status, answer)
        except ProviderFailed as error:
            raise SwapUnavailable(str(error), retry_after_seconds=error.retry_after_seconds) from error

    async def progress(self, hash_: str, from_chain: int, to_chain: int, bridge: str | None) -> SwapProgress:
        """See `SwapFollower`. A transaction that it has not seen yet is UNKNOWN (GET /v1/status)."""
        query = {"txHash": hash_, "fromChain": str(from_chain), "toChain": str(to_chain)}
        if bridge is not None:
            query["bridge"] = bridge
        try:
            status, body = await self._http.get_answer(f"/v1/status?{urlencode(query)}")
            answer = as_object(body, "answer")
            if status != 200:
                raise _failure(status, answer)
            return _progress(answer, hash_)
        except ProviderFailed as error:
            raise SwapUnavailable(str(error), retry_after_seconds=error.retry_after_seconds) from error


def _is_no_route(status: int, answer: JsonObject) -> bool:
    return status == 404 or (400 <= status < 500 and answer.get("code") in _NO_ROUTE)


def _failure(status: int, answer: JsonObject) -> SwapUnavailable | SwapRefused:
    if not 400 <= status < 500:
        return SwapUnavailable(f"HTTP {status}")
    return SwapRefused(as_name(answer.get("message", "no reason given"), "message"))


def _quote(ask: SwapAsk, answer: JsonObject) -> ProviderQuote:
    _check_action(ask, as_object(answer.get("action"), "action"))
    estimate = as_object(answer.get("estimate"), "estimate")
    if as_units(estimate.get("fromAmount"), "estimate.fromAmount") != ask.amount:
        raise SwapUntrue("it takes another amount")
    minimum_out = as_units(estimate.get("toAmountMin"), "estimate.toAmountMin")
    fees = tuple(_fee(each) for each in as_list(estimate.get("feeCosts") or [], "estimate.feeCosts"))
    call = _call(ask, as_object(answer.get("transactionRequest"), "transactionRequest"))
    spender = None if ask.from_token is None else as_address(estimate.get("approvalAddress"), "approvalAddress")
    if call.to != DIAMOND or spender not in (None, DIAMOND):
        raise SwapUntrue("it leads to another contract than LI.FI's")
    check_call(ask, minimum_out, call.data)
    _check_value(ask, call, fees)
    return ProviderQuote(
        provider=SwapProvider.LIFI,
        amount_out=as_units(estimate.get("toAmount"), "estimate.toAmount"),
        minimum_out=minimum_out,
        spender=spender,
        call=call,
        fees=fees,
        steps=_steps(ask, answer, estimate),
        valid_seconds=VALID_SECONDS,
        bridge=None if ask.from_chain == ask.to_chain else as_name(answer.get("tool"), "tool"),
    )


def _check_action(ask: SwapAsk, action: JsonObject) -> None:
    """What it says that it was asked for."""
    said = (
        as_int(action.get("fromChainId"), "action.fromChainId"),
        as_int(action.get("toChainId"), "action.toChainId"),
        _token(action.get("fromToken"), "action.fromToken").contract,
        _token(action.get("toToken"), "action.toToken").contract,
    )
    if said != (ask.from_chain, ask.to_chain, ask.from_token, ask.to_token):
        raise SwapUntrue("it swaps other tokens, or on other chains")
    if as_units(action.get("fromAmount"), "action.fromAmount") != ask.amount:
        raise SwapUntrue("it takes another amount")
    if as_address(action.get("toAddress"), "action.toAddress") != ask.address:
        raise SwapUntrue("it pays somebody else")


def _call(ask: SwapAsk, request: JsonObject) -> SwapCall:
    if as_int(request.get("chainId"), "transactionRequest.chainId") != ask.from_chain:
        raise SwapUntrue("its transaction is of another chain")
    if as_address(request.get("from"), "transactionRequest.from") != ask.address:
        raise SwapUntrue("its transaction is somebody else's")
    gas = request.get("gasLimit")
    return SwapCall(
        to=as_address(request.get("to"), "transactionRequest.to"),
        data=as_call_data(request.get("data"), "transactionRequest.data"),
        value=as_hex_number(request.get("value", "0x0"), "transactionRequest.value"),
        gas=None if gas is None else as_gas(as_hex_number(gas, "gasLimit"), "transactionRequest.gasLimit"),
    )


def _check_value(ask: SwapAsk, call: SwapCall, fees: tuple[ProviderFee, ...]) -> None:
    """Coins that go with the call are what is sold, and fees that are told."""
    coins = ask.amount if ask.from_token is None else 0
    on_top = sum(
        fee.amount for fee in fees if fee.on_top and fee.token.contract is None and fee.token.chain == ask.from_chain
    )
    if not coins <= call.value <= coins + on_top:
        raise SwapUntrue("its transaction pays another amount of coins than it says")


def _fee(value: object) -> ProviderFee:
    fee = as_object(value, "feeCosts")
    return ProviderFee(
        token=_token(fee.get("token"), "feeCosts.token"),
        amount=as_units(fee.get("amount"), "feeCosts.amount"),
        on_top=fee.get("included", True) is False,
    )


def _token(value: object, what: str) -> ProviderToken:
    token = as_object(value, what)
    decimals = as_int(token.get("decimals"), f"{what}.decimals")
    if decimals > _MOST_DECIMALS:
        raise malformed(f"{what}.decimals", f"at most {_MOST_DECIMALS}")
    return ProviderToken(
        chain=as_int(token.get("chainId"), f"{what}.chainId"),
        contract=as_contract(token.get("address"), f"{what}.address"),
        symbol=as_name(token.get("symbol"), f"{what}.symbol"),
        name=as_name(token.get("name"), f"{what}.name"),
        decimals=decimals,
    )


def _steps(ask: SwapAsk, answer: JsonObject, estimate: JsonObject) -> tuple[ProviderStep, ...]:
    """The exchanges and bridges on the way; where it names none, the whole as one."""
    included = as_list(answer.get("includedSteps") or [], "includedSteps")
    if len(included) > _MOST_STEPS:
        raise malformed("includedSteps", f"at most {_MOST_STEPS}")
    steps = [as_object(each, "includedSteps") for each in included]
    found = tuple(_step(each) for each in steps if each.get("type") != "protocol") or (_step(answer, estimate),)
    chains = {token.chain for step in found for token in (step.from_token, step.to_token)}
    if not chains <= {ask.from_chain, ask.to_chain}:
        raise SwapUntrue("it goes over another chain")
    return found


def _step(step: JsonObject, estimate: JsonObject | None = None) -> ProviderStep:
    action = as_object(step.get("action"), "action")
    details: Mapping[str, object] = as_object(step.get("toolDetails") or {}, "toolDetails")
    known = as_object(step.get("estimate"), "estimate") if estimate is None else estimate
    seconds = known.get("executionDuration")
    return ProviderStep(
        tool=as_name(details.get("name") or step.get("tool"), "tool"),
        from_token=_token(action.get("fromToken"), "action.fromToken"),
        to_token=_token(action.get("toToken"), "action.toToken"),
        seconds=None if seconds is None else as_seconds(seconds, "executionDuration"),
    )


def _progress(answer: JsonObject, hash_: str) -> SwapProgress:
    kind = _PROGRESS.get(as_text(answer.get("status"), "status"))
    if kind is None:
        raise ProviderFailed(Failure.MALFORMED, "status: expected one of the protocol's")
    if kind is Progress.UNKNOWN:
        return SwapProgress(kind)
    sending = as_object(answer.get("sending"), "sending")
    if as_hash(sending.get("txHash"), "sending.txHash") != hash_.lower():
        raise SwapUntrue("it tells of another transaction")
    if kind is Progress.DONE:
        kind = _SUBSTATUSES.get(str(answer.get("substatus")), kind)
    receiving = as_object(answer.get("receiving") or {}, "receiving")
    found = receiving.get("txHash")
    return SwapProgress(kind, None if found is None else as_hash(found, "receiving.txHash"))
