"""What became of a transaction, and when it may be signed again: never while it could have landed."""

from typing import Any

import pytest
from solders.keypair import Keypair

from integrations.chains.errors import ChainUnavailable, NodesContradict
from integrations.chains.solana.client import SolanaClient
from integrations.chains.solana.messages import Blockhash
from integrations.chains.solana.outcomes import Finding, Outcome, outcome
from integrations.chains.solana.transfers import Terms, token_transfer
from integrations.chains.solana.wire import read_transaction, signature_of
from tests.integrations.chains.solana.conftest import Connect
from tests.integrations.chains.solana.signing import address, payment, signed
from tests.solana_answers import RpcError
from tests.solana_chain import FINAL_BLOCKS, HASH_BLOCKS, SolanaChain
from tests.solana_node import SolanaNode


async def ask(client: SolanaClient, raw: bytes, blockhash: Blockhash) -> Finding:
    signature = signature_of(read_transaction(raw))
    return await outcome(
        client,
        signature,
        last_valid_block_height=blockhash.last_valid_block_height,
        blockhash_slot=blockhash.slot,
    )


def omits() -> Any:
    """A node that knows nothing of any signature."""

    def twist(method: str, params: list[Any], result: Any) -> Any:
        return {**result, "value": [None] * len(result["value"])} if method == "getSignatureStatuses" else result

    return twist


async def test_a_payment_goes_from_pending_to_finalized(
    client: SolanaClient, chain: SolanaChain, sender: Keypair
) -> None:
    chain.hold()
    raw, blockhash = await payment(client, sender)
    assert (await ask(client, raw, blockhash)).outcome is Outcome.PENDING
    await client.send(raw)
    assert (await ask(client, raw, blockhash)).outcome is Outcome.PENDING
    chain.release()
    assert (await ask(client, raw, blockhash)).outcome is Outcome.PROCESSED
    chain.advance()
    assert (await ask(client, raw, blockhash)).outcome is Outcome.CONFIRMED
    chain.finalize()
    found = await ask(client, raw, blockhash)
    assert (found.outcome, found.may_sign_again, found.problem) == (Outcome.FINALIZED, False, None)
    chain.expire_blockhashes()
    assert (await ask(client, raw, blockhash)).outcome is Outcome.FINALIZED


async def test_a_dropped_payment_expires_one_final_block_after_the_last_it_could_be_in(
    client: SolanaClient, chain: SolanaChain, sender: Keypair
) -> None:
    raw, blockhash = await payment(client, sender)
    chain.hold()
    await client.send(raw)
    left = blockhash.last_valid_block_height - chain.tip.height
    assert left == HASH_BLOCKS - 1
    chain.advance(left + FINAL_BLOCKS, skipped=40)
    pending = await ask(client, raw, blockhash)
    assert (pending.outcome, pending.may_sign_again) == (Outcome.PENDING, False)
    assert pending.open_reasons == {"first": "0 more blocks must be final, and one after them"}
    chain.advance()
    assert (await ask(client, raw, blockhash)).outcome is Outcome.EXPIRED
    chain.release()
    chain.advance()
    assert await client.lamports(address(sender)) == 10 * 10**9


async def test_the_last_block_it_could_be_in_is_still_waited_for(
    client: SolanaClient, chain: SolanaChain, sender: Keypair
) -> None:
    raw, blockhash = await payment(client, sender)
    chain.hold()
    await client.send(raw)
    chain.advance(blockhash.last_valid_block_height - chain.tip.height - 1)
    chain.release()
    assert chain.tip.height == blockhash.last_valid_block_height
    chain.finalize()
    assert (await ask(client, raw, blockhash)).outcome is Outcome.FINALIZED


