"""What moved from and to wallets, in pages that stay as they are while the chain grows; of Bitcoin as `bitcoin_activity.py` reads it, of Solana as
`solana_activity.py` does.

On EVM chains it is read from the chain each time, in ranges of blocks that grow while nodes answer them quickly. A page ends where it has cost enough, full or not, and the
next one goes on from there. What was sent from here and stands in no block comes above all blocks (`own_movements.py`).
"""

import asyncio
from collections.abc import Sequence

from core.clock import Clock
from core.paging import Page, PageRequest
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
from services.bitcoin_activity import BitcoinActivity
from services.chain_failures import refused
from services.chains import Chains
from services.forward_pages import begins_above
from services.own_movements import HIGHEST, OwnMovements
from services.solana_activity import SolanaActivity
from services.sparse_paging import SparseHistory, Stretch, read_sparse_page
from services.tokens import Tokens
from services.wallet_balances import wanted_chain

_FIRST_BLOCKS, _MOST_BLOCKS, _GROWTH = 1_000, 100_000, 4
"""Of one range."""
_QUICK_SECONDS = 1.0
_MOST_RANGES, _ENOUGH_SECONDS = 16, 6.0
"""After so much no further range is begun."""
_ANSWER_SECONDS = 15.0


class WalletActivity:
    """One per process."""

    def __init__(
        self, chains: Chains, tokens: Tokens, clock: Clock, *, answer_seconds: float = _ANSWER_SECONDS
    ) -> None:
        self._chains = chains
        self._tokens = tokens
        self._clock = clock
        self._reader = ActivityReader()
        self.own = OwnMovements(tokens, clock)
        self._answer_seconds = answer_seconds

    async def page(
        self, family: ChainFamily, address: str, chain: str, order: TimeOrder, request: PageRequest
    ) -> Page[WalletMovement]:
        """A page of an address (of EVM chains by EIP-55) on a chain. One that ends early has the cursor from which to go on.

        Raises InvalidInput for a foreign cursor; WalletRefused for a chain that is unknown, of another family or does not answer in time.
        """
        entry = wanted_chain(self._chains.entries, family, chain, field=["chain"])
        try:
            async with asyncio.timeout(self._answer_seconds):
                if family is ChainFamily.BITCOIN:
                    sent = await self.own.of_bitcoin(entry, address) if begins_above(request) else ()
                    return await self._bitcoin(entry).page(address, order, request, sent)
                if family is ChainFamily.SOLANA:
                    client = self._chains.solana(chain)
                    sent = await self.own.of_solana(client, entry, address) if begins_above(request) else ()
                    return await SolanaActivity(client, entry, self._tokens).page(address, order, request, sent)
                return await self._read(self._chains.evm(chain), entry, address, order, request)
        except TimeoutError as error:
            raise refused(ChainUnavailable(entry.key, {"all": "late"}), field=["chain"]) from error
        except ChainError as error:
            raise refused(error, field=["chain"]) from error

    async def newest(self, entry: ChainEntry, address: str, size: int) -> Page[WalletMovement]:
        """What a chain of Bitcoin's or Solana's kind tells of an address by itself: what waits, and so many rows of blocks. Raises WalletRefused."""
        try:
            async with asyncio.timeout(self._answer_seconds):
                if entry.family is ChainFamily.BITCOIN:
                    return await self._bitcoin(entry).newest(address, size)
                solana = SolanaActivity(self._chains.solana(entry.key), entry, self._tokens)
                return await solana.page(address, TimeOrder.NEWEST_FIRST, PageRequest(first=size))
        except TimeoutError as error:
            raise refused(ChainUnavailable(entry.key, {"all": "late"})) from error
        except ChainError as error:
            raise refused(error) from error

    def _bitcoin(self, entry: ChainEntry) -> BitcoinActivity:
        return BitcoinActivity(self._chains.bitcoin(entry.key), entry, self._tokens.coin(entry.key))

    async def _read(
        self, client: EvmClient, entry: ChainEntry, address: str, order: TimeOrder, request: PageRequest
    ) -> Page[WalletMovement]:
        head = await client.block()
        if head is None:
            raise ChainUnavailable(entry.key, {"all": "has no newest block"})

        ranges = _Ranges(client, self._reader, address, head.number, self._clock)

        async def fetch(low: int, high: int, downwards: bool) -> Stretch[Movement | WalletMovement]:
            """Blocks, and above them what is in none."""
            above = (head.number + 1) * SLOTS
            rows: Sequence[Movement] = ()
            start = max(low, above)
            if high <= above or (low < above and not downwards):
                found = await ranges.fetch(low, min(high, above), downwards)
                rows, start = found.rows, found.low
                if high <= above or found.high < above:
                    return Stretch(rows, start, found.high)
            own = [
                each
                for each in await self.own.of_evm(client, entry, address)
                if above <= each.place and low <= each.place < high
            ]
            return Stretch([*rows, *own], start, high)

        history: SparseHistory[Movement | WalletMovement] = SparseHistory(
            low=0,
            high=HIGHEST,
            fetch=fetch,
            place=lambda each: each.place,
            may_go_on=ranges.may_go_on,
        )
        page = await read_sparse_page(history, order, request)
        rows = await self._told(client, entry, address, head, page.items)
        return Page(rows, page.has_next, page.has_previous, start=page.start, end=page.end)

    async def _told(
        self,
        client: EvmClient,
        entry: ChainEntry,
        address: str,
        head: EvmBlock,
        listed: Sequence[Movement | WalletMovement],
    ) -> list[WalletMovement]:
        found = [each for each in listed if isinstance(each, Movement)]
        contracts = {each.contract for each in found if each.contract is not None}
        described = await asyncio.gather(*(self._tokens.describe(entry.key, each) for each in sorted(contracts)))
        tokens: dict[str | None, TokenState] = {token.contract: token for token in described}
        tokens[None] = self._tokens.coin(entry.key)
        blocks = await _blocks(client, found)
        rows = []
        for each in listed:
            if isinstance(each, WalletMovement):
                rows.append(each)
                continue
            block = blocks[each.block, each.block_hash]
            time_ms = None if block is None else block.time_ms
            rows.append(as_seen(address, entry, tokens[each.contract], each, head=head.number, time_ms=time_ms))
        return rows


