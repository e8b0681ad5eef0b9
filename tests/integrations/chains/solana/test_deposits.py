"""What came in to the house: counted once, to the unit, whatever instruction brought it, and never on one node's word."""

from dataclasses import replace
from typing import Any

import pytest
from solders.account import Account
from solders.address_lookup_table_account import AddressLookupTableAccount
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction

from integrations.chains.errors import ChainUnavailable, NodesContradict
from integrations.chains.solana.addresses import TOKEN_2022_PROGRAM, TOKEN_PROGRAM, associated_token_address
from integrations.chains.solana.client import SolanaClient
from integrations.chains.solana.deposits import IncomingTransfer, Scan, accounts_of, incoming, scan
from integrations.chains.solana.errors import problem_of
from integrations.chains.solana.instructions import Memo, SolTransfer, encode
from integrations.chains.solana.messages import Commitment
from integrations.chains.solana.transfers import Terms, sol_transfer, token_transfer
from integrations.chains.solana.wire import from_base64, to_base64
from tests.integrations.chains.solana.conftest import Connect
from tests.integrations.chains.solana.signing import address, signed, written
from tests.solana_chain import FINAL_BLOCKS, SolanaChain
from tests.solana_node import SolanaNode, solana_node

SOL = 10**9
HOUSE = Keypair()


async def pay(client: SolanaClient, sender: Keypair, lamports: int, memo: str | None = None) -> str:
    terms = Terms(address(sender), (await client.latest_blockhash()).hash)
    return await client.send(signed(sol_transfer(terms, address(HOUSE), lamports, memo), sender))


async def brought(client: SolanaClient, chain: SolanaChain, signature: str) -> list[IncomingTransfer]:
    chain.advance()
    landed = await client.transaction(signature)
    assert landed is not None
    return incoming(landed, address(HOUSE))


def came(found: Scan) -> list[IncomingTransfer]:
    return [each for transaction in found.transactions for each in incoming(transaction, address(HOUSE))]


async def test_sol_with_a_memo(client: SolanaClient, chain: SolanaChain, sender: Keypair) -> None:
    (came,) = await brought(client, chain, await pay(client, sender, SOL, " CV-1234 "))
    assert (came.mint, came.amount, came.decimals, came.account) == (None, SOL, 9, address(HOUSE))
    assert (came.memos, came.payer) == ((" CV-1234 ",), address(sender))
    assert came.time_ms is not None
    assert came.time_ms > 10**12


@pytest.mark.parametrize("program", [TOKEN_PROGRAM, TOKEN_2022_PROGRAM])
async def test_tokens_that_open_our_account(
    client: SolanaClient, chain: SolanaChain, sender: Keypair, program: str
) -> None:
    mint = chain.make_token(program)
    chain.mint_to(sender.pubkey(), mint, 10, program)
    chain.advance()
    terms = Terms(address(sender), (await client.latest_blockhash()).hash)
    paid = token_transfer(terms, address(HOUSE), 7, mint=address(mint), decimals=6, program=program, memo="CV-1")
    (came,) = await brought(client, chain, await client.send(signed(paid, sender)))
    assert (came.mint, came.amount, came.decimals, came.memos) == (address(mint), 7, 6, ("CV-1",))
    assert came.account == associated_token_address(address(HOUSE), address(mint), program)


async def test_of_a_token_that_takes_a_fee_what_arrives_counts(
    client: SolanaClient, chain: SolanaChain, sender: Keypair
) -> None:
    mint = chain.make_token(TOKEN_2022_PROGRAM, fee_bps=250)
    chain.mint_to(sender.pubkey(), mint, 10_000, TOKEN_2022_PROGRAM)
    chain.advance()
    terms = Terms(address(sender), (await client.latest_blockhash()).hash)
    paid = token_transfer(
        terms, address(HOUSE), 8_000, mint=address(mint), decimals=6, program=TOKEN_2022_PROGRAM, memo="CV-1"
    )
    (came,) = await brought(client, chain, await client.send(signed(paid, sender)))
    assert came.amount == 8_000 - 200


