"""What moves from and to an account's wallets on EVM chains, as it happens: what is not final yet, then every new movement and what becomes of each."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from core.bus import Bus, BusItem
from core.clock import Clock
from core.refusals import WalletRefused
from core.vocabulary import ChainFamily
from core.wallet_vocabulary import ChainTxStatus, WalletErrorCode
from events.account import account_topic
from events.wallet import WalletMovement
from integrations.chains.errors import ChainError, ChainUnavailable
from models import wallet
from models.wallet import WalletDocument
from services.chain_failures import refused
from services.chains import Chains
from services.tokens import Tokens
from services.wallet_activity import as_seen
from services.wallet_following import ChainFollower, Followed, Pause, TooManyFollowed, TooMuchMoves

Mark = tuple[ChainTxStatus, int]
Watched = tuple[str, str]
"""A chain and a wallet's id."""


@dataclass(frozen=True, slots=True)
class WalletMoved:
    """A movement as its wallet sees it now."""

    wallet: WalletDocument
    movement: WalletMovement


@dataclass(slots=True)
class _Reader:
    """One stream: its wallets, what it has told of each, and its turn."""

    turn: asyncio.Event = field(default_factory=asyncio.Event)
    changed: bool = True
    ended: bool = False
    wallets: dict[Watched, WalletDocument] = field(default_factory=dict)
    told: dict[Watched, dict[tuple[str, str], Mark]] = field(default_factory=dict)


class WalletStreams:
    """One per process."""

    def __init__(self, chains: Chains, tokens: Tokens, bus: Bus, clock: Clock, pause: Pause = asyncio.sleep) -> None:
        self._tokens = tokens
        self._bus = bus
        self._followers: Mapping[str, ChainFollower] = {
            key: ChainFollower(chains.entries[key], client, clock, pause)
            for key, client in chains.evm_clients().items()
        }

    async def close(self) -> None:
        for follower in self._followers.values():
            await follower.close()

    async def watch(self, user_id: str, wallet_id: str | None) -> AsyncGenerator[WalletMoved, None]:
        """Of one wallet, until it is unlinked; None: of all of the account that there are at any time.

        Raises WalletRefused: UNKNOWN_WALLET; NOT_ENABLED for one that is not of EVM chains; PROVIDER_UNAVAILABLE, LIMIT_EXCEEDED.
        """
        if wallet_id is not None and not await _wanted(user_id, wallet_id):
            raise WalletRefused("you have no such wallet", reason=WalletErrorCode.UNKNOWN_WALLET, field=["walletId"])
        if not self._followers:
            raise refused(ChainUnavailable("ethereum", {}))
        reader = _Reader()
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
                        await self._join(reader, found)
                    for moved in await self._news(reader):
                        yield moved
                    await reader.turn.wait()
            finally:
                listening.cancel()
                self._leave(reader, list(reader.wallets))
                with suppress(asyncio.CancelledError):
                    await listening

    async def _join(self, reader: _Reader, found: Sequence[WalletDocument]) -> None:
        """Follow these wallets on every chain, and no others."""
        wanted = {(chain, each.id): each for chain in self._followers for each in found}
        self._leave(reader, [each for each in reader.wallets if each not in wanted])
        for watched, each in wanted.items():
            if watched in reader.wallets:
                reader.wallets[watched] = each
                continue
            try:
                await self._followers[watched[0]].join(each.address, reader.turn)
            except ChainError as error:
                raise refused(error) from error
            except TooManyFollowed:
                text = "too many wallets are followed at the moment; read the list instead, or try again later"
                raise WalletRefused(text, reason=WalletErrorCode.LIMIT_EXCEEDED) from None
            reader.wallets[watched], reader.told[watched] = each, {}

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
                rows = follower.rows(each.address)
                for row in rows:
                    movement = await self._seen(follower, each, row)
                    mark = (movement.status, min(movement.confirmations, follower.entry.final_after))
                    if told.get(row.key) != mark:
                        told[row.key] = mark
                        news.append(WalletMoved(each, movement))
            except ChainError as error:
                raise refused(error) from error
            except TooMuchMoves:
                text = "more moves from and to this wallet than can be followed; read the list instead"
                raise WalletRefused(text, reason=WalletErrorCode.LIMIT_EXCEEDED) from None
            reader.told[watched] = {row.key: told[row.key] for row in rows}
        return news

    async def _seen(self, follower: ChainFollower, of: WalletDocument, row: Followed) -> WalletMovement:
        chain, contract = follower.entry.key, row.moved.contract
        token = self._tokens.coin(chain) if contract is None else await self._tokens.describe(chain, contract)
        return as_seen(of.address, follower.entry, token, row.moved, head=follower.head, time_ms=row.time_ms)


async def _listen(happened: AsyncIterator[BusItem], reader: _Reader) -> None:
    """Whatever happens to the account may be that it has other wallets."""
    async for _ in happened:
        reader.changed = True
        reader.turn.set()
    reader.ended = True
    reader.turn.set()


async def _wanted(user_id: str, wallet_id: str | None) -> list[WalletDocument]:
    """The account's wallet of this id, or all that are of EVM chains. Raises WalletRefused with NOT_ENABLED."""
    own = await wallet.of_user(user_id)
    if wallet_id is None:
        return [each for each in own if each.family is ChainFamily.EVM]
    found = [each for each in own if each.id == wallet_id]
    if found and found[0].family is not ChainFamily.EVM:
        text = "this is possible for wallets of EVM chains only"
        raise WalletRefused(text, reason=WalletErrorCode.NOT_ENABLED, field=["walletId"])
    return found