class _Ranges:
    """The ranges of blocks that one page is read in."""

    def __init__(self, client: EvmClient, reader: ActivityReader, address: str, head: int, clock: Clock) -> None:
        self._client = client
        self._reader = reader
        self._address = address
        self._head = head
        self._clock = clock
        self._began = clock.monotonic()
        self._count = 0
        self._blocks = _FIRST_BLOCKS

    def may_go_on(self) -> bool:
        """Whether the page has not cost enough yet."""
        return self._count < _MOST_RANGES and self._clock.monotonic() - self._began < _ENOUGH_SECONDS

    async def fetch(self, low: int, high: int, downwards: bool) -> Stretch[Movement]:
        """Of the places [low, high), as many as one range of blocks has."""
        first, last = low // SLOTS, min((high - 1) // SLOTS, self._head)
        if downwards:
            first = max(first, last - self._blocks + 1)
        else:
            last = min(last, first + self._blocks - 1)
        self._count += 1
        began = self._clock.monotonic()
        looked = await self._client.pool.use(
            lambda node: self._reader.look(node, self._address, first, last, downwards=downwards)
        )
        if self._clock.monotonic() - began < _QUICK_SECONDS:
            self._blocks = min(self._blocks * _GROWTH, _MOST_BLOCKS)
        seen_low, seen_high = max(low, looked.low * SLOTS), min(high, (looked.high + 1) * SLOTS)
        return Stretch([each for each in looked.moved if seen_low <= each.place < seen_high], seen_low, seen_high)


def as_seen(
    address: str, entry: ChainEntry, token: TokenState, moved: Movement, *, head: int, time_ms: int | None
) -> WalletMovement:
    """A movement as the wallet of this address sees it. `time_ms`: of its block; None: that was given up."""
    confirmations = 0 if time_ms is None else max(0, head - moved.block + 1)
    if moved.sender == moved.to:
        direction = TransferDirection.SELF
    else:
        direction = TransferDirection.IN if moved.to == address else TransferDirection.OUT
    return WalletMovement(
        place=moved.place,
        hash=moved.hash,
        part=moved.part,
        direction=direction,
        token=token,
        units=moved.units,
        counterparty=moved.sender if direction is TransferDirection.IN else moved.to,
        status=_status(entry, moved, confirmations, is_given_up=time_ms is None),
        confirmations=confirmations,
        time_ms=time_ms,
    )


def _status(entry: ChainEntry, moved: Movement, confirmations: int, *, is_given_up: bool) -> ChainTxStatus:
    if is_given_up:
        return ChainTxStatus.REVERTED
    if moved.failed:
        return ChainTxStatus.FAILED
    return ChainTxStatus.FINAL if confirmations >= entry.final_after else ChainTxStatus.CONFIRMED


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
