"""What moves from and to an account's wallets, as it happens: what is not final yet, then every new movement and what becomes of each.

EVM chains are read block by block for all wallets at once (`wallet_following.py`), others wallet by wallet (`wallet_polling.py`). What was sent from here is told from
when it was sent (`wallet_sent.py`), until the chain has it.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from core.bus import Bus, BusItem
from core.clock import Clock
from core.refusals import WalletRefused
from core.vocabulary import ChainFamily
from core.wallet_vocabulary import ChainTxStatus, WalletErrorCode
from events.account import account_topic
from events.wallet import WalletMovement
from integrations.chains.errors import ChainError, ChainUnavailable
from models import wallet
from models.chain import ChainEntry
from models.wallet import WalletDocument
from services.chain_failures import refused
from services.chains import Chains
from services.own_movements import joined
from services.tokens import Tokens
from services.wallet_activity import WalletActivity
from services.wallet_following import ChainFollower, Pause, TooManyFollowed, TooMuchMoves
from services.wallet_polling import PAGE, PolledFollower, PollPace
from services.wallet_sent import SentRows

Mark = tuple[ChainTxStatus, int]
Watched = tuple[str, str]
"""A chain and a wallet's id."""


_PACES = {
    ChainFamily.BITCOIN: PollPace(seconds=15, most=500),
    ChainFamily.SOLANA: PollPace(seconds=30, most=50),
}
"""A look costs some two questions on Bitcoin, on Solana some seventy: there each token account has a history of its own."""


class Follower(Protocol):
    """Follows addresses of one chain for whoever joins."""

    entry: ChainEntry

    async def join(self, address: str, turn: asyncio.Event) -> None:
        """Raises ChainError, WalletRefused, TooManyFollowed; then nothing is followed."""
        ...

    def leave(self, address: str, turn: asyncio.Event) -> None: ...

    async def movements(self, address: str) -> Sequence[WalletMovement]:
        """Raises ChainError, WalletRefused, TooMuchMoves."""
        ...

    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class WalletMoved:
    """A movement as its wallet sees it now."""

    wallet: WalletDocument
    movement: WalletMovement


@dataclass(slots=True)
class _Reader:
    """One stream: its wallets, what it has told of each, and its turn."""

    turn: asyncio.Event
    sent: SentRows
    changed: bool = True
    ended: bool = False
    wallets: dict[Watched, WalletDocument] = field(default_factory=dict)
    told: dict[Watched, dict[tuple[str, str], Mark]] = field(default_factory=dict)


