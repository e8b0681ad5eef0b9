"""LI.FI and 0x on a free port, as they really answer: a test says at which rate they swap, and what they lie about."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import orjson
from eth_abi.abi import encode
from eth_utils.crypto import keccak

from integrations.swaps.fields import NATIVE, NOBODY
from integrations.swaps.lifi_calls import DIAMOND
from integrations.swaps.zerox_calls import ALLOWANCE_HOLDER

MALLORY = "0x00000000219ab540356cBB839Cbe05303d7705Fa"
SETTLER = "0x7f6ceE965959295cC64d0E6c00d99d6532d8e86b"
"""Of 0x, a former one."""
USDC = "0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48"
USDT = "0xdAC17F958D2ee523a2206206994597C13D831ec7"
WETH = "0xC02aaA39b223FE8D0A0e5C4F27eAD9083C756Cc2"
BRIDGED_USDT = "0x55d398326f99059fF775485246999027B3197955"
"""On BNB Smart Chain, where it has 18 digits."""
TOKENS: dict[str, tuple[str, int]] = {
    NOBODY: ("ETH", 18),
    USDC: ("USDC", 6),
    USDT: ("USDT", 6),
    WETH: ("WETH", 18),
    BRIDGED_USDT: ("USDT", 18),
}
SWAP = "(address,address,address,address,uint256,bytes,bool)"
BRIDGE = "(bytes32,string,string,address,address,address,uint256,uint256,bool,bool)"
_HEAD = ["bytes32", "string", "string", "address", "uint256"]

Json = dict[str, Any]
Asked = Mapping[str, str]


@dataclass(frozen=True)
class Reply:
    """An answer of HTTP; `stall`: none, until the client gives up."""

    status: int
    body: object
    headers: Mapping[str, str] = field(default_factory=dict)
    stall: bool = False


@dataclass
class SwapServer:
    """Both services. `out` is how many units are quoted for a swap; `lie` changes a sound answer; `reply` stands in its place."""

    out: int = 1_990_000_000
    minimum: int | None = None
    lie: Callable[[Json], None] | None = None
    reply: Reply | None = None
    status: Json | None = None
    call: Callable[[Asked, int], bytes] | None = None
    asked: list[tuple[str, Asked, Mapping[str, str]]] = field(default_factory=list)
    url: str = ""

    def least(self, asked: Asked) -> int:
        """What the services make of the slippage that was asked for."""
        basis_points = int(asked["slippageBps"]) if "slippageBps" in asked else round(float(asked["slippage"]) * 10_000)
        return self.out * (10_000 - basis_points) // 10_000 if self.minimum is None else self.minimum

    @asynccontextmanager
    async def listening(self) -> AsyncIterator["SwapServer"]:
        """Open for as long as the block runs."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with server:
            yield self

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        target = urlsplit(head[0].split(" ")[1])
        asked = {name: values[0] for name, values in parse_qs(target.query).items()}
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
        self.asked.append((target.path, asked, headers))
        reply = self.reply or Reply(200, self._answer(target.path, asked))
        if reply.stall:
            await reader.read()
        else:
            body = reply.body if isinstance(reply.body, bytes) else orjson.dumps(reply.body)
            lines = [f"HTTP/1.1 {reply.status} x", f"content-length: {len(body)}", "connection: close"]
            lines += [f"{name}: {value}" for name, value in reply.headers.items()]
            writer.write("\r\n".join([*lines, "", ""]).encode() + body)
        writer.close()

    def _answer(self, path: str, asked: Asked) -> Json:
        match path:
            case "/v1/quote":
                answer = self._lifi(asked)
            case "/swap/allowance-holder/quote":
                answer = self._zerox(asked)
            case _:
                answer = self.status or lifi_status(asked["txHash"])
        if self.lie is not None:
            self.lie(answer)
        return answer

    def _lifi(self, asked: Asked) -> Json:
        from_chain, to_chain = int(asked["fromChain"]), int(asked["toChain"])
        crosses = from_chain != to_chain
        from_token, to_token = token(from_chain, asked["fromToken"]), token(to_chain, asked["toToken"])
        least, native = self.least(asked), asked["fromToken"] == NOBODY
        action = {
            "fromToken": from_token,
            "fromAmount": asked["fromAmount"],
            "toToken": to_token,
            "fromChainId": from_chain,
            "toChainId": to_chain,
            "slippage": float(asked["slippage"]),
            "fromAddress": asked["fromAddress"],
            "toAddress": asked["toAddress"],
        }
        estimate = {
            "tool": "across" if crosses else "1inch",
            "approvalAddress": DIAMOND,
            "toAmountMin": str(least),
            "toAmount": str(self.out),
            "fromAmount": asked["fromAmount"],
            "feeCosts": [
                {
                    "name": "LIFI Fixed Fee",
                    "description": "Fixed LIFI fee, independent of any other fee",
                    "percentage": "0.0025",
                    "token": from_token,
                    "amount": str(int(asked["fromAmount"]) // 400),
                    "amountUSD": "5.00",
                    "included": True,
                }
            ],
            "gasCosts": [{"type": "SEND", "estimate": "215769", "limit": "280500", "amount": "39057833554179"}],
            "executionDuration": 4.4,
        }
        call = (self.call or (bridge_call if crosses else swap_call))(asked, least)
        tool = "across" if crosses else "1inch"
        return {
            "type": "lifi",
            "id": "82915fc1-78eb-4256-b6c3-0490ea6f6dee:0",
            "tool": tool,
            "toolDetails": {"key": tool, "name": tool.title(), "logoURI": "https://example.com/logo.svg"},
            "action": action,
            "estimate": estimate,
            "includedSteps": [
                {
                    "id": "1",
                    "type": "protocol",
                    "tool": "feeCollection",
                    "toolDetails": {"key": "feeCollection", "name": "Integrator Fee"},
                    "action": {**action, "toToken": from_token},
                    "estimate": estimate,
                },
                {
                    "id": "2",
                    "type": "cross" if crosses else "swap",
                    "tool": tool,
                    "toolDetails": {"key": tool, "name": tool.title()},
                    "action": action,
                    "estimate": estimate,
                },
            ],
            "integrator": "lifi-api",
            "transactionRequest": {
                "value": hex(int(asked["fromAmount"])) if native else "0x0",
                "to": DIAMOND,
                "data": "0x" + call.hex(),
                "chainId": from_chain,
                "gasPrice": "0x57bcf1",
                "gasLimit": "0xb2089",
                "from": asked["fromAddress"],
            },
        }

    def _zerox(self, asked: Asked) -> Json:
        native, least = asked["sellToken"] == NATIVE, self.least(asked)
        call = (self.call or settler_call)(asked, least)
        spender = ALLOWANCE_HOLDER.lower()
        return {
            "allowanceTarget": None if native else spender,
            "blockNumber": "20850142",
            "buyAmount": str(self.out),
            "buyToken": asked["buyToken"].lower(),
            "fees": {
                "integratorFee": None,
                "zeroExFee": {"amount": str(self.out // 667), "token": asked["buyToken"].lower(), "type": "volume"},
                "gasFee": None,
            },
            "issues": {
                "allowance": None if native else {"actual": "0", "spender": spender},
                "balance": {"token": asked["sellToken"].lower(), "actual": "0", "expected": asked["sellAmount"]},
                "simulationIncomplete": False,
                "invalidSourcesPassed": [],
            },
            "liquidityAvailable": True,
            "minBuyAmount": str(least),
            "route": {
                "fills": [
                    {
                        "from": asked["sellToken"].lower(),
                        "to": asked["buyToken"].lower(),
                        "source": "Uniswap_V3",
                        "proportionBps": "10000",
                    }
                ],
                "tokens": [{"address": asked[name].lower(), "symbol": "T"} for name in ("sellToken", "buyToken")],
            },
            "sellAmount": asked["sellAmount"],
            "sellToken": asked["sellToken"].lower(),
            "tokenMetadata": {name: {"buyTaxBps": "0", "sellTaxBps": "0"} for name in ("buyToken", "sellToken")},
            "totalNetworkFee": "21080000000000000",
            "transaction": {
                "to": spender,
                "data": "0x" + call.hex(),
                "gas": "288079",
                "gasPrice": "4837860000",
                "value": asked["sellAmount"] if native else "0",
            },
            "zid": "0x111111111111111111111111",
        }


def token(chain: int, address: str) -> Json:
    """A token as LI.FI tells it."""
    symbol, decimals = TOKENS[address]
    return {
        "address": address,
        "chainId": chain,
        "symbol": symbol,
        "decimals": decimals,
        "name": symbol,
        "coinKey": symbol,
        "logoURI": "https://example.com/logo.png",
        "priceUSD": "0.9998",
    }


def selector(signature: str) -> bytes:
    return keccak(text=signature)[:4]


def swap_call(
    asked: Asked,
    least: int,
    *,
    receiver: str | None = None,
    minimum: int | None = None,
    swaps: list[tuple[Any, ...]] | None = None,
) -> bytes:
    """LI.FI's swap on one chain: `swapTokensMultipleV3…` of one swap, unless others are given."""
    sold, bought = asked["fromToken"], asked["toToken"]
    way = f"{'Native' if sold == NOBODY else 'ERC20'}To{'Native' if bought == NOBODY else 'ERC20'}"
    usual = [(DIAMOND, DIAMOND, sold, bought, int(asked["fromAmount"]), b"\1\2", True)]
    values = [b"\7" * 32, "lifi-api", NOBODY, receiver or asked["toAddress"], minimum or least, swaps or usual]
    return selector(f"swapTokensMultipleV3{way}({','.join(_HEAD)},{SWAP}[])") + encode([*_HEAD, f"{SWAP}[]"], values)


def single_call(asked: Asked, least: int) -> bytes:
    """LI.FI's swap in one exchange, from token to token."""
    swap = (DIAMOND, DIAMOND, asked["fromToken"], asked["toToken"], int(asked["fromAmount"]), b"", False)
    values = [b"\7" * 32, "lifi-api", NOBODY, asked["toAddress"], least, swap]
    return selector(f"swapTokensSingleV3ERC20ToERC20({','.join(_HEAD)},{SWAP})") + encode([*_HEAD, SWAP], values)


def bridge_call(asked: Asked, _least: int, **changes: Any) -> bytes:
    """LI.FI's way to another chain: the bridge's data first, then swaps before it where `swaps` are given, then what the bridge wants."""
    swaps = changes.pop("swaps", None)
    facts: dict[str, Any] = {
        "id": b"\7" * 32,
        "bridge": "across",
        "integrator": "lifi-api",
        "referrer": NOBODY,
        "sent": asked["fromToken"],
        "receiver": asked["toAddress"],
        "amount": int(asked["fromAmount"]),
        "chain": int(asked["toChain"]),
        "has_swaps": swaps is not None,
        "has_call": False,
        **changes,
    }
    data = tuple(facts.values())
    if swaps is None:
        return selector("startBridgeTokensViaAcrossV4()") + encode([BRIDGE, "(uint256)"], [data, (5,)])
    kinds = [BRIDGE, f"{SWAP}[]", "(uint256)"]
    return selector("swapAndStartBridgeTokensViaAcrossV4()") + encode(kinds, [data, swaps, (5,)])


def settler_call(asked: Asked, least: int, **changes: Any) -> bytes:
    """0x's call: AllowanceHolder lends what may be taken to a Settler, which trades and pays."""
    facts: dict[str, Any] = {
        "operator": SETTLER,
        "token": NOBODY if asked["sellToken"] == NATIVE else asked["sellToken"],
        "amount": int(asked["sellAmount"]),
        "target": SETTLER,
        "recipient": asked["taker"],
        "bought": asked["buyToken"],
        "minimum": least,
        **changes,
    }
    slippage = (facts["recipient"], facts["bought"], facts["minimum"])
    inner = selector("execute((address,address,uint256),bytes[],bytes32)") + encode(
        ["(address,address,uint256)", "bytes[]", "bytes32"], [slippage, [b"\1\2\3\4"], b"\7" * 32]
    )
    return selector("exec(address,address,uint256,address,bytes)") + encode(
        ["address", "address", "uint256", "address", "bytes"],
        [facts["operator"], facts["token"], facts["amount"], facts["target"], inner],
    )


def lifi_status(hash_: str, status: str = "DONE", substatus: str | None = "COMPLETED", **more: Any) -> Json:
    """LI.FI's word on a swap across chains."""
    return {
        "transactionId": "0x5e9bd1e1232bcfb28e660ce116fe910aa058345604334e5f560034f51ef5327c",
        "sending": {"txHash": hash_, "chainId": 1, "amount": "1000000000", "token": token(1, USDC)},
        "receiving": {"chainId": 56, **({"txHash": "0x" + "b" * 64} if status == "DONE" else {})},
        "status": status,
        "substatus": substatus,
        "substatusMessage": "The transfer is complete.",
        "tool": "across",
        **more,
    }
