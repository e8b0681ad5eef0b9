"""Several nodes of one chain that stand in for each other.

Whoever asks gets the answer of the first usable node in order of preference; a node that fails is passed over, and after a few failures in a row left
alone for a while (circuit breaker). `probe` asks every node for its chain and head: one of another chain, or that has not told its chain yet, is never
used; one too far behind the highest head is used only when no other is left.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple, Protocol, TypeVar

import structlog

from core.clock import Clock
from integrations.chains.errors import ChainError, ChainUnavailable, Failure, ProviderFailed

log = structlog.get_logger(__name__)


class Node(Protocol):
    """A connection to one node of a chain."""

    async def close(self) -> None: ...


NodeT = TypeVar("NodeT", bound=Node)
T = TypeVar("T")


class Head(NamedTuple):
    """A node's newest block: its number (on Solana its slot), and the time it carries, epoch milliseconds (None: not told)."""

    number: int
    time_ms: int | None = None


@dataclass(frozen=True, slots=True)
class PoolPolicy:
    """When a node is left alone: after so many failures in a row, for longer each time; and what is too far behind, in blocks."""

    breaker_failures: int = 3
    first_rest_seconds: float = 5.0
    most_rest_seconds: float = 120.0
    most_behind: int = 10
    probe_seconds: float = 15.0


@dataclass(frozen=True, slots=True)
class ProviderState:
    """What is known of one node; `error` says why it is not used."""

    name: str
    healthy: bool
    head: int | None
    latency_ms: int | None
    error: str | None


@dataclass(slots=True)
class _Provider(Generic[NodeT]):
    name: str
    node: NodeT
    head: Head | None = None
    latency_ms: int | None = None
    failures: int = 0
    rests: int = 0
    rests_until_ms: int = 0
    error: str | None = None
    wrong_chain: bool = False
    behind: int = 0


