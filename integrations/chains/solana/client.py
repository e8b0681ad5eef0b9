"""Solana over several nodes: what is there, what is going on, and sending.

Every method says at which commitment it asks. What a node may be wrong about alone, and money hangs on, is asked of all of them
(`agreed_transaction`, `signatures_since`, and `outcomes.py`).
"""

from collections.abc import Mapping, Sequence

from core.clock import Clock
from integrations.chains.errors import (
    ChainError,
    ChainUnavailable,
    Failure,
    NodeRefused,
    NodesContradict,
    ProviderFailed,
)
from integrations.chains.http import NodeLimits
from integrations.chains.json_rpc import JsonRpc
from integrations.chains.pool import Head, PoolPolicy, ProviderPool
from integrations.chains.reserves import ChainReserves
from integrations.chains.shapes import as_list, malformed
from integrations.chains.solana import reading
from integrations.chains.solana.errors import ProblemCode, TransactionRefused
from integrations.chains.solana.fees import speeds
from integrations.chains.solana.listing import Listing, merged
from integrations.chains.solana.messages import (
    Account,
    Block,
    Blockhash,
    ChainTransaction,
    Commitment,
    Holdings,
    PriorityFees,
    SignatureRecord,
    SignatureStatus,
    Simulation,
    Tip,
)
from integrations.chains.solana.node import (
    MOST_RECORDS,
    block_of,
    call,
    first_slot_of,
    history_of,
    holdings_of,
    programs_of,
    records_of,
    reserves_of,
    send_to,
    simulate_at,
    statuses_of,
    tip_of,
    transaction_of,
)

POLICY = PoolPolicy(most_behind=50)
"""Slots are short: good nodes are some seconds apart, 50 slots are 20 s."""
MOST_ACCOUNTS = 100
"""Of getMultipleAccounts."""
MOST_FEE_ACCOUNTS = 128
"""Of getRecentPrioritizationFees."""
MOST_STATUSES = 256
"""Of getSignatureStatuses."""


