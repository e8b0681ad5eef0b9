"""0x: swaps on one chain (https://0x.org/docs/api, Swap API version 2 with AllowanceHolder). It answers nobody without a key.

Native coins are `0xEeee…`. A pair without liquidity is an ordinary answer, `liquidityAvailable: false`.
"""

from urllib.parse import urlencode

from core.wallet_vocabulary import SwapProvider
from integrations.chains.errors import ProviderFailed
from integrations.chains.http import NodeHttp, NodeLimits
from integrations.chains.shapes import JsonObject, as_list, as_object, malformed
from integrations.swaps.base import (
    ProviderFee,
    ProviderQuote,
    ProviderStep,
    ProviderToken,
    SwapAsk,
    SwapCall,
    SwapRefused,
    SwapUnavailable,
    SwapUntrue,
)
from integrations.swaps.fields import NATIVE, as_address, as_call_data, as_contract, as_gas, as_name, as_units
from integrations.swaps.zerox_calls import ALLOWANCE_HOLDER, check_call

PUBLIC_URL = "https://api.0x.org"
VALID_SECONDS = 30
"""As long as its guides let pass between a quote and its transaction: market makers' prices end soon after."""
LIMITS = NodeLimits(total_seconds=6.0, max_body_bytes=2**20)
_MOST_STEPS = 60
_FEES = ("zeroExFee", "integratorFee", "gasFee")


class ZeroEx:
    """The service."""

    provider = SwapProvider.ZEROX
    crosses_chains = False

    def __init__(self, url: str, api_key: str, limits: NodeLimits = LIMITS) -> None:
        self._http = NodeHttp(url, limits, headers={"0x-api-key": api_key, "0x-version": "v2"})

    async def close(self) -> None:
        await self._http.close()

    async def quote(self, ask: SwapAsk) -> ProviderQuote | None:
        query = {
            "chainId": str(ask.from_chain),
            "sellToken": ask.from_token or NATIVE,
            "buyToken": ask.to_token or NATIVE,
            "sellAmount": str(ask.amount),
            "taker": ask.address,
            "slippageBps": str(ask.slippage_bps),
        }
        try:
            status, body = await self._http.get_answer(f"/swap/allowance-holder/quote?{urlencode(query)}")
            answer = as_object(body, "answer")
            if status == 200:
                return _quote(ask, answer)
            if 400 <= status < 500:
                raise SwapRefused(as_name(answer.get("name", "no reason given"), "name"))
            raise SwapUnavailable(f"HTTP {status}")
        except ProviderFailed as error:
            raise SwapUnavailable(str(error), retry_after_seconds=error.retry_after_seconds) from error


def _quote(ask: SwapAsk, answer: JsonObject) -> ProviderQuote | None:
    available = answer.get("liquidityAvailable")
    if available is False:
        return None
    if available is not True:
        raise malformed("liquidityAvailable", "true or false")
    said = as_contract(answer.get("sellToken"), "sellToken"), as_contract(answer.get("buyToken"), "buyToken")
    if said != (ask.from_token, ask.to_token):
        raise SwapUntrue("it swaps other tokens")
    if as_units(answer.get("sellAmount"), "sellAmount") > ask.amount:
        raise SwapUntrue("it takes another amount")
    minimum_out = as_units(answer.get("minBuyAmount"), "minBuyAmount")
    spender = _spender(ask, answer)
    call = _call(ask, as_object(answer.get("transaction"), "transaction"))
    tokens = _tokens(ask, as_object(answer.get("route"), "route"))
    return ProviderQuote(
        provider=SwapProvider.ZEROX,
        amount_out=as_units(answer.get("buyAmount"), "buyAmount"),
        minimum_out=minimum_out,
        spender=spender,
        call=call,
        fees=_fees(as_object(answer.get("fees"), "fees"), tokens),
        steps=_steps(as_object(answer.get("route"), "route"), tokens),
        valid_seconds=VALID_SECONDS,
        settler=check_call(ask, minimum_out, call.data),
    )


def _spender(ask: SwapAsk, answer: JsonObject) -> str | None:
    """Who needs an allowance: nobody but AllowanceHolder, whatever is said."""
    named = [answer.get("allowanceTarget")]
    issues = as_object(answer.get("issues"), "issues")
    if issues.get("allowance") is not None:
        named.append(as_object(issues.get("allowance"), "issues.allowance").get("spender"))
    if any(as_address(each, "allowanceTarget") != ALLOWANCE_HOLDER for each in named if each is not None):
        raise SwapUntrue("it wants an allowance for another contract than 0x's")
    return None if ask.from_token is None else ALLOWANCE_HOLDER


def _call(ask: SwapAsk, transaction: JsonObject) -> SwapCall:
    gas = transaction.get("gas")
    call = SwapCall(
        to=as_address(transaction.get("to"), "transaction.to"),
        data=as_call_data(transaction.get("data"), "transaction.data"),
        value=as_units(transaction.get("value"), "transaction.value"),
        gas=None if gas is None else as_gas(as_units(gas, "gas"), "transaction.gas"),
    )
    if call.to != ALLOWANCE_HOLDER:
        raise SwapUntrue("it leads to another contract than 0x's")
    if call.value != (ask.amount if ask.from_token is None else 0):
        raise SwapUntrue("its transaction pays another amount of coins than it says")
    return call


def _tokens(ask: SwapAsk, route: JsonObject) -> dict[str | None, ProviderToken]:
    """The tokens on the way by their contracts; decimals are not told."""
    found: dict[str | None, ProviderToken] = {}
    for each in as_list(route.get("tokens"), "route.tokens")[:_MOST_STEPS]:
        token = as_object(each, "route.tokens")
        contract = as_contract(token.get("address"), "route.tokens.address")
        symbol = as_name(token.get("symbol"), "route.tokens.symbol")
        found[contract] = ProviderToken(ask.from_chain, contract, symbol, symbol, None)
    for contract in (ask.from_token, ask.to_token):
        found.setdefault(contract, ProviderToken(ask.from_chain, contract, "?", "?", None))
    return found


def _token(value: object, what: str, tokens: dict[str | None, ProviderToken]) -> ProviderToken:
    found = tokens.get(as_contract(value, what))
    if found is None:
        raise malformed(what, "a token of route.tokens")
    return found


def _fees(fees: JsonObject, tokens: dict[str | None, ProviderToken]) -> tuple[ProviderFee, ...]:
    found = []
    for name in _FEES:
        if fees.get(name) is not None:
            fee = as_object(fees.get(name), name)
            amount = as_units(fee.get("amount"), f"{name}.amount")
            if amount:
                found.append(ProviderFee(_token(fee.get("token"), f"{name}.token", tokens), amount, on_top=False))
    return tuple(found)


def _steps(route: JsonObject, tokens: dict[str | None, ProviderToken]) -> tuple[ProviderStep, ...]:
    """The trades; those that are side by side follow each other here."""
    fills = as_list(route.get("fills"), "route.fills")
    if not 0 < len(fills) <= _MOST_STEPS:
        raise malformed("route.fills", f"1 to {_MOST_STEPS}")
    steps = []
    for each in fills:
        fill = as_object(each, "route.fills")
        steps.append(
            ProviderStep(
                tool=as_name(fill.get("source"), "route.fills.source").replace("_", " "),
                from_token=_token(fill.get("from"), "route.fills.from", tokens),
                to_token=_token(fill.get("to"), "route.fills.to", tokens),
                seconds=None,
            )
        )
    return tuple(steps)