class ProviderPool(Generic[NodeT]):
    """The nodes of one chain. `probe` gives a node's head, and raises ProviderFailed(WRONG_CHAIN) when it is of another chain."""

    def __init__(
        self,
        chain: str,
        nodes: Sequence[tuple[str, NodeT]],
        probe: Callable[[NodeT], Awaitable[Head]],
        *,
        clock: Clock,
        policy: PoolPolicy | None = None,
    ) -> None:
        self.chain = chain
        self._providers = [_Provider(name, node) for name, node in nodes]
        self._probe = probe
        self._clock = clock
        self._policy = policy or PoolPolicy()
        self._probed = False

    @property
    def configured(self) -> bool:
        """Whether there is any node at all."""
        return bool(self._providers)

    async def close(self) -> None:
        for provider in self._providers:
            await provider.node.close()

    async def use(self, ask: Callable[[NodeT], Awaitable[T]], *, among: Callable[[NodeT], bool] | None = None) -> T:
        """The answer of the first node that gives one; only those are asked of which `among` says that they can tell.

        Raises ChainUnavailable, and NodeRefused as the node said.
        """
        reasons: dict[str, str] = {}
        for provider in await self._in_order():
            if among is not None and not among(provider.node):
                reasons[provider.name] = "cannot tell this"
                continue
            try:
                answer = await ask(provider.node)
            except ProviderFailed as failed:
                self._failed(provider, failed)
                reasons[provider.name] = str(failed)
            else:
                self._worked(provider)
                return answer
        told = {each.name: reasons.get(each.name) or each.error or "was not asked" for each in self._providers}
        raise ChainUnavailable(self.chain, told)

    async def ask_all(
        self, ask: Callable[[NodeT], Awaitable[T]], *, among: Callable[[NodeT], bool] | None = None
    ) -> dict[str, T | ChainError]:
        """What every node says that is of this chain (and can tell), resting or not: for what must not hang on one alone."""
        await self._prove(resting=True)
        asked = [each for each in self._providers if not each.wrong_chain and (among is None or among(each.node))]
        found = await asyncio.gather(*(self._ask_one(provider, ask) for provider in asked))
        return {provider.name: answer for provider, answer in zip(asked, found, strict=True)}

    async def probe(self) -> None:
        """Ask every node for its chain and head, all at once."""
        await asyncio.gather(*(self._probe_one(provider) for provider in self._providers))
        highest = max((each.head.number for each in self._providers if each.head is not None), default=0)
        for provider in self._providers:
            behind = 0 if provider.head is None else highest - provider.head.number
            provider.behind = behind if behind > self._policy.most_behind else 0
        self._probed = True

    async def run(self) -> None:
        """Probe again and again, until cancelled."""
        while True:
            await self.probe()
            await asyncio.sleep(self._policy.probe_seconds)

    def head(self) -> Head | None:
        """The highest head that a node of this chain told."""
        heads = [each.head for each in self._providers if each.head is not None and not each.wrong_chain]
        return max(heads, default=None, key=lambda head: head.number)

    def states(self) -> list[ProviderState]:
        """All nodes in order of preference."""
        now_ms = self._clock.now_ms()
        return [
            ProviderState(
                name=each.name,
                healthy=self._probed and each.error is None and not each.behind and not self._unusable(each, now_ms),
                head=None if each.head is None else each.head.number,
                latency_ms=each.latency_ms,
                error=each.error or (f"{each.behind} blocks behind" if each.behind else None),
            )
            for each in self._providers
        ]

    async def _in_order(self) -> list[_Provider[NodeT]]:
        """Those that may be asked, the preferred first; those that are behind last."""
        await self._prove()
        now_ms = self._clock.now_ms()
        usable = [each for each in self._providers if not self._unusable(each, now_ms)]
        return sorted(usable, key=lambda each: each.behind > 0)

    async def _prove(self, *, resting: bool = False) -> None:
        """Ask those for their chain that have not told it yet; those that are left alone only if told so."""
        if not self._probed:
            await self.probe()
            return
        now_ms = self._clock.now_ms()
        unproven = [each for each in self._providers if each.head is None and not each.wrong_chain]
        asked = [each for each in unproven if resting or each.rests_until_ms <= now_ms]
        await asyncio.gather(*(self._probe_one(each) for each in asked))

    def _unusable(self, provider: _Provider[NodeT], now_ms: int) -> bool:
        return provider.head is None or provider.wrong_chain or provider.rests_until_ms > now_ms

    async def _ask_one(self, provider: _Provider[NodeT], ask: Callable[[NodeT], Awaitable[T]]) -> T | ChainError:
        if provider.head is None:
            return ProviderFailed(Failure.UNREACHABLE, provider.error or "has not told its chain")
        try:
            answer = await ask(provider.node)
        except ProviderFailed as failed:
            self._failed(provider, failed)
            return failed
        except ChainError as refused:
            return refused
        self._worked(provider)
        return answer

    async def _probe_one(self, provider: _Provider[NodeT]) -> None:
        began_ms = self._clock.now_ms()
        try:
            head = await self._probe(provider.node)
        except ProviderFailed as failed:
            provider.wrong_chain = failed.failure is Failure.WRONG_CHAIN
            self._failed(provider, failed)
        except ChainError as refused:
            self._failed(provider, ProviderFailed(Failure.MALFORMED, f"refuses to tell its head: {refused}"))
        else:
            provider.head, provider.latency_ms = head, self._clock.now_ms() - began_ms
            provider.wrong_chain = False
            self._worked(provider)

    def _worked(self, provider: _Provider[NodeT]) -> None:
        provider.failures = provider.rests = provider.rests_until_ms = 0
        provider.error = None

    def _failed(self, provider: _Provider[NodeT], failed: ProviderFailed) -> None:
        provider.failures += 1
        provider.error = str(failed)
        rest = failed.retry_after_seconds
        if provider.failures >= self._policy.breaker_failures:
            rest = max(rest, self._policy.first_rest_seconds * 2**provider.rests)
            provider.rests = min(provider.rests + 1, 10)
        if rest:
            rest = min(rest, self._policy.most_rest_seconds)
            provider.rests_until_ms = self._clock.now_ms() + round(rest * 1000)
        log.warning("chain.provider_failed", chain=self.chain, provider=provider.name, reason=str(failed))