class SolanaClient:
    """The nodes of one Solana chain: (name, URL) in order of preference.

    `genesis`: the hash of its first block, by which a node shows what chain it is of (None: not checked). All questions raise ChainUnavailable when
    no node answers.
    """

    def __init__(
        self,
        chain: str,
        nodes: Sequence[tuple[str, str]],
        *,
        genesis: str | None,
        clock: Clock,
        limits: NodeLimits | None = None,
        policy: PoolPolicy | None = None,
    ) -> None:
        self.chain = chain
        self._genesis = genesis
        connected = [(name, JsonRpc(url, limits)) for name, url in nodes]
        self.pool = ProviderPool(chain, connected, self._tell_head, clock=clock, policy=policy or POLICY)

    async def close(self) -> None:
        await self.pool.close()

    def head(self) -> Head | None:
        """The newest slot that a node told when it was last probed."""
        return self.pool.head()

    async def holdings(self, address: str, commitment: Commitment = Commitment.CONFIRMED) -> Holdings:
        """Lamports and token accounts, of SPL Token and Token-2022. Decimals are the node's word."""
        return await self.pool.use(lambda node: holdings_of(node, address, commitment))

    async def reserves_of_all(self, addresses: Sequence[str]) -> Mapping[str, ChainReserves | ChainError]:
        """What every node says that these addresses own, by its name, so that nothing can undo it (finalized)."""
        return await self.pool.ask_all(lambda node: reserves_of(node, addresses))

    async def lamports(self, address: str, commitment: Commitment = Commitment.CONFIRMED) -> int:
        """The balance of an address; 0 for one that does not exist."""

        async def ask(node: JsonRpc) -> int:
            answer = await call(node, "getBalance", address, {"commitment": commitment})
            return reading.as_u64(reading.in_context(answer, "balance")[1], "balance")

        return await self.pool.use(ask)

    async def accounts(
        self, addresses: Sequence[str], commitment: Commitment = Commitment.CONFIRMED
    ) -> list[Account | None]:
        """Accounts in the order asked for, at most 100; None where there is none."""
        if len(addresses) > MOST_ACCOUNTS:
            raise ValueError(f"at most {MOST_ACCOUNTS} accounts at once")
        options = {"commitment": commitment, "encoding": "base64"}

        async def ask(node: JsonRpc) -> list[Account | None]:
            answer = await call(node, "getMultipleAccounts", list(addresses), options)
            found = as_list(reading.in_context(answer, "accounts")[1], "accounts")
            if len(found) != len(addresses):
                raise malformed("accounts", f"{len(addresses)} of them")
            return [reading.account(each) for each in found]

        return await self.pool.use(ask)

    async def rent_minimum(self, data_bytes: int) -> int:
        """The least lamports that an account with so much data must hold; 0 for a wallet."""

        async def ask(node: JsonRpc) -> int:
            return reading.as_u64(await call(node, "getMinimumBalanceForRentExemption", data_bytes), "rent")

        return await self.pool.use(ask)

    async def latest_blockhash(self, commitment: Commitment = Commitment.CONFIRMED) -> Blockhash:
        """The hash that a new transaction lives by: about a minute."""

        async def ask(node: JsonRpc) -> Blockhash:
            return reading.blockhash(await call(node, "getLatestBlockhash", {"commitment": commitment}))

        return await self.pool.use(ask)

    async def tip(self, commitment: Commitment) -> Tip:
        """Slot and height of the newest block."""
        return await self.pool.use(lambda node: tip_of(node, commitment))

    async def common_tip(self, commitment: Commitment, *, witnesses: int = 2) -> Tip:
        """The newest block that all nodes have which answer, `witnesses` at least (or all, where fewer are configured). Raises ChainUnavailable."""
        answers = await self.pool.ask_all(lambda node: tip_of(node, commitment))
        told = [each for each in answers.values() if isinstance(each, Tip)]
        if len(told) < self._needed(witnesses):
            raise self.unavailable({name: each for name, each in answers.items() if isinstance(each, ChainError)})
        return min(told, key=lambda tip: tip.slot)

    async def priority_fees(self, writable: Sequence[str]) -> PriorityFees:
        """What to pay for a transaction that writes to these accounts (the first 128 count), in three speeds."""
        asked = list(writable)[:MOST_FEE_ACCOUNTS]

        async def ask(node: JsonRpc) -> PriorityFees:
            return speeds(reading.priority_fees(await call(node, "getRecentPrioritizationFees", asked)))

        return await self.pool.use(ask)

    async def simulate(self, raw: bytes, commitment: Commitment = Commitment.CONFIRMED) -> Simulation:
        """What would come of a transaction, signed or not. Raises UnreadableTransaction, TransactionRefused."""
        programs_of(raw)
        return await self.pool.use(lambda node: simulate_at(node, raw, commitment))

    async def send(self, raw: bytes, preflight: Commitment = Commitment.CONFIRMED) -> str:
        """The signature of a transaction that at least one node has taken. Every node gets it: it can land once only.

        That a node took it promises nothing (`outcomes.py`). Raises UnreadableTransaction; TransactionRefused when all that answer refuse, which
        says nothing of what an earlier sending did; ChainUnavailable when none answers: it may be on its way all the same.
        """
        programs_of(raw)
        answers = await self.pool.ask_all(lambda node: send_to(node, raw, preflight))
        for answer in answers.values():
            if isinstance(answer, str):
                return answer
        refusals = [each for each in answers.values() if isinstance(each, TransactionRefused)]
        if refusals:
            raise min(refusals, key=_least_telling_last)
        raise self.unavailable(answers)

    async def statuses(
        self, signatures: Sequence[str], *, search_history: bool = False
    ) -> list[SignatureStatus | None]:
        """How far transactions are, by the first node that answers; None: not known to it. For the fate of money see `outcomes.py`."""
        if len(signatures) > MOST_STATUSES:
            raise ValueError(f"at most {MOST_STATUSES} signatures at once")
        _, found = await self.pool.use(lambda node: statuses_of(node, signatures, search_history=search_history))
        return found

    async def transaction(
        self, signature: str, commitment: Commitment = Commitment.CONFIRMED
    ) -> ChainTransaction | None:
        """A transaction, by the first node that answers; None: not known to it (yet)."""
        return await self.pool.use(lambda node: transaction_of(node, signature, commitment))

    async def agreed_transaction(
        self, signature: str, commitment: Commitment = Commitment.FINALIZED, *, witnesses: int = 2
    ) -> ChainTransaction | None:
        """A transaction that this many nodes tell alike (or all, where fewer are configured); None while they do not.

        A node that does not know it does not contradict: it may be behind. Raises NodesContradict when two tell it differently.
        """
        answers = await self.pool.ask_all(lambda node: transaction_of(node, signature, commitment))
        if all(isinstance(each, ChainError) for each in answers.values()):
            raise self.unavailable(answers)
        told = [each for each in answers.values() if isinstance(each, ChainTransaction)]
        if any(each != told[0] for each in told):
            raise NodesContradict(f"nodes of {self.chain} tell transaction {signature} differently")
        return told[0] if len(told) >= self._needed(witnesses) else None

    async def signatures_for(
        self,
        address: str,
        *,
        before: str | None = None,
        until: str | None = None,
        limit: int = MOST_RECORDS,
        commitment: Commitment = Commitment.CONFIRMED,
    ) -> list[SignatureRecord]:
        """A page of an address's history, the newest first: older than `before`, newer than `until`.

        A node that does not know `before` answers with nothing, as if history ended there: what must be complete uses `signatures_since`.
        """
        return await self.pool.use(
            lambda node: records_of(node, address, commitment, before=before, until=until, limit=limit)
        )

    async def signatures_since(
        self,
        addresses: Sequence[str],
        slot: int,
        commitment: Commitment = Commitment.FINALIZED,
        *,
        again: int = 0,
        witnesses: int = 2,
    ) -> Listing:
        """All that happened to these addresses from a slot on, by all nodes together: what one of them omits another tells.

        `again`: so many slots before it are read once more, since a node may list a transaction later than it counts its block. A node that has dropped
        the slot does not count. Raises ChainUnavailable when fewer than `witnesses` answer (or than all, where fewer are configured).
        """

        async def ask(node: JsonRpc) -> tuple[Tip, list[SignatureRecord]]:
            tip = await tip_of(node, commitment)
            if await first_slot_of(node) > slot:
                raise ProviderFailed(Failure.BEHIND, f"has dropped its history of slot {slot}")
            found: list[SignatureRecord] = []
            for address in addresses:
                found += await history_of(node, address, commitment, since_slot=max(0, slot - again))
            return tip, found

        answers = await self.pool.ask_all(ask)
        told = [each for each in answers.values() if not isinstance(each, ChainError)]
        needed = self._needed(witnesses)
        if len(told) < needed:
            raise self.unavailable({name: each for name, each in answers.items() if isinstance(each, ChainError)})
        return merged(told, needed)

    async def block(self, slot: int, commitment: Commitment = Commitment.FINALIZED) -> Block | None:
        """The block of a slot with its signatures; None for a slot without one."""
        return await self.pool.use(lambda node: block_of(node, slot, commitment))

    async def request_airdrop(self, address: str, lamports: int) -> str:
        """Coins of a test network: the signature that brings them. Raises NodeRefused where there are none."""

        async def ask(node: JsonRpc) -> str:
            return reading.as_signature(await call(node, "requestAirdrop", address, lamports), "signature")

        return await self.pool.use(ask)

    def unavailable(self, answers: Mapping[str, object]) -> ChainUnavailable:
        """No node answered: what each said, and why others were not asked."""
        told = {state.name: state.error or "was not asked" for state in self.pool.states()}
        return ChainUnavailable(self.chain, told | {name: str(answer) for name, answer in answers.items()})

    def _needed(self, witnesses: int) -> int:
        """How many nodes must say something; one of another chain says nothing, and is missed all the same."""
        return max(1, min(witnesses, len(self.pool.states())))

    async def _tell_head(self, node: JsonRpc) -> Head:
        if self._genesis is not None:
            told = reading.as_blockhash(await call(node, "getGenesisHash"), "genesis")
            if told != self._genesis:
                raise ProviderFailed(Failure.WRONG_CHAIN, f"is of the chain that began with {told}")
        slot = reading.as_u64(await call(node, "getSlot", {"commitment": Commitment.CONFIRMED}), "slot")
        try:
            time_ms = reading.as_time_ms(await call(node, "getBlockTime", slot), "block time")
        except NodeRefused:
            time_ms = None
        return Head(slot, time_ms)


def _least_telling_last(refused: TransactionRefused) -> int:
    """A node that is behind does not know the blockhash yet: any other reason tells more. That it is on the chain already tells most."""
    order = {ProblemCode.ALREADY_KNOWN: 0, ProblemCode.TRANSACTION_EXPIRED: 2}
    return order.get(refused.problem.code, 1)