async def test_what_comes_in_pieces_counts_as_their_sum_and_contradicting_memos_as_none(
    client: SolanaClient, chain: SolanaChain, sender: Keypair
) -> None:
    paid = encode(SolTransfer(address(sender), address(HOUSE), SOL))
    blockhash = await client.latest_blockhash()
    notes = [encode(Memo("CV-1")), encode(Memo("CV-2"))]
    (came,) = await brought(
        client, chain, await client.send(written(sender, blockhash, [paid, notes[0], paid, notes[1]]))
    )
    assert (came.amount, came.memos) == (2 * SOL, ("CV-1", "CV-2"))


async def test_money_that_comes_and_goes_in_one_transaction_does_not_count(
    client: SolanaClient, chain: SolanaChain, sender: Keypair
) -> None:
    """The house signed: it is no deposit, whatever is left of it."""
    there = encode(SolTransfer(address(sender), address(HOUSE), SOL))
    back = encode(SolTransfer(address(HOUSE), address(sender), SOL // 2))
    raw = written(sender, await client.latest_blockhash(), [there, back, encode(Memo("CV-1"))], HOUSE)
    assert await brought(client, chain, await client.send(raw)) == []


async def test_a_token_account_that_is_handed_over_does_not_count(
    client: SolanaClient, chain: SolanaChain, sender: Keypair
) -> None:
    mint = chain.make_token()
    account = chain.mint_to(sender.pubkey(), mint, 10)
    chain.advance()
    handed = Instruction(
        Pubkey.from_string(TOKEN_PROGRAM),
        bytes([6, 2, 1]) + bytes(HOUSE.pubkey()),
        [
            AccountMeta(Pubkey.from_string(account), is_signer=False, is_writable=True),
            AccountMeta(sender.pubkey(), is_signer=True, is_writable=False),
        ],
    )
    raw = written(sender, await client.latest_blockhash(), [handed, encode(Memo("CV-1"))])
    signature = await client.send(raw)
    assert await brought(client, chain, signature) == []
    landed = await client.transaction(signature)
    assert landed is not None
    assert landed.tokens_of(address(HOUSE)) == {address(mint): 10}


async def test_a_payment_that_failed_brings_nothing_but_its_memo(
    client: SolanaClient, chain: SolanaChain, sender: Keypair
) -> None:
    chain.hold()
    signature = await pay(client, sender, 9 * SOL, "CV-1")
    chain.run([encode(SolTransfer(address(sender), address(Keypair()), 5 * SOL))], sender)
    chain.release()
    assert await brought(client, chain, signature) == []
    chain.finalize()
    found = await scan(client, [address(HOUSE)], since_slot=0)
    assert came(found) == []


async def test_an_address_in_a_lookup_table_is_found(client: SolanaClient, chain: SolanaChain, sender: Keypair) -> None:
    table = Keypair().pubkey()
    head = (1).to_bytes(4, "little") + (2**64 - 1).to_bytes(8, "little") + bytes(44)
    program = Pubkey.from_string("AddressLookupTab1e1111111111111111111111111")
    chain.svm.set_account(table, Account(10**9, head + bytes(HOUSE.pubkey()), program))
    paid = encode(SolTransfer(address(sender), address(HOUSE), SOL))
    known = AddressLookupTableAccount(table, [HOUSE.pubkey()])
    message = MessageV0.try_compile(sender.pubkey(), [paid], [known], chain.blocks[-2].hash)
    assert HOUSE.pubkey() not in message.account_keys
    (came,) = await brought(client, chain, await client.send(bytes(VersionedTransaction(message, [sender]))))
    assert (came.amount, came.account) == (SOL, address(HOUSE))


async def test_a_scan_finds_final_deposits_of_every_account_once(
    client: SolanaClient, chain: SolanaChain, sender: Keypair
) -> None:
    mint = chain.make_token()
    chain.mint_to(sender.pubkey(), mint, 10)
    chain.mint_to(HOUSE.pubkey(), mint, 1)
    chain.advance()
    began = chain.tip.slot
    first = await pay(client, sender, SOL, "CV-1")
    terms = Terms(address(sender), (await client.latest_blockhash()).hash)
    moved = token_transfer(terms, address(HOUSE), 7, mint=address(mint), decimals=6, opens=False, memo="CV-2")
    second = await client.send(signed(moved, sender))
    accounts = accounts_of(address(HOUSE), [address(mint)])
    chain.advance()
    early = await scan(client, accounts, since_slot=began, commitment=Commitment.CONFIRMED)
    assert [each.signature for each in came(early)] == [first, second]
    assert came(await scan(client, accounts, since_slot=began)) == []
    chain.finalize()
    found = await scan(client, accounts, since_slot=began)
    assert [(each.signature, each.memos, each.amount) for each in came(found)] == [
        (first, ("CV-1",), SOL),
        (second, ("CV-2",), 7),
    ]
    assert found.covered_slot == chain.blocks[-1 - FINAL_BLOCKS].slot
    rest = await scan(client, accounts, since_slot=began, known=frozenset([first]))
    assert [each.signature for each in came(rest)] == [second]
    assert came(await scan(client, accounts, since_slot=found.covered_slot + 1)) == []


async def test_what_one_node_leaves_out_another_tells(
    connect: Connect, chain: SolanaChain, node: SolanaNode, second: SolanaNode, sender: Keypair
) -> None:
    client = connect(node, second)
    signature = await pay(client, sender, SOL, "CV-1")
    chain.finalize()
    node.twist = lambda method, params, result: [] if method == "getSignaturesForAddress" else result
    found = await scan(client, [address(HOUSE)], since_slot=0)
    assert [each.signature for each in came(found)] == [signature]


async def test_what_one_node_invents_is_not_credited(
    connect: Connect, chain: SolanaChain, node: SolanaNode, second: SolanaNode, sender: Keypair
) -> None:
    """It shows a rightly signed payment that was on a fork only, and calls it final."""
    client = connect(node, second)
    signature = await pay(client, sender, SOL, "CV-1")
    slot = chain.tip.slot
    told = {"getTransaction": node.get_transaction(signature, {"commitment": "processed"})}
    options = {"commitment": "processed"}
    told["getSignaturesForAddress"] = node.get_signatures_for_address(address(HOUSE), options)  # type: ignore[assignment]
    chain.fork_away(slot)
    chain.finalize()
    node.twist = lambda method, params, result: told.get(method, result)
    found = await scan(client, [address(HOUSE)], since_slot=0)
    assert came(found) == []
    assert found.waiting == (signature,)
    assert found.covered_slot == slot
    assert await client.lamports(address(HOUSE)) == 0


async def test_nodes_that_tell_an_amount_differently_are_reported_and_nothing_is_credited(
    connect: Connect, chain: SolanaChain, node: SolanaNode, second: SolanaNode, sender: Keypair
) -> None:
    client = connect(node, second)
    signature = await pay(client, sender, SOL, "CV-1")
    other = await pay(client, sender, 2 * SOL, "CV-2")
    chain.finalize()

    def twist(method: str, params: list[Any], result: Any) -> Any:
        if method == "getTransaction" and params[0] == signature:
            result["meta"]["postBalances"][1] += 1
        return result

    second.twist = twist
    with pytest.raises(NodesContradict):
        await client.agreed_transaction(signature)
    found = await scan(client, [address(HOUSE)], since_slot=0)
    assert [each.signature for each in came(found)] == [other]
    assert found.contradicted == (signature,)


async def test_only_our_own_accounts_of_a_payment_that_succeeded_count(
    client: SolanaClient, chain: SolanaChain, sender: Keypair
) -> None:
    mint = chain.make_token()
    chain.mint_to(HOUSE.pubkey(), mint, 10)
    chain.advance()
    landed = await client.transaction(chain.blocks[-2].landed[0].signature)
    assert landed is not None
    (came,) = incoming(landed, address(HOUSE))
    assert came.amount == 10
    failed = replace(landed, problem=problem_of("AccountInUse"))
    assert incoming(failed, address(HOUSE)) == []
    elsewhere = replace(landed, tokens=tuple(replace(each, account=address(sender)) for each in landed.tokens))
    assert incoming(elsewhere, address(HOUSE)) == []


async def test_a_memo_cannot_be_rewritten_by_a_node(
    client: SolanaClient, chain: SolanaChain, node: SolanaNode, sender: Keypair
) -> None:
    signature = await pay(client, sender, SOL, "CV-1")
    chain.finalize()

    def twist(method: str, params: list[Any], result: Any) -> Any:
        if method == "getTransaction":
            result["transaction"][0] = to_base64(from_base64(result["transaction"][0]).replace(b"CV-1", b"CV-2"))
        return result

    node.twist = twist
    found = await scan(client, [address(HOUSE)], since_slot=0)
    assert (came(found), found.waiting) == ([], (signature,))


async def test_a_memo_cannot_be_exchanged_by_a_node(
    client: SolanaClient, chain: SolanaChain, node: SolanaNode, sender: Keypair
) -> None:
    mine = await pay(client, sender, SOL, "CV-1")
    chain.advance()
    theirs = await pay(client, sender, SOL, "CV-2")
    chain.finalize()
    swapped = node.get_transaction(theirs, None)
    node.twist = lambda method, params, result: swapped if method == "getTransaction" and params[0] == mine else result
    found = await scan(client, [address(HOUSE)], since_slot=0)
    assert [each.signature for each in came(found)] == [theirs]
    assert found.waiting == (mine,)


async def test_what_only_one_of_two_nodes_could_tell_is_not_covered(
    connect: Connect, chain: SolanaChain, node: SolanaNode, second: SolanaNode, sender: Keypair
) -> None:
    """One that answers nothing, has dropped its history, or stands still: what the other says alone may have gaps."""
    client = connect(node, second)
    signature = await pay(client, sender, SOL, "CV-1")
    paid = chain.tip.slot
    chain.finalize()
    second.first_slot = paid + 1
    with pytest.raises(ChainUnavailable, match="has dropped its history"):
        await scan(client, [address(HOUSE)], since_slot=paid)
    second.first_slot = 0
    chain.advance(3_000)
    second.behind = 3_020
    found = await scan(client, [address(HOUSE)], since_slot=paid)
    assert (came(found), found.waiting) == ([], ())
    assert found.covered_slot == second.get_slot() < paid
    second.behind = 0
    found = await scan(client, [address(HOUSE)], since_slot=found.covered_slot)
    assert [each.signature for each in came(found)] == [signature]


async def test_many_that_one_node_invents_hold_up_nobody(
    connect: Connect, chain: SolanaChain, node: SolanaNode, second: SolanaNode, sender: Keypair
) -> None:
    client = connect(node, second)
    signature = await pay(client, sender, SOL, "CV-1")
    slot = chain.tip.slot
    chain.finalize()
    invented = [
        {"signature": str(sender.sign_message(bytes([number]))), "slot": slot - 1, "err": None, "memo": None}
        for number in range(250)
    ]
    node.twist = lambda method, params, result: (
        [*result, *({**each, "blockTime": None} for each in invented)]
        if method == "getSignaturesForAddress"
        else result
    )
    first = await scan(client, [address(HOUSE)], since_slot=0)
    assert (came(first), len(first.waiting), first.more) == ([], 200, True)
    then = await scan(client, [address(HOUSE)], since_slot=0, later=frozenset(first.waiting))
    assert [each.signature for each in came(then)] == [signature]
    assert (then.more, then.covered_slot) == (False, slot - 1)


async def test_a_node_of_another_chain_says_nothing_and_is_missed(
    connect: Connect, chain: SolanaChain, node: SolanaNode, sender: Keypair
) -> None:
    async with solana_node(SolanaChain()) as foreign:
        client = connect(node, foreign)
        signature = await pay(client, sender, SOL, "CV-1")
        chain.finalize()
        with pytest.raises(ChainUnavailable, match="is of the chain that began with"):
            await scan(client, [address(HOUSE)], since_slot=0)
        assert await client.agreed_transaction(signature) is None


async def test_what_a_node_lists_late_is_found_when_it_is_read_again(
    client: SolanaClient, chain: SolanaChain, node: SolanaNode, sender: Keypair
) -> None:
    signature = await pay(client, sender, SOL, "CV-1")
    chain.finalize()
    node.twist = lambda method, params, result: [] if method == "getSignaturesForAddress" else result
    first = await scan(client, [address(HOUSE)], since_slot=0)
    assert first.transactions == ()
    chain.advance(10)
    node.twist = lambda method, params, result: result
    assert came(await scan(client, [address(HOUSE)], since_slot=first.covered_slot + 1)) == []
    again = await scan(client, [address(HOUSE)], since_slot=first.covered_slot + 1, again=150)
    assert [each.signature for each in came(again)] == [signature]