class WalletStreams:
    """One per process."""

    def __init__(
        self,
        chains: Chains,
        tokens: Tokens,
        activity: WalletActivity,
        *,
        bus: Bus,
        clock: Clock,
        pause: Pause = asyncio.sleep,
    ) -> None:
        self._bus = bus
        self._own = activity.own
        self._followers: dict[str, Follower] = {
            key: ChainFollower(chains.entries[key], client, tokens, clock, pause)
            for key, client in chains.evm_clients().items()
        }
        for key, entry in chains.entries.items():
            if entry.family in _PACES and chains.configured(key):
                read = partial(activity.newest, entry, size=PAGE)
                self._followers[key] = PolledFollower(entry, read, _PACES[entry.family], clock, pause)

    async def close(self) -> None:
        for follower in self._followers.values():
            await follower.close()

    async def watch(self, user_id: str, wallet_id: str | None) -> AsyncGenerator[WalletMoved, None]:
        """Of one wallet, until it is unlinked; None: of all of the account that there are at any time.

        Raises WalletRefused: UNKNOWN_WALLET, PROVIDER_UNAVAILABLE, LIMIT_EXCEEDED; NOT_ENABLED where no node knows addresses of its chain.
        """
        found = await _wanted(user_id, wallet_id)
        if wallet_id is not None and not found:
            raise WalletRefused("you have no such wallet", reason=WalletErrorCode.UNKNOWN_WALLET, field=["walletId"])
        if not self._followers or (found and not self._of(found)):
            raise refused(ChainUnavailable("-", {}))
        turn = asyncio.Event()
        reader = _Reader(turn, SentRows(self._own, self._bus, turn))
        async with self._bus.subscribe(account_topic(user_id)) as happened:
            listening = asyncio.create_task(_listen(aiter(happened), reader))
            try:
                while not reader.ended:
                    reader.turn.clear()
                    if reader.changed:
                        reader.changed = False
                        found = await _wanted(user_id, wallet_id)
                        if wallet_id is not None and not found:
                            return
                        await self._join(reader, found, leaves_out=wallet_id is None)
                    for moved in await self._news(reader):
                        yield moved
                    await reader.turn.wait()
            finally:
                listening.cancel()
                reader.sent.close()
                self._leave(reader, list(reader.wallets))
                with suppress(asyncio.CancelledError):
                    await listening

    async def _join(self, reader: _Reader, found: Sequence[WalletDocument], *, leaves_out: bool) -> None:
        """Follow these wallets on every chain, and no others; `leaves_out`: but those that cannot be followed now, while others can."""
        wanted = self._of(found)
        self._leave(reader, [each for each in reader.wallets if each not in wanted])
        for watched, each in wanted.items():
            if watched in reader.wallets:
                reader.wallets[watched] = each
                continue
            try:
                await self._followers[watched[0]].join(each.address, reader.turn)
            except WalletRefused as refusal:
                if refusal.reason is WalletErrorCode.NOT_ENABLED and leaves_out and len(wanted) > 1:
                    continue
                raise
            except ChainError as error:
                raise refused(error) from error
            except TooManyFollowed:
                if leaves_out and len(wanted) > 1:
                    continue
                text = "too many wallets are followed at the moment; read the list instead, or try again later"
                raise WalletRefused(text, reason=WalletErrorCode.LIMIT_EXCEEDED) from None
            reader.wallets[watched], reader.told[watched] = each, {}
        reader.sent.follow({each.address for each in reader.wallets.values()})

    def _of(self, found: Sequence[WalletDocument]) -> dict[Watched, WalletDocument]:
        """These wallets on every chain of their families that can be followed."""
        followers = self._followers.items()
        return {(key, each.id): each for each in found for key, of in followers if of.entry.family is each.family}

    def _leave(self, reader: _Reader, gone: Sequence[Watched]) -> None:
        for watched in gone:
            self._followers[watched[0]].leave(reader.wallets.pop(watched).address, reader.turn)
            del reader.told[watched]

    async def _news(self, reader: _Reader) -> list[WalletMoved]:
        """What is new, or different from what was told."""
        news = []
        for watched, each in reader.wallets.items():
            follower, told = self._followers[watched[0]], reader.told[watched]
            try:
                movements = await follower.movements(each.address)
            except ChainError as error:
                raise refused(error) from error
            except TooMuchMoves:
                text = "more moves from and to this wallet than can be followed; read the list instead"
                raise WalletRefused(text, reason=WalletErrorCode.LIMIT_EXCEEDED) from None
            movements = joined(movements, await reader.sent.movements(follower.entry, each.address))
            marks = {_key(moved): _mark(moved, follower.entry) for moved in movements}
            news += [WalletMoved(each, moved) for moved in movements if told.get(_key(moved)) != marks[_key(moved)]]
            reader.told[watched] = marks
        return news


def _key(moved: WalletMovement) -> tuple[str, str]:
    return moved.hash, moved.part


def _mark(moved: WalletMovement, entry: ChainEntry) -> Mark:
    """What tells a state of a movement from another; final ones stay as they are."""
    return moved.status, min(moved.confirmations, entry.final_after)


async def _listen(happened: AsyncIterator[BusItem], reader: _Reader) -> None:
    """Whatever happens to the account may be that it has other wallets."""
    async for _ in happened:
        reader.changed = True
        reader.turn.set()
    reader.ended = True
    reader.turn.set()


async def _wanted(user_id: str, wallet_id: str | None) -> list[WalletDocument]:
    """The account's wallet of this id, or all of them."""
    return [each for each in await wallet.of_user(user_id) if wallet_id in (None, each.id)]
