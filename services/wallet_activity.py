"""What moved from and to wallets on EVM chains, in pages that stay as they are while the chain grows.

It is read from the chain each time: a page looks at MOST_BLOCKS blocks from where it starts, and no further.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from core.paging import Page, PageRequest, number_cursor
from core.vocabulary import ChainFamily, TimeOrder
from core.wallet_vocabulary import ChainTxStatus, TransferDirection
from events.token import TokenState
from events.wallet import WalletMovement
from integrations.chains.errors import ChainError, ChainUnavailable, NodeRefused
from integrations.chains.evm.activity import SLOTS, ActivityReader, Movement
from integrations.chains.evm.client import EvmClient
from integrations.chains.evm.messages import EvmBlock, read_block
from integrations.chains.json_rpc import Call
from models.chain import ChainEntry
from services.chain_failures import refused
from services.chains import Chains
from services.tokens import Tokens
from services.wallet_balances import wanted_chain
from services.window_paging import History, read_page

MOST_BLOCKS = 20_000
_ANSWER_SECONDS = 15.0


class WalletActivity:
    """One per process."""

    def __init__(self, chains: Chains, tokens: Tokens, *, answer_seconds: float = _ANSWER_SECONDS) -> None:
        self._chains = chains
        self._tokens = tokens
        self._reader = ActivityReader()
        self._answer_seconds = answer_seconds

    async def page(
        self, family: ChainFamily, address: str, chain: str, order: TimeOrder, request: PageRequest
    ) -> Page[WalletMovement]:
        """A page of an address (EIP-55) on a chain; `place` is the cursor.

        Raises InvalidInput for a foreign cursor; WalletRefused for a chain that is unknown, of another family or does not answer in time.
        """
        entry = wanted_chain(self._chains.entries, family, chain, field=["chain"])
        client = self._chains.evm(entry.key)
        try:
            async with asyncio.timeout(self._answer_seconds):
                return await self._read(client, entry, address, order, request)
        except TimeoutError as error:
            raise refused(ChainUnavailable(entry.key, {"all": "late"}), field=["chain"]) from error
        except ChainError as error:
            raise refused(error, field=["chain"]) from error

    async def _read(
        self, client: EvmClient, entry: ChainEntry, address: str, order: TimeOrder, request: PageRequest
    ) -> Page[WalletMovement]:
        head = await client.block()
        if head is None:
            raise ChainUnavailable(entry.key, {"all": "has no newest block"})

        async def fetch(low: int, high: int) -> Sequence[Movement]:
            blocks = (low // SLOTS, min((high - 1) // SLOTS, head.number))
            found = await client.pool.use(lambda node: self._reader.movements(node, address, *blocks))
            return [each for each in found if low <= each.place < high]

        low, high = _range(head.number, request)
        history = History(low=low * SLOTS, high=high * SLOTS, step=SLOTS, fetch=fetch, place=lambda each: each.place)
        page = await read_page(history, order, request)
        rows = await self._told(client, entry, address, head, page.items)
        return Page(items=rows, has_next=page.has_next, has_previous=page.has_previous)

    async def _told(
        self, client: EvmClient, entry: ChainEntry, address: str, head: EvmBlock, found: Sequence[Movement]
    ) -> list[WalletMovement]:
        contracts = {each.contract for each in found if each.contract is not None}
        described = await asyncio.gather(*(self._tokens.describe(entry.key, each) for each in sorted(contracts)))
        tokens: dict[str | None, TokenState] = {token.contract: token for token in described}
        tokens[None] = self._tokens.coin(entry.key)
        seen = _Seen(address, entry, head, tokens, await _blocks(client, found))
        return [seen.movement(each) for each in found]


def _range(head: int, request: PageRequest) -> tuple[int, int]:
    """Blocks from the lowest that is looked at to the one after the highest: so many around the cursor, or up to the newest."""
    cursors = [number_cursor(request.after, "after"), number_cursor(request.before, "before")]
    places = [min(cursor // SLOTS, head) for cursor in cursors if cursor is not None]
    lowest = max(0, min(places, default=head) - MOST_BLOCKS + 1)
    return lowest, min(head, max(places, default=head) + MOST_BLOCKS) + 1


@dataclass(frozen=True, slots=True)
class _Seen:
    """What a wallet's movements are seen with."""

    address: str
    entry: ChainEntry
    head: EvmBlock
    tokens: Mapping[str | None, TokenState]
    blocks: Mapping[tuple[int, str | None], EvmBlock | None]

    def movement(self, moved: Movement) -> WalletMovement:
        """The movement as the wallet sees it."""
        block = self.blocks[moved.block, moved.block_hash]
        confirmations = 0 if block is None else max(0, self.head.number - moved.block + 1)
        if moved.sender == moved.to:
            direction = TransferDirection.SELF
        else:
            direction = TransferDirection.IN if moved.to == self.address else TransferDirection.OUT
        return WalletMovement(
            place=moved.place,
            hash=moved.hash,
            direction=direction,
            token=self.tokens[moved.contract],
            units=moved.units,
            counterparty=moved.sender if direction is TransferDirection.IN else moved.to,
            status=self._status(moved, block, confirmations),
            confirmations=confirmations,
            time_ms=None if block is None else block.time_ms,
        )

    def _status(self, moved: Movement, block: EvmBlock | None, confirmations: int) -> ChainTxStatus:
        if block is None:
            return ChainTxStatus.REVERTED
        if moved.failed:
            return ChainTxStatus.FAILED
        return ChainTxStatus.FINAL if confirmations >= self.entry.final_after else ChainTxStatus.CONFIRMED


async def _blocks(client: EvmClient, found: Sequence[Movement]) -> dict[tuple[int, str | None], EvmBlock | None]:
    """The block of each movement as the chain has it now; None: it was given up."""
    wanted = list(dict.fromkeys((each.block, each.block_hash) for each in found))
    if not wanted:
        return {}
    calls = [Call("eth_getBlockByNumber", [hex(number), False]) for number, _ in wanted]
    told: dict[tuple[int, str | None], EvmBlock | None] = {}
    for place, block in zip(wanted, await client.batch(calls, read_block), strict=True):
        if isinstance(block, NodeRefused):
            raise block
        is_same = block is not None and (place[1] is None or block.hash == place[1])
        told[place] = block if is_same else None
    return told
