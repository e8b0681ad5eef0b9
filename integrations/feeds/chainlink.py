"""Chainlink price feeds: latestRoundData of each feed contract, over an EVM node's JSON-RPC in one batch.

Sources: docs.chain.link, "Using Data Feeds" and the API reference of AggregatorV3Interface. Provider symbols are written
ADDRESS or ADDRESS/HEARTBEAT, the heartbeat in seconds after which the feed writes a new round even at an unchanged price
(3600 where it is left out).
"""

import asyncio
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from eth_abi.abi import decode as abi_decode
from eth_abi.exceptions import DecodingError

from core.clock import Clock
from core.money import MAX_SCALE
from core.vocabulary import PriceSource
from events.feed import FeedMessage, FeedPrice, FeedRejected
from integrations.feeds.base import Emit, FeedMarket, ProviderUnavailable, Sleep
from integrations.feeds.fields import Garbage, JsonObject, as_list, as_object, as_price, checked_time
from integrations.feeds.http import HttpPolicy, ProviderHttp
from integrations.feeds.polling import poll_for_ever

DECIMALS = "0x313ce567"
"""Selector of decimals()."""
LATEST_ROUND_DATA = "0xfeaf968c"
"""Selector of latestRoundData()."""
ROUND_TYPES = ("uint80", "int256", "uint256", "uint256", "uint80")
DEFAULT_HEARTBEAT_SECONDS = 3600
_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")
_RESULT = re.compile(r"0x([0-9a-fA-F]{2})+")


@dataclass(frozen=True, slots=True)
class PriceContract:
    """One feed: our symbol, its contract, and the age in seconds from which its round is stale."""

    symbol: str
    address: str
    max_age_seconds: int


class ChainlinkFeed:
    """Chainlink's prices on one chain."""

    source = PriceSource.CHAINLINK

    def __init__(
        self,
        markets: Sequence[FeedMarket],
        *,
        rpc_url: str,
        clock: Clock,
        interval_seconds: float = 30.0,
        http_policy: HttpPolicy | None = None,
        randomness: random.Random | None = None,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        """Raises ValueError for a malformed provider symbol."""
        self._contracts = [price_contract(market) for market in markets]
        self._clock = clock
        self._interval_seconds = interval_seconds
        self._http = ProviderHttp(rpc_url, clock=clock, policy=http_policy, randomness=randomness, sleep=sleep)
        self._sleep = sleep
        self._decimals: dict[str, int] = {}

    async def run(self, emit: Emit) -> None:
        """Poll until cancelled."""
        try:
            await poll_for_ever(
                self.source, self._poll, emit, interval_seconds=self._interval_seconds, sleep=self._sleep
            )
        finally:
            await self._http.close()

    async def _poll(self) -> Sequence[FeedMessage]:
        made: list[FeedMessage] = []
        await self._learn_decimals(made)
        known = [contract for contract in self._contracts if contract.address in self._decimals]
        for contract, result in (await self._call(known, LATEST_ROUND_DATA)).items():
            try:
                made.append(self._price(contract, result))
            except Garbage as garbage:
                made.append(FeedRejected(self.source, f"{contract.symbol}: {garbage}"))
        return made

    async def _learn_decimals(self, made: list[FeedMessage]) -> None:
        """Ask once for the decimals of every contract; one that does not answer is asked again at the next poll."""
        unknown = [contract for contract in self._contracts if contract.address not in self._decimals]
        for contract, result in (await self._call(unknown, DECIMALS)).items():
            try:
                (decimals,) = _decode(("uint8",), result)
                if decimals > MAX_SCALE:
                    raise Garbage(f"decimals: expected at most {MAX_SCALE}")
                self._decimals[contract.address] = decimals
            except Garbage as garbage:
                made.append(FeedRejected(self.source, f"{contract.symbol}: {garbage}"))

    def _price(self, contract: PriceContract, result: object) -> FeedPrice:
        round_id, answer, _, updated_at, answered_in_round = _decode(ROUND_TYPES, result)
        if answer <= 0:
            raise Garbage("answer: not above zero")
        if not updated_at or answered_in_round < round_id:
            raise Garbage("the round is not complete")
        time_ms = checked_time(updated_at * 1000, "updatedAt")
        age_ms = self._clock.now_ms() - time_ms
        if age_ms > contract.max_age_seconds * 1000:
            raise Garbage(f"the round is stale: {age_ms // 1000} s old")
        number = Decimal(answer).scaleb(-self._decimals[contract.address])
        return FeedPrice(self.source, contract.symbol, as_price(number, "answer"), time_ms)

    async def _call(self, contracts: Sequence[PriceContract], data: str) -> Mapping[PriceContract, object]:
        """The result of one read-only call on each contract, in one batch (JSON-RPC 2.0, section 6); None: no result."""
        if not contracts:
            return {}
        batch = [
            {
                "jsonrpc": "2.0",
                "id": number,
                "method": "eth_call",
                "params": [{"to": contract.address, "data": data}, "latest"],
            }
            for number, contract in enumerate(contracts)
        ]
        answer = await self._http.post("", batch)
        try:
            entries = [as_object(entry, "answer") for entry in as_list(answer, "answer")]
        except Garbage as garbage:
            raise ProviderUnavailable(f"unusable answer: {garbage}") from garbage
        by_id: dict[object, JsonObject] = {_hashable(entry.get("id")): entry for entry in entries}
        return {contract: by_id.get(number, {}).get("result") for number, contract in enumerate(contracts)}


def price_contract(market: FeedMarket) -> PriceContract:
    """The contract a provider symbol names; a round is stale a quarter of a heartbeat after the next was due."""
    address, slash, heartbeat = market.provider_symbol.partition("/")
    if not slash:
        heartbeat = str(DEFAULT_HEARTBEAT_SECONDS)
    if _ADDRESS.fullmatch(address) is None or not (heartbeat.isascii() and heartbeat.isdigit()):
        raise ValueError(f"{market.symbol}: expected ADDRESS or ADDRESS/HEARTBEAT, got {market.provider_symbol!r}")
    return PriceContract(market.symbol, address, int(heartbeat) * 5 // 4)


def _decode(types: Sequence[str], result: object) -> tuple[int, ...]:
    if not isinstance(result, str) or _RESULT.fullmatch(result) is None:
        raise Garbage("the contract gave no result")
    try:
        values: tuple[int, ...] = abi_decode(types, bytes.fromhex(result[2:]))
    except (DecodingError, OverflowError) as error:
        raise Garbage("the contract's result has another shape") from error
    return values


def _hashable(value: object) -> object:
    return value if isinstance(value, int) else None
