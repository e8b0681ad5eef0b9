"""Transfers as the runtime executes them: what is prepared is what happens, to the lamport."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from solders.hash import Hash
from solders.keypair import Keypair
from solders.message import from_bytes_versioned

from integrations.chains.solana.addresses import TOKEN_PROGRAMS, InvalidAddress, associated_token_address
from integrations.chains.solana.client import SolanaClient
from integrations.chains.solana.errors import ProblemCode, TransactionRefused
from integrations.chains.solana.messages import Commitment
from integrations.chains.solana.transfers import (
    InvalidTransfer,
    NothingLeft,
    Prepared,
    Spending,
    Terms,
    all_sol,
    sol_transfer,
    spent_by,
    token_transfer,
    units_with_margin,
)
from integrations.chains.solana.wire import AnyMessage, from_base64, read_transaction
from tests.integrations.chains.solana.signing import address, signed
from tests.solana_chain import SolanaChain

SOL = 10**9


def message_of(prepared: Prepared) -> AnyMessage:
    return from_bytes_versioned(from_base64(prepared.message))


async def test_sol_with_a_memo_and_priority_costs_exactly_what_was_said(
    client: SolanaClient, chain: SolanaChain, sender: Keypair
) -> None:
    hash_ = (await client.latest_blockhash()).hash
    to = address(Keypair())
    prepared = sol_transfer(Terms(address(sender), hash_, micro_lamports=123_457, units=20_001), to, SOL, "order 7")
    assert prepared.fee == 5000 + 2470
    signature = await client.send(signed(prepared, sender))
    chain.advance()
    landed = await client.transaction(signature)
    assert landed is not None
    assert (landed.fee, landed.memos, landed.problem) == (prepared.fee, ("order 7",), None)
    assert landed.lamports_of(to) == SOL
    assert landed.lamports_of(address(sender)) == -SOL - prepared.fee
    assert landed.fee_payer == address(sender)
    assert spent_by(address(sender), message_of(prepared)) == Spending(SOL + prepared.fee, prepared.fee)
    assert spent_by(to, message_of(prepared)) == Spending(0, 0)


async def test_all_sol_leaves_exactly_nothing(client: SolanaClient, sender: Keypair) -> None:
    hash_ = (await client.latest_blockhash()).hash
    to = address(Keypair())
    prepared = all_sol(Terms(address(sender), hash_, micro_lamports=999), to, await client.lamports(address(sender)))
    await client.send(signed(prepared, sender))
    assert await client.lamports(address(sender), Commitment.PROCESSED) == 0
    assert await client.lamports(to, Commitment.PROCESSED) == 10 * SOL - prepared.fee


@pytest.mark.parametrize("program", TOKEN_PROGRAMS)
async def test_tokens_open_the_account_of_who_has_none(
    client: SolanaClient, chain: SolanaChain, sender: Keypair, program: str
) -> None:
    mint = chain.make_token(program, decimals=6)
    chain.mint_to(sender.pubkey(), mint, 5_000_000, program)
    chain.advance()
    to = address(Keypair())
    for amount, memo in ((1_500_000, "first"), (500_000, None)):
        terms = Terms(address(sender), (await client.latest_blockhash()).hash, micro_lamports=10)
        prepared = token_transfer(terms, to, amount, mint=address(mint), decimals=6, program=program, memo=memo)
        assert spent_by(address(sender), message_of(prepared)).tokens == {address(mint): amount}
        signature = await client.send(signed(prepared, sender))
        chain.advance()
        landed = await client.transaction(signature)
        assert landed is not None
        assert landed.tokens_of(to) == {address(mint): amount}
        assert landed.tokens_of(address(sender)) == {address(mint): -amount}
        assert landed.fee == prepared.fee
    (held,) = (await client.holdings(to)).tokens
    assert (held.mint, held.amount, held.decimals, held.program) == (address(mint), 2_000_000, 6, program)
    assert held.associated
    assert held.account == associated_token_address(to, address(mint), program)


async def test_a_simulation_tells_the_units_to_ask_for(
    client: SolanaClient, chain: SolanaChain, sender: Keypair
) -> None:
    mint = chain.make_token()
    chain.mint_to(sender.pubkey(), mint, 10)
    chain.advance()
    to = address(Keypair())

    async def prepared(units: int | None) -> Prepared:
        terms = Terms(address(sender), (await client.latest_blockhash()).hash, 1_000_000, units)
        return token_transfer(terms, to, 10, mint=address(mint), decimals=6)

    draft = await prepared(None)
    simulated = await client.simulate(from_base64(draft.transaction))
    assert simulated.problem is None
    final = await prepared(units_with_margin(simulated.units))
    assert final.fee < draft.fee
    await client.send(signed(final, sender))


@pytest.mark.parametrize(
    ("lamports", "code"),
    [
        (100 * SOL, ProblemCode.INSUFFICIENT_FUNDS),
        (1, ProblemCode.AMOUNT_TOO_SMALL),
        (10 * SOL - 5100, ProblemCode.INSUFFICIENT_FUNDS),
    ],
)
async def test_what_the_runtime_refuses_is_told_in_words_and_moves_nothing(
    client: SolanaClient, sender: Keypair, lamports: int, code: ProblemCode
) -> None:
    hash_ = (await client.latest_blockhash()).hash
    to = address(Keypair())
    with pytest.raises(TransactionRefused) as refused:
        await client.send(signed(sol_transfer(Terms(address(sender), hash_), to, lamports), sender))
    assert refused.value.problem.code is code
    assert await client.lamports(address(sender), Commitment.PROCESSED) == 10 * SOL
    assert await client.lamports(to, Commitment.PROCESSED) == 0


async def test_too_few_tokens_a_frozen_account_and_an_empty_payer_are_told_apart(
    client: SolanaClient, chain: SolanaChain, sender: Keypair
) -> None:
    mint = chain.make_token()
    account = chain.mint_to(sender.pubkey(), mint, 10)
    chain.advance()
    terms = Terms(address(sender), (await client.latest_blockhash()).hash)

    async def problem(payer: Keypair, prepared: Prepared) -> tuple[ProblemCode, str]:
        with pytest.raises(TransactionRefused) as refused:
            await client.send(signed(prepared, payer))
        return refused.value.problem.code, refused.value.problem.sentence

    to = address(Keypair())
    more = token_transfer(terms, to, 11, mint=address(mint), decimals=6)
    assert await problem(sender, more) == (ProblemCode.INSUFFICIENT_FUNDS, "The sender holds too few of these tokens.")
    wrong = token_transfer(terms, to, 1, mint=address(mint), decimals=9)
    assert (await problem(sender, wrong))[0] is ProblemCode.SIMULATION_REVERTED
    chain.freeze(account, mint)
    frozen = token_transfer(terms, to, 1, mint=address(mint), decimals=6)
    code, sentence = await problem(sender, frozen)
    assert (code, "frozen" in sentence) == (ProblemCode.SIMULATION_REVERTED, True)
    poor = Keypair()
    nothing = sol_transfer(Terms(address(poor), terms.blockhash), to, SOL)
    assert (await problem(poor, nothing))[0] is ProblemCode.INSUFFICIENT_GAS


async def test_sent_twice_or_too_late_is_refused_by_its_name(
    client: SolanaClient, chain: SolanaChain, sender: Keypair
) -> None:
    hash_ = (await client.latest_blockhash()).hash
    first = signed(sol_transfer(Terms(address(sender), hash_), address(Keypair()), SOL), sender)
    other = signed(sol_transfer(Terms(address(sender), hash_), address(Keypair()), SOL), sender)
    await client.send(first)
    chain.advance()
    with pytest.raises(TransactionRefused) as known:
        await client.send(first)
    assert known.value.problem.code is ProblemCode.ALREADY_KNOWN
    chain.expire_blockhashes()
    with pytest.raises(TransactionRefused) as late:
        await client.send(other)
    assert late.value.problem.code is ProblemCode.TRANSACTION_EXPIRED
    assert await client.lamports(address(sender)) == 9 * SOL - 5000


async def test_a_wrong_signature_is_refused(client: SolanaClient, sender: Keypair) -> None:
    hash_ = (await client.latest_blockhash()).hash
    raw = bytearray(signed(sol_transfer(Terms(address(sender), hash_), address(Keypair()), SOL), sender))
    raw[5] ^= 1
    with pytest.raises(TransactionRefused) as refused:
        await client.send(bytes(raw))
    assert refused.value.problem.code is ProblemCode.SIGNATURE_INVALID


_CHAIN = SolanaChain()
_PAYER, _PAYEE = Keypair(), Keypair()
_CHAIN.airdrop(_PAYER.pubkey(), 10**17)
_CHAIN.airdrop(_PAYEE.pubkey(), SOL)
TERMS = Terms(str(Keypair().pubkey()), str(Hash.default()))
MINT = str(Keypair().pubkey())


@pytest.mark.parametrize("amount", [0, -1, 2**64])
def test_an_amount_is_positive_and_fits(amount: int) -> None:
    with pytest.raises(InvalidTransfer):
        sol_transfer(TERMS, MINT, amount)
    with pytest.raises(InvalidTransfer):
        token_transfer(TERMS, MINT, amount, mint=MINT, decimals=6)


def test_what_cannot_be_written_is_refused() -> None:
    with pytest.raises(InvalidTransfer, match="memo"):
        sol_transfer(TERMS, MINT, 1, "é" * 201)
    with pytest.raises(InvalidTransfer, match="memo"):
        sol_transfer(TERMS, MINT, 1, "")
    with pytest.raises(InvalidTransfer, match="blockhash"):
        sol_transfer(Terms(TERMS.payer, "0"), MINT, 1)
    with pytest.raises(InvalidTransfer, match="limit"):
        sol_transfer(Terms(TERMS.payer, TERMS.blockhash, units=1_400_001), MINT, 1)
    with pytest.raises(InvalidTransfer, match="decimals"):
        token_transfer(TERMS, MINT, 1, mint=MINT, decimals=256)
    with pytest.raises(InvalidAddress):
        sol_transfer(TERMS, "nobody", 1)
    with pytest.raises(NothingLeft) as nothing:
        all_sol(TERMS, MINT, 5000)
    assert (nothing.value.needed, nothing.value.balance) == (5000, 5000)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 5 * SOL),
    st.integers(0, 5_000_000),
    st.integers(450, 1_400_000),
    st.one_of(st.none(), st.text(min_size=1, max_size=80)),
)
def test_the_fee_said_is_the_fee_taken(lamports: int, price: int, units: int, memo: str | None) -> None:
    chain, payer = _CHAIN, _PAYER
    terms = Terms(address(payer), str(chain.tip.hash), price, units if memo is None else max(units, 100_000))
    prepared = sol_transfer(terms, address(_PAYEE), lamports, memo)
    before = chain.svm.get_balance(payer.pubkey()) or 0
    chain.include(read_transaction(signed(prepared, payer)))
    assert chain.tip.landed[0].error is None
    assert before - (chain.svm.get_balance(payer.pubkey()) or 0) == lamports + prepared.fee
    assert chain.tip.landed[0].meta.fee() == prepared.fee
