"""What the client reads from nodes, and what it makes of those that lag, lie or talk nonsense."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from solders.keypair import Keypair

from core.clock import ManualClock
from integrations.chains.errors import ChainUnavailable, Failure, NodeRefused, ProviderFailed
from integrations.chains.solana.addresses import TOKEN_2022_PROGRAM, TOKEN_PROGRAM
from integrations.chains.solana.client import SolanaClient
from integrations.chains.solana.errors import ProblemCode, TransactionRefused
from integrations.chains.solana.fees import MOST_MICRO_LAMPORTS, speeds
from integrations.chains.solana.listing import MOST_OVERLAP_SLOTS, Listing, merged, since
from integrations.chains.solana.messages import Commitment, PriorityFees, SignatureRecord, Tip
from integrations.chains.solana.transfers import Terms, sol_transfer
from integrations.chains.solana.wire import from_base64
from tests.integrations.chains.solana.conftest import Connect
from tests.integrations.chains.solana.signing import address, payment, signed
from tests.solana_answers import RpcError
from tests.solana_chain import FINAL_BLOCKS, FIRST_SLOT, FIRST_TIME, HASH_BLOCKS, SolanaChain
from tests.solana_node import SolanaNode

SOL = 10**9
DELETED = object()


def says(method: str, value: Any) -> Any:
    """A node that answers a method with this."""
    return lambda asked, params, result: value if asked == method else result


async def test_a_nodes_head_is_its_confirmed_slot_and_its_time(client: SolanaClient, chain: SolanaChain) -> None:
    await client.pool.probe()
    head = client.head()
    confirmed = chain.blocks[-2]
    assert head is not None
    assert (head.number, head.time_ms) == (confirmed.slot, (FIRST_TIME + (confirmed.slot - FIRST_SLOT) * 2 // 5) * 1000)
    (state,) = client.pool.states()
    assert (state.healthy, state.error) == (True, None)


async def test_a_node_that_is_far_behind_is_asked_last(
    chain: SolanaChain, node: SolanaNode, second: SolanaNode, sender: Keypair
) -> None:
    urls = [("first", node.url), ("second", second.url)]
    client = SolanaClient("solana", urls, genesis=chain.genesis, clock=ManualClock())
    for behind, state in ((50, None), (51, "51 blocks behind")):
        chain.advance(60)
        node.behind = behind
        await client.pool.probe()
        assert client.pool.states()[0].error == state
    await client.lamports(address(sender))
    await client.close()
    assert "getBalance" not in node.asked


async def test_a_node_of_another_chain_is_never_used(
    connect: Connect, chain: SolanaChain, node: SolanaNode, second: SolanaNode, sender: Keypair
) -> None:
    other = str(Keypair().pubkey())
    node.twist = says("getGenesisHash", other)
    client = connect(node, second)
    assert await client.lamports(address(sender)) == 10 * SOL
    assert client.pool.states()[0].error == f"is of the chain that began with {other}"
    assert set(node.asked) == {"getGenesisHash"}


async def test_everything_an_address_owns(client: SolanaClient, chain: SolanaChain, sender: Keypair) -> None:
    mints = {
        program: chain.make_token(program, decimals)
        for program, decimals in ((TOKEN_PROGRAM, 6), (TOKEN_2022_PROGRAM, 2))
    }
    for program, mint in mints.items():
        account = chain.mint_to(sender.pubkey(), mint, 2**63, program)
    chain.freeze(account, mints[TOKEN_2022_PROGRAM], TOKEN_2022_PROGRAM)
    chain.advance()
    found = await client.holdings(address(sender))
    assert (found.lamports, found.slot) == (10 * SOL, chain.blocks[-2].slot)
    assert [
        (each.mint, each.amount, each.decimals, each.program, each.frozen, each.associated) for each in found.tokens
    ] == [
        (address(mints[TOKEN_PROGRAM]), 2**63, 6, TOKEN_PROGRAM, False, True),
        (address(mints[TOKEN_2022_PROGRAM]), 2**63, 2, TOKEN_2022_PROGRAM, True, True),
    ]
    nobody = await client.holdings(address(Keypair()))
    assert (nobody.lamports, nobody.tokens) == (0, ())


async def test_each_commitment_sees_its_own_past(client: SolanaClient, chain: SolanaChain, sender: Keypair) -> None:
    raw, _ = await payment(client, sender)
    await client.send(raw)
    seen = [await client.lamports(address(sender), each) for each in Commitment]
    assert seen == [9 * SOL - 5000, 10 * SOL, 0]
    chain.advance()
    assert await client.lamports(address(sender)) == 9 * SOL - 5000
    chain.finalize()
    assert await client.lamports(address(sender), Commitment.FINALIZED) == 9 * SOL - 5000


async def test_accounts_rent_tip_and_blockhash(client: SolanaClient, chain: SolanaChain, sender: Keypair) -> None:
    wallet, nobody = await client.accounts([address(sender), address(Keypair())])
    assert wallet is not None
    assert (wallet.lamports, wallet.executable, wallet.data) == (10 * SOL, False, b"")
    assert nobody is None
    with pytest.raises(ValueError, match="at most"):
        await client.accounts([address(sender)] * 101)
    assert (await client.rent_minimum(0), await client.rent_minimum(165)) == (890_880, 2_039_280)
    final = chain.blocks[-1 - FINAL_BLOCKS]
    assert await client.tip(Commitment.FINALIZED) == Tip(final.slot, final.height)
    found = await client.latest_blockhash()
    confirmed = chain.blocks[-2]
    assert (found.hash, found.slot) == (str(confirmed.hash), confirmed.slot)
    assert found.last_valid_block_height == confirmed.height + HASH_BLOCKS


async def test_blocks_and_slots_without_one(client: SolanaClient, chain: SolanaChain, sender: Keypair) -> None:
    raw, _ = await payment(client, sender)
    signature = await client.send(raw)
    paid, parent = chain.tip, chain.blocks[-2]
    chain.advance(FINAL_BLOCKS + 1, skipped=3)
    found = await client.block(paid.slot)
    assert found is not None
    assert (found.hash, found.parent_hash, found.parent_slot) == (str(paid.hash), str(parent.hash), parent.slot)
    assert (found.signatures, found.height) == ((signature,), paid.height)
    assert await client.block(paid.slot + 1) is None
    with pytest.raises(ChainUnavailable, match="-32004"):
        await client.block(chain.tip.slot)


async def test_history_is_paged_the_newest_first(client: SolanaClient, chain: SolanaChain, sender: Keypair) -> None:
    sent = [await client.send((await payment(client, sender))[0]) for _ in range(5)]
    chain.advance()
    who = address(sender)
    page = await client.signatures_for(who, limit=2)
    assert [each.signature for each in page] == sent[:2:-1]
    rest = await client.signatures_for(who, before=page[-1].signature, until=sent[0])
    assert [each.signature for each in rest] == sent[2:0:-1]
    assert all(not each.failed for each in rest)
    listing = await client.signatures_since([who], chain.find(sent[1])[0].slot, Commitment.CONFIRMED)  # type: ignore[index]
    assert [each.signature for each in listing.records] == sent[1:]
    assert listing.covered_slot == chain.blocks[-2].slot


async def test_a_transaction_goes_to_every_node_and_one_that_takes_it_is_enough(
    connect: Connect, chain: SolanaChain, node: SolanaNode, second: SolanaNode, sender: Keypair
) -> None:
    client = connect(node, second)
    raw, _ = await payment(client, sender)
    node.behind = 20
    signature = await client.send(raw)
    assert "sendTransaction" in node.asked
    assert "sendTransaction" in second.asked
    chain.advance()
    second.behind = 20
    assert (await client.statuses([signature]))[0] is None
    node.behind = second.behind = 0
    (status,) = await client.statuses([signature])
    assert status is not None
    assert (status.commitment, status.problem) == (Commitment.CONFIRMED, None)


async def test_the_most_telling_refusal_is_told(
    connect: Connect, chain: SolanaChain, node: SolanaNode, second: SolanaNode, sender: Keypair
) -> None:
    client = connect(node, second)
    blockhash = await client.latest_blockhash()
    node.behind = 20
    raw = signed(sol_transfer(Terms(address(sender), blockhash.hash), address(Keypair()), 100 * SOL), sender)
    with pytest.raises(TransactionRefused) as refused:
        await client.send(raw)
    assert refused.value.problem.code is ProblemCode.INSUFFICIENT_FUNDS


async def test_a_simulation_says_what_would_fail(client: SolanaClient, sender: Keypair) -> None:
    terms = Terms(address(sender), (await client.latest_blockhash()).hash)
    found = await client.simulate(from_base64(sol_transfer(terms, address(Keypair()), 100 * SOL).transaction))
    assert found.problem is not None
    assert (found.problem.code, found.problem.instruction) == (ProblemCode.INSUFFICIENT_FUNDS, 1)
    assert any("insufficient lamports" in line for line in found.logs)


async def test_priority_fees_follow_what_others_paid(client: SolanaClient, node: SolanaNode, sender: Keypair) -> None:
    assert await client.priority_fees([address(sender)]) == PriorityFees(0, 1_000, 10_000)
    node.priority_fees = [20_000] * 10 + [2**63] * 2 + [5_000] * 20
    assert await client.priority_fees([address(sender)] * 200) == PriorityFees(5_000, 5_000, 20_000)
    assert speeds([2**63] * 150) == PriorityFees(*[MOST_MICRO_LAMPORTS] * 3)
    assert speeds([]) == PriorityFees(0, 1_000, 10_000)


async def test_coins_of_a_test_network(client: SolanaClient, chain: SolanaChain) -> None:
    to = address(Keypair())
    signature = await client.request_airdrop(to, SOL)
    assert chain.find(signature) is not None
    assert await client.lamports(to, Commitment.PROCESSED) == SOL


async def _ask_all_kinds(client: SolanaClient, method: str, raw: bytes, signature: str) -> object:
    who = address(Keypair())
    asked: dict[str, Callable[[], Awaitable[object]]] = {
        "getBalance": lambda: client.lamports(who),
        "getTokenAccountsByOwner": lambda: client.holdings(who),
        "getMultipleAccounts": lambda: client.accounts([who]),
        "getLatestBlockhash": client.latest_blockhash,
        "getEpochInfo": lambda: client.tip(Commitment.FINALIZED),
        "getRecentPrioritizationFees": lambda: client.priority_fees([]),
        "getSignatureStatuses": lambda: client.statuses([signature]),
        "getTransaction": lambda: client.transaction(signature),
        "getSignaturesForAddress": lambda: client.signatures_for(who),
        "getBlock": lambda: client.block(FIRST_SLOT + 1),
        "sendTransaction": lambda: client.send(raw),
        "simulateTransaction": lambda: client.simulate(raw),
        "getMinimumBalanceForRentExemption": lambda: client.rent_minimum(0),
    }
    return await asked[method]()


def _context(value: object) -> dict[str, object]:
    return {"context": {"slot": 1}, "value": value}


@pytest.mark.parametrize(
    ("method", "answer"),
    [
        ("getBalance", 5),
        ("getBalance", _context(-1)),
        ("getBalance", _context(2**64)),
        ("getBalance", _context(True)),
        ("getBalance", {"context": {}, "value": 5}),
        ("getBalance", {"context": {"slot": 1}}),
        ("getTokenAccountsByOwner", _context([{}])),
        ("getTokenAccountsByOwner", _context({})),
        ("getMultipleAccounts", _context([])),
        ("getMultipleAccounts", _context([{"lamports": 1, "owner": "x", "executable": False, "data": ["", "base64"]}])),
        (
            "getMultipleAccounts",
            _context([{"lamports": 1, "owner": "1" * 32, "executable": 1, "data": ["", "base64"]}]),
        ),
        ("getMultipleAccounts", _context([{"lamports": 1, "owner": "1" * 32, "executable": False, "data": "!"}])),
        ("getLatestBlockhash", _context({"blockhash": "0", "lastValidBlockHeight": 1})),
        ("getLatestBlockhash", _context({"blockhash": "1" * 32, "lastValidBlockHeight": "1"})),
        ("getEpochInfo", {"absoluteSlot": 5, "blockHeight": 6}),
        ("getRecentPrioritizationFees", [{"slot": 1, "prioritizationFee": "1"}]),
        ("getSignatureStatuses", _context([])),
        ("getSignatureStatuses", _context([{"slot": 1, "err": None, "confirmationStatus": "sure"}])),
        ("getSignatureStatuses", _context([{"slot": 1, "confirmationStatus": "finalized"}])),
        ("getTransaction", {"slot": 1}),
        ("getTransaction", {"slot": 1, "meta": {}, "transaction": ["AA==", "base64"]}),
        ("getTransaction", {"slot": 1, "meta": {}, "transaction": ["AA==", "base58"]}),
        ("getSignaturesForAddress", [{"signature": "x", "slot": 1, "err": None}]),
        ("getSignaturesForAddress", [{"signature": "1" * 64, "slot": 1, "err": None}] * 2),
        ("getSignaturesForAddress", [{"signature": "1" * 64, "slot": 1}]),
        (
            "getBlock",
            {"blockhash": "1" * 32, "previousBlockhash": "1" * 32, "parentSlot": FIRST_SLOT + 1, "signatures": []},
        ),
        ("sendTransaction", "1" * 64),
        ("simulateTransaction", _context({"logs": []})),
        ("getMinimumBalanceForRentExemption", "890880"),
    ],
)
async def test_an_answer_of_another_shape_is_the_nodes_failure_and_the_next_is_asked(
    connect: Connect, node: SolanaNode, second: SolanaNode, method: str, answer: object
) -> None:
    chain = node.chain
    raw, _ = await payment(connect(second), chain.faucet, 10**6)
    signature = chain.airdrop(Keypair().pubkey(), SOL)
    chain.advance()
    node.twist = says(method, answer)
    with pytest.raises(ChainUnavailable):
        await _ask_all_kinds(connect(node), method, raw, signature)
    client = connect(node, second)
    if method == "sendTransaction":
        raw, _ = await payment(connect(second), chain.faucet, 10**7)
        second.twist = lambda asked, params, result: result
        with pytest.raises(TransactionRefused, match="already"):
            await client.send(raw)
    else:
        await _ask_all_kinds(client, method, raw, signature)
    assert client.pool.states()[0].error is not None
    assert client.pool.states()[1].error is None


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("meta", "preBalances"), []),
        (("meta", "postBalances", 0), -1),
        (("meta", "fee"), None),
        (("meta", "err"), DELETED),
        (("meta", "postTokenBalances", 0, "accountIndex"), 99),
        (("meta", "postTokenBalances", 0, "owner"), "x"),
        (("meta", "postTokenBalances", 0, "programId"), "1" * 32),
        (("meta", "postTokenBalances", 0, "uiTokenAmount", "amount"), "1e3"),
        (("meta", "postTokenBalances", 0, "uiTokenAmount", "amount"), "٣"),
        (("meta", "postTokenBalances", 0, "uiTokenAmount", "amount"), str(2**64)),
        (("meta", "postTokenBalances", 0, "uiTokenAmount", "decimals"), 256),
        (("meta", "postTokenBalances"), "none"),
        (("slot",), None),
        (("transaction", 0), "AA=="),
    ],
)
async def test_a_transaction_with_one_wrong_part_is_not_read(
    client: SolanaClient, chain: SolanaChain, node: SolanaNode, path: tuple[Any, ...], value: object
) -> None:
    mint = chain.make_token()
    chain.mint_to(Keypair().pubkey(), mint, 5)
    signature = chain.tip.landed[0].signature
    chain.advance()
    assert await client.transaction(signature) is not None

    def twist(method: str, params: list[Any], result: Any) -> Any:
        if method == "getTransaction":
            part = result
            for step in path[:-1]:
                part = part[step]
            if value is DELETED:
                del part[path[-1]]
            else:
                part[path[-1]] = value
        return result

    node.twist = twist
    with pytest.raises(ChainUnavailable):
        await client.transaction(signature)


async def test_a_transaction_nobody_knows_is_none_and_an_unknown_error_stays_one(
    client: SolanaClient, node: SolanaNode
) -> None:
    unknown = str(Keypair().sign_message(b""))
    assert await client.transaction(unknown) is None
    assert await client.agreed_transaction(unknown) is None

    def twist(method: str, params: list[Any], result: Any) -> Any:
        if method == "getTransaction":
            raise RpcError(-32015, "Transaction version (1) is not supported by the requesting client.")
        return result

    node.twist = twist
    with pytest.raises(NodeRefused, match="version"):
        await client.transaction(unknown)


def record(number: int, *, failed: bool = False) -> SignatureRecord:
    return SignatureRecord(f"s{number}", number, failed, None, None)


async def test_a_long_history_is_read_page_by_page_and_an_endless_one_refused() -> None:
    history = [record(number) for number in range(25, 0, -1)]

    async def page(before: str | None) -> list[SignatureRecord]:
        start = 0 if before is None else [each.signature for each in history].index(before) + 1
        return history[start : start + 5]

    assert [each.slot for each in await since(8, page, most=5)] == list(range(25, 7, -1))
    assert len(await since(0, page, most=5)) == 25

    async def again(before: str | None) -> list[SignatureRecord]:
        return history[:5]

    async def endless(before: str | None) -> list[SignatureRecord]:
        start = 10**9 if before is None else int(before[1:]) - 1
        return [record(number) for number in range(start, start - 5, -1)]

    for lying in (again, endless):
        with pytest.raises(ProviderFailed) as failed:
            await since(0, lying, most=5)
        assert failed.value.failure is Failure.MALFORMED


def test_the_union_of_listings_waits_for_the_node_that_is_behind_but_not_for_ever() -> None:
    ahead, behind = [record(9), record(7)], [record(8, failed=True), record(7, failed=True)]
    for told in ([(Tip(20, 20), ahead), (Tip(10, 10), behind)], [(Tip(10, 10), behind), (Tip(20, 20), ahead)]):
        assert merged(told, 2) == Listing((record(7), record(8, failed=True), record(9)), 10)
    two: list[tuple[Tip, list[SignatureRecord]]] = [(Tip(10_000, 1), []), (Tip(10, 1), [])]
    assert merged(two, 1).covered_slot == 10_000 - MOST_OVERLAP_SLOTS
    assert merged(two, 2).covered_slot == 10, "the other one alone may have left something out"
    assert merged([*two, (Tip(9_000, 1), [])], 2).covered_slot == 9_000 - MOST_OVERLAP_SLOTS
    assert merged([*two, (Tip(2**63, 1), [])], 2).covered_slot == 10_000 - MOST_OVERLAP_SLOTS