async def test_a_node_that_knows_it_outweighs_those_that_omit_it(
    connect: Connect, chain: SolanaChain, node: SolanaNode, second: SolanaNode, sender: Keypair
) -> None:
    client = connect(node, second)
    raw, blockhash = await payment(client, sender)
    await client.send(raw)
    chain.advance()
    node.twist = omits()
    assert (await ask(client, raw, blockhash)).outcome is Outcome.CONFIRMED
    chain.expire_blockhashes()
    chain.finalize()
    with pytest.raises(NodesContradict):
        await ask(client, raw, blockhash)


async def test_a_node_that_is_behind_does_not_make_it_expired(
    connect: Connect, chain: SolanaChain, node: SolanaNode, second: SolanaNode, sender: Keypair
) -> None:
    client = connect(node, second)
    raw, blockhash = await payment(client, sender)
    chain.hold()
    await client.send(raw)
    second.behind = 60
    chain.advance(HASH_BLOCKS + FINAL_BLOCKS + 10)
    pending = await ask(client, raw, blockhash)
    assert (pending.outcome, list(pending.open_reasons or ())) == (Outcome.PENDING, ["second"])
    chain.advance(60)
    assert (await ask(client, raw, blockhash)).outcome is Outcome.EXPIRED


async def test_a_node_that_answers_from_two_machines_shows_nothing(
    client: SolanaClient, chain: SolanaChain, node: SolanaNode, sender: Keypair
) -> None:
    """Behind one name: a machine that is up to date tells the height, one that lags tells the statuses, where the payment landed only just now."""
    raw, blockhash = await payment(client, sender)
    await client.send(raw)
    landed_at = chain.tip.slot
    chain.advance(HASH_BLOCKS + FINAL_BLOCKS + 2)

    def twist(method: str, params: list[Any], result: Any) -> Any:
        return {"context": {"slot": landed_at - 1}, "value": [None]} if method == "getSignatureStatuses" else result

    node.twist = twist
    found = await ask(client, raw, blockhash)
    assert found.outcome is Outcome.PENDING
    assert found.open_reasons == {"first": "it answers from behind its own final block"}


async def test_a_node_that_has_dropped_its_history_shows_nothing(
    client: SolanaClient, chain: SolanaChain, node: SolanaNode, sender: Keypair
) -> None:
    raw, blockhash = await payment(client, sender)
    await client.send(raw)
    chain.advance(HASH_BLOCKS + FINAL_BLOCKS + 2)
    node.first_slot = chain.tip.slot - 5
    found = await ask(client, raw, blockhash)
    assert (found.outcome, found.may_sign_again) == (Outcome.PENDING, False)
    assert "dropped" in str(found.open_reasons)


@pytest.mark.parametrize(
    "error",
    [RpcError(-32011, "Transaction history is not available from this node"), RpcError(-32603, "Internal error")],
)
async def test_a_node_that_gives_no_answer_holds_it_up(
    connect: Connect, chain: SolanaChain, node: SolanaNode, second: SolanaNode, error: RpcError
) -> None:
    client = connect(node, second)
    raw, blockhash = await payment(client, chain.faucet)
    chain.expire_blockhashes()
    chain.finalize()

    def twist(method: str, params: list[Any], result: Any) -> Any:
        if method == "getSignatureStatuses":
            raise error
        return result

    second.twist = twist
    found = await ask(client, raw, blockhash)
    assert (found.outcome, list(found.open_reasons or ())) == (Outcome.PENDING, ["second"])
    node.twist = twist
    with pytest.raises(ChainUnavailable):
        await ask(client, raw, blockhash)
    node.twist = second.twist = lambda method, params, result: result
    assert (await ask(client, raw, blockhash)).outcome is Outcome.EXPIRED


async def test_a_node_of_another_chain_is_not_asked(
    connect: Connect, chain: SolanaChain, node: SolanaNode, second: SolanaNode, sender: Keypair
) -> None:
    client = connect(node, second)
    second.twist = lambda method, params, result: str(Keypair().pubkey()) if method == "getGenesisHash" else result
    raw, blockhash = await payment(client, sender)
    chain.expire_blockhashes()
    chain.finalize()
    assert (await ask(client, raw, blockhash)).outcome is Outcome.EXPIRED
    assert "getSignatureStatuses" not in second.asked


