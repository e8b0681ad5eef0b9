"""Deposits on Solana: by memo, from balances, final only, once, whatever nodes say and wherever the process dies."""

from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import pytest
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction

from core.database import Database
from core.wallet_vocabulary import DepositStatus
from integrations.chains.errors import ChainError, ChainUnavailable
from integrations.chains.solana.addresses import TOKEN_PROGRAM
from integrations.chains.solana.instructions import Memo, SolTransfer, encode
from models import deposit, unclaimed_deposit
from models.unclaimed_deposit import UnclaimedDepositDocument
from tests.deposits_solana import HOUSE, SOL, SolanaSite, client_of, key, opened
from tests.services.test_withdrawal_kills import Killer
from tests.solana_chain import SolanaChain
from tests.solana_node import solana_node

D = Decimal
S = DepositStatus


@pytest.fixture
async def site(database: Database) -> AsyncIterator[SolanaSite]:
    async with opened() as made:
        yield made


@pytest.fixture
async def pair(database: Database) -> AsyncIterator[SolanaSite]:
    """With two nodes."""
    async with opened(nodes=2) as made:
        yield made


async def unclaimed(*, dust: bool = False) -> list[UnclaimedDepositDocument]:
    return await unclaimed_deposit.seen_between(0, 2**53, dust=dust)


async def test_coins_and_tokens_of_both_programs_are_credited_once_final(site: SolanaSite) -> None:
    site.pay(site.sol(2 * SOL), memo=site.memo)
    site.pay(*site.tokens(site.usdc, 25 * 10**6), memo=f" {site.memo[:5]} {site.memo[5:]}\n")
    site.pay(*site.tokens(site.usdt, 7 * 10**6), memo=site.memo)
    site.chain.advance(20)
    await site.run()
    assert await site.rows() == []
    site.chain.finalize()
    await site.run()
    found = sorted((row.asset, row.amount, row.status, row.open) for row in await site.rows())
    assert found == [
        ("SOL", D(2), S.CREDITED, False),
        ("USDC", D(25), S.CREDITED, False),
        ("USDT", D(7), S.CREDITED, False),
    ]
    assert [await site.funds(asset) for asset in ("SOL", "USDC", "USDT")] == [D(2), D(25), D(7)]
    assert (site.reserve(), site.reserve("USDC"), site.reserve("USDT")) == (2 * SOL, 25 * 10**6, 7 * 10**6)
    await site.run()
    assert len(await site.rows()) == 3
    assert await unclaimed() == []


async def test_what_comes_in_pieces_and_of_several_assets_in_one_transaction(site: SolanaSite) -> None:
    bits = [site.sol(SOL), *site.tokens(site.usdc, 10**6), site.sol(SOL), *site.tokens(site.usdc, 10**6)]
    site.pay(*bits, memo=site.memo)
    site.chain.finalize()
    await site.run()
    assert (await site.funds(), await site.funds("USDC")) == (D(2), D(2))
    assert len({row.id for row in await site.rows()}) == 2