async def test_a_failed_payment_is_final_only_when_all_nodes_call_it_so(
    connect: Connect, chain: SolanaChain, node: SolanaNode, second: SolanaNode, sender: Keypair
) -> None:
    client = connect(node, second)
    mint = chain.make_token()
    chain.mint_to(sender.pubkey(), mint, 5)
    chain.advance()
    blockhash = await client.latest_blockhash()
    prepared = token_transfer(
        Terms(address(sender), blockhash.hash), address(Keypair()), 5, mint=address(mint), decimals=6
    )
    raw = signed(prepared, sender)
    chain.hold()
    await client.send(raw)
    chain.freeze(chain.mint_to(sender.pubkey(), mint, 1), mint)
    chain.release()
    chain.advance()
    found = await ask(client, raw, blockhash)
    assert (found.outcome, found.may_sign_again) == (Outcome.CONFIRMED, False)
    assert found.problem is not None
    second.behind = 5
    chain.advance(FINAL_BLOCKS)
    found = await ask(client, raw, blockhash)
    assert (found.outcome, list(found.open_reasons or ())) == (Outcome.CONFIRMED, ["second"])
    second.behind = 0
    found = await ask(client, raw, blockhash)
    assert (found.outcome, found.may_sign_again) == (Outcome.FAILED, True)


async def test_one_node_alone_cannot_make_a_payment_final_or_failed(
    connect: Connect, chain: SolanaChain, node: SolanaNode, second: SolanaNode, sender: Keypair
) -> None:
    client = connect(node, second)
    raw, blockhash = await payment(client, sender)
    chain.hold()
    await client.send(raw)
    lie = {"slot": chain.tip.slot, "confirmations": None, "err": None, "confirmationStatus": "finalized"}

    def twist(method: str, params: list[Any], result: Any) -> Any:
        return {**result, "value": [lie]} if method == "getSignatureStatuses" else result

    node.twist = twist
    for lie["err"] in (None, "AccountInUse"):
        found = await ask(client, raw, blockhash)
        assert (found.outcome, found.may_sign_again) == (Outcome.CONFIRMED, False)
        assert found.open_reasons == {"second": "it does not call it final"}
    chain.expire_blockhashes()
    chain.finalize()
    with pytest.raises(NodesContradict):
        await ask(client, raw, blockhash)


async def test_one_node_alone_does_not_make_it_final_while_the_other_is_silent(
    connect: Connect, chain: SolanaChain, node: SolanaNode, second: SolanaNode, sender: Keypair
) -> None:
    client = connect(node, second)
    raw, blockhash = await payment(client, sender)
    await client.send(raw)
    chain.finalize()

    def twist(method: str, params: list[Any], result: Any) -> Any:
        raise RpcError(-32005, "Node is unhealthy")

    second.twist = twist
    found = await ask(client, raw, blockhash)
    assert (found.outcome, list(found.open_reasons or ())) == (Outcome.CONFIRMED, ["second"])
    second.twist = lambda method, params, result: result
    assert (await ask(client, raw, blockhash)).outcome is Outcome.FINALIZED


async def test_a_confirmed_payment_that_was_forked_away_is_pending_again(
    client: SolanaClient, chain: SolanaChain, sender: Keypair
) -> None:
    raw, blockhash = await payment(client, sender)
    await client.send(raw)
    slot = chain.tip.slot
    chain.advance()
    assert (await ask(client, raw, blockhash)).outcome is Outcome.CONFIRMED
    chain.fork_away(slot)
    assert (await ask(client, raw, blockhash)).outcome is Outcome.PENDING
    await client.send(raw)
    chain.finalize()
    assert (await ask(client, raw, blockhash)).outcome is Outcome.FINALIZED