async def test_coins_that_a_program_sends_along_count(site: SolanaSite) -> None:
    """No transfer of the system program brings them: a token account is closed in favour of the house."""
    mint, owner = site.usdc, Keypair()
    site.chain.airdrop(owner.pubkey(), SOL)
    account = site.chain.mint_to(owner.pubkey(), mint, 0)
    accounts = [
        AccountMeta(Pubkey.from_string(account), is_signer=False, is_writable=True),
        AccountMeta(HOUSE.pubkey(), is_signer=False, is_writable=True),
        AccountMeta(owner.pubkey(), is_signer=True, is_writable=False),
    ]
    closes = Instruction(Pubkey.from_string(TOKEN_PROGRAM), bytes([9]), accounts)
    rent = encode(SolTransfer(key(owner), account, SOL // 2))
    site.chain.run([rent, closes, *_memos(site.memo)], owner)
    site.chain.finalize()
    await site.run()
    assert await site.funds() == D("0.5") + D(site.chain.svm.minimum_balance_for_rent_exemption(165)) / SOL


async def test_below_the_minimum_is_on_record_and_not_in_the_balance(site: SolanaSite) -> None:
    site.pay(site.sol(SOL // 1_000), memo=site.memo)
    site.chain.finalize()
    await site.run()
    (row,) = await site.rows()
    assert (row.status, row.amount, row.open) == (S.BELOW_MINIMUM, D("0.001"), False)
    assert await site.funds() == 0


async def test_a_payment_that_failed_brings_nothing(site: SolanaSite) -> None:
    poor = Keypair()
    site.chain.airdrop(poor.pubkey(), 5 * SOL)
    site.chain.hold()
    site.chain.accept(_signed(site, poor, 4 * SOL))
    site.chain.run([site.sol(3 * SOL, Keypair(), by=poor)], poor)
    site.chain.release()
    site.chain.finalize()
    await site.run()
    assert await site.rows() == await unclaimed() == []


async def test_without_a_memo_or_with_a_wrong_one_it_is_kept_for_an_operator(site: SolanaSite) -> None:
    _, other = await site.newcomer("bob@example.org")
    swapped = site.memo[1] + site.memo[0] + site.memo[2:] if site.memo[0] != site.memo[1] else "0000000000"
    plain = site.pay(site.sol(SOL))
    wrong = site.pay(site.sol(2 * SOL), memo=swapped)
    both = site.chain.run([site.sol(3 * SOL), *_memos(site.memo, other)], site.sender)
    words = site.pay(site.sol(4 * SOL), memo="for my account, thank you " * 12)
    site.pay(site.sol(1), memo="dust")
    site.chain.finalize()
    await site.run()
    assert await site.rows() == []
    found = {row.hash: row for row in await unclaimed()}
    assert {hash_: row.amount for hash_, row in found.items()} == {plain: D(1), wrong: D(2), both: D(3), words: D(4)}
    assert (found[plain].memos, found[wrong].memos, len(found[words].memos[0])) == ((), (swapped,), 200)
    assert [row.amount for row in await unclaimed(dust=True)] == [D("0.000000001")]
    await site.run()
    assert len(await unclaimed()) == 4


async def test_one_memo_among_other_words_is_enough(site: SolanaSite) -> None:
    site.chain.run([site.sol(SOL), *_memos("hello", site.memo, site.memo)], site.sender)
    site.chain.finalize()
    await site.run()
    assert await site.funds() == 1


@pytest.mark.parametrize("after", [True, pytest.param(False, marks=pytest.mark.soak)])
async def test_killed_at_any_step_it_is_credited_once(site: SolanaSite, after: bool) -> None:
    at = 1
    while True:
        site.pay(site.sol(SOL), *site.tokens(site.usdc, 10**6), memo=site.memo)
        site.pay(site.sol(SOL))
        site.chain.finalize()
        was_killed = not await site.run(killer=Killer(at, after=after))
        await site.run()
        assert (await site.funds(), await site.funds("USDC")) == (D(at), D(at))
        assert (site.reserve(), site.reserve("USDC")) == (at * SOL, at * 10**6)
        assert len(await unclaimed()) == at
        if not was_killed:
            break
        at += 1
    assert at > 8


async def test_a_worker_that_was_away_reads_on_from_its_place(site: SolanaSite) -> None:
    for _ in range(3):
        site.pay(site.sol(SOL), memo=site.memo)
        site.chain.advance(400)
    await site.run()
    assert await site.funds() == 3
    cursor = await deposit.cursor("solana")
    assert cursor is not None
    assert cursor.number == site.nodes[0].get_slot()


async def test_it_looks_again_only_after_a_while(site: SolanaSite) -> None:
    watch = site.watch()
    assert not await watch.step()
    asked = len(site.nodes[0].asked)
    site.pay(site.sol(SOL), memo=site.memo)
    site.chain.finalize()
    assert not await watch.step()
    assert len(site.nodes[0].asked) == asked
    site.world.clock.advance(5)
    assert not await watch.step()
    assert await site.funds() == 1


async def test_what_one_of_two_nodes_hides_the_other_tells(pair: SolanaSite) -> None:
    pair.pay(pair.sol(SOL), memo=pair.memo)
    pair.chain.finalize()
    pair.nodes[0].twist = lambda method, params, result: [] if method == "getSignaturesForAddress" else result
    await pair.run()
    assert await pair.funds() == 1


async def test_what_one_of_two_nodes_invents_is_said_and_never_credited(pair: SolanaSite) -> None:
    """A payment that was on a fork only, which it calls final."""
    signature = pair.pay(pair.sol(SOL), memo=pair.memo)
    liar, slot = pair.nodes[0], pair.chain.tip.slot
    early = {"commitment": "processed"}
    told: dict[str, Any] = {
        "getTransaction": liar.get_transaction(signature, early),
        "getSignaturesForAddress": liar.get_signatures_for_address(key(HOUSE), early),
    }
    pair.chain.fork_away(slot)
    pair.chain.finalize()
    liar.twist = lambda method, params, result: (
        told[method] if method in told and params[0] in (key(HOUSE), signature) else result
    )
    honest = pair.pay(pair.sol(2 * SOL), memo=pair.memo)
    pair.chain.finalize()
    await pair.run()
    assert [row.hash for row in await pair.rows()] == [honest]
    assert await pair.funds() == 2
    assert signature in (await pair.problem() or "")
    liar.twist = lambda method, params, result: result
    await pair.run()
    assert await pair.problem() is None
    assert await pair.funds() == 2


async def test_an_amount_that_nodes_tell_differently_waits_until_they_agree(pair: SolanaSite) -> None:
    signature = pair.pay(pair.sol(SOL), memo=pair.memo)
    pair.chain.finalize()

    def twist(method: str, params: list[Any], result: Any) -> Any:
        if method == "getTransaction":
            result["meta"]["postBalances"][1] += 10 * SOL
        return result

    pair.nodes[1].twist = twist
    for _ in range(2):
        await pair.run()
        assert await pair.rows() == []
        assert f"tell transaction {signature} differently" in (await pair.problem() or "")
    pair.nodes[1].twist = lambda method, params, result: result
    await pair.run()
    assert await pair.funds() == 1


async def test_a_node_that_lags_is_waited_for_and_loses_nothing(pair: SolanaSite) -> None:
    pair.pay(pair.sol(SOL), memo=pair.memo)
    pair.chain.finalize()
    pair.nodes[1].behind = 40
    await pair.run()
    assert (await pair.rows(), await pair.problem()) == ([], None)
    pair.chain.advance(3_000)
    pair.nodes[1].behind = 3_040
    await pair.run()
    assert await pair.rows() == []
    pair.nodes[1].behind = 0
    await pair.run()
    assert await pair.funds() == 1


async def test_a_node_that_is_silent_or_of_another_chain_or_has_dropped_its_history_is_missed(pair: SolanaSite) -> None:
    pair.pay(pair.sol(SOL), memo=pair.memo)
    pair.chain.finalize()
    async with solana_node(SolanaChain()) as foreign:
        for other in (foreign, None):
            client = client_of(pair.chain, [pair.nodes[0], other or foreign], pair.world.clock)
            if other is None:
                client = client_of(pair.chain, pair.nodes, pair.world.clock)
                pair.nodes[1].first_slot = pair.chain.tip.slot
            with pytest.raises(ChainUnavailable):
                await pair.run(client)
            await client.close()
            assert await pair.rows() == []
            assert await pair.problem() is not None
    pair.nodes[1].first_slot = 0
    await pair.run()
    assert (await pair.funds(), await pair.problem()) == (D(1), None)


async def test_a_chain_that_is_down_is_said_and_changes_nothing(site: SolanaSite) -> None:
    dead = client_of(site.chain, [type(site.nodes[0])(site.chain)], site.world.clock)
    with pytest.raises(ChainError):
        await site.run(dead)
    await dead.close()
    assert await site.problem() is not None


def _memos(*texts: str) -> list[Instruction]:
    return [encode(Memo(text)) for text in texts]


def _signed(site: SolanaSite, payer: Keypair, lamports: int) -> VersionedTransaction:
    message = MessageV0.try_compile(
        payer.pubkey(), [site.sol(lamports, by=payer), *_memos(site.memo)], [], site.chain.tip.hash
    )
    return VersionedTransaction(message, [payer])
