"""Sending on Solana over GraphQL: prepared here, signed by a wallet, sent once, and what became of it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import pytest
from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.message import MessageV0, to_bytes_versioned
from solders.pubkey import Pubkey
from solders.system_program import AdvanceNonceAccountParams, advance_nonce_account
from solders.transaction import VersionedTransaction

from core.clock import Clock
from core.database import Database
from core.wallet_vocabulary import ChainNetwork
from events.token import TokenState
from integrations.chains.solana.addresses import (
    ASSOCIATED_TOKEN_PROGRAM,
    TOKEN_2022_PROGRAM,
    TOKEN_PROGRAM,
    associated_token_address,
)
from integrations.chains.solana.instructions import ComputeUnitPrice, Memo, Other, SolTransfer, decode, encode
from integrations.chains.solana.wire import from_base64, instructions_of, read_transaction, to_base64
from models import chain_transaction
from services.catalogue import Catalogue, read_files
from services.chains import Chains, solana_access
from tests.accounts import Person, World, world
from tests.custody import SOLANA_HOUSE
from tests.deposits_solana import client_of
from tests.solana_chain import FINAL_BLOCKS, HASH_BLOCKS, SolanaChain
from tests.solana_node import SolanaNode, solana_node
from tests.stored import unchanged

SOL = 10**9
TRANSACTION = """transaction { id from to payload summary fee gasLimit nonce expiresAt chain { key }
    effects { kind from to quantity token { symbol contract } } warnings { code message } }
    errors { code message field limit actual }"""
PREPARE = f"mutation($input: PrepareTransferInput!) {{ prepareTransfer(input: $input) {{ {TRANSACTION} }} }}"
STATUS = "hash status confirmations required blockNumber fee error"
SEND = f"""mutation($input: BroadcastTransactionInput!) {{ broadcastTransaction(input: $input) {{
    replayed transaction {{ {STATUS} }} errors {{ code message field }} }} }}"""
LOOK = f'query($hash: String!) {{ chainTransaction(chain: "solana", hash: $hash) {{ {STATUS} }} }}'
OWNER, FRIEND = (Keypair.from_seed(bytes([number]) * 32) for number in (21, 22))
RENT = 890_880


def key(of: Keypair) -> str:
    return str(of.pubkey())


@dataclass
class Desk:
    """Somebody who is signed in, a chain, and two tokens on it: `usdc`, which the catalogue vouches for, and one of Token-2022."""

    vault: World
    chain: SolanaChain
    nodes: list[SolanaNode]
    person: Person
    usdc: Keypair
    other: Keypair

    async def prepare(self, **changes: Any) -> dict[str, Any]:
        given = {"chain": "solana", "from": key(OWNER), "to": key(FRIEND), "token": "SOL", "amount": "1.5", **changes}
        return dict((await self.vault.data(PREPARE, self.person, input=given))["prepareTransfer"])

    async def send(self, signed: str, name: str = "b1", **changes: Any) -> dict[str, Any]:
        given = {"clientBroadcastId": name, "chain": "solana", "signed": signed, **changes}
        return dict((await self.vault.data(SEND, self.person, input=given))["broadcastTransaction"])

    async def look(self, hash_: str) -> dict[str, Any] | None:
        return (await self.vault.data(LOOK, self.person, hash=hash_))["chainTransaction"]  # type: ignore[no-any-return]

    def lamports(self, of: Keypair) -> int:
        account = self.chain.svm.get_account(of.pubkey())
        return 0 if account is None else account.lamports


@asynccontextmanager
async def desk_on() -> AsyncIterator[Desk]:
    chain = SolanaChain()
    chain.airdrop(OWNER.pubkey(), 10 * SOL)
    usdc, other = chain.make_token(TOKEN_PROGRAM), chain.make_token(TOKEN_2022_PROGRAM, decimals=2)
    chain.mint_to(OWNER.pubkey(), usdc, 50 * 10**6)
    chain.mint_to(OWNER.pubkey(), other, 700, TOKEN_2022_PROGRAM)
    chain.finalize()
    async with solana_node(chain) as first, solana_node(chain) as second:
        known = read_files(ChainNetwork.LOCAL)
        vouched = TokenState("solana", key(usdc), "USDC", "USD Coin", 6, "USDC")
        listed: dict[str | None, TokenState] = {None: known.tokens["solana"][None], key(usdc): vouched}
        known = replace(known, tokens={**known.tokens, "solana": listed})

        def reached(known: Catalogue, clock: Clock) -> Chains:
            client = client_of(chain, [first, second], clock)
            return Chains(known.chains, {"solana": solana_access(known.chains["solana"], client, clock)}, clock)

        async with world(known=known, reached=reached) as vault:
            person = await vault.signed_up("anna@example.com")
            yield Desk(vault, chain, [first, second], person, usdc, other)
            await vault.chains.close()


@pytest.fixture
async def desk(database: Database) -> AsyncIterator[Desk]:
    async with desk_on() as made:
        yield made


def sign(prepared: dict[str, Any], *signers: Keypair) -> str:
    """What a wallet makes of a payload."""
    message = read_transaction(from_base64(prepared["transaction"]["payload"]["transaction"])).message
    return to_base64(bytes(VersionedTransaction(message, list(signers) or [OWNER])))


def signed_by(payer: Keypair, chain: SolanaChain, *instructions: Instruction) -> str:
    message = MessageV0.try_compile(payer.pubkey(), list(instructions), [], chain.blocks[-2].hash)
    return to_base64(bytes(VersionedTransaction(message, [payer])))


def instructions(prepared: dict[str, Any]) -> list[Other]:
    return instructions_of(read_transaction(from_base64(prepared["transaction"]["payload"]["transaction"])).message)


def codes(payload: dict[str, Any]) -> list[tuple[str, list[str] | None]]:
    return [(each["code"], each["field"]) for each in payload["errors"]]


async def test_sol_goes_from_prepared_to_final(desk: Desk) -> None:
    prepared = await desk.prepare()
    made = prepared["transaction"]
    assert prepared["errors"] == []
    assert [each["code"] for each in made["warnings"]] == ["FIRST_TIME_ADDRESS"]
    assert (made["summary"], made["gasLimit"], made["nonce"]) == (f"Send 1.5 SOL to {key(FRIEND)}", None, None)
    effect = {"kind": "TRANSFER", "from": key(OWNER), "to": key(FRIEND), "quantity": "1.5"}
    assert made["effects"] == [effect | {"token": {"symbol": "SOL", "contract": None}}]
    fee = Decimal(made["fee"])
    assert Decimal("0.000005") <= fee < Decimal("0.00001")
    sent = await desk.send(sign(prepared), preparedId=made["id"])
    assert (sent["errors"], sent["replayed"], sent["transaction"]["status"]) == ([], False, "PENDING")
    hash_ = sent["transaction"]["hash"]
    desk.chain.advance()
    found = await desk.look(hash_)
    assert found is not None
    assert (found["status"], found["required"], found["error"]) == ("CONFIRMED", 32, None)
    assert 0 < found["confirmations"] < 32
    assert Decimal(found["fee"]) == fee
    desk.chain.finalize()
    found = await desk.look(hash_)
    assert found is not None
    assert (found["status"], found["confirmations"]) == ("FINAL", 32)
    assert desk.lamports(FRIEND) == 15 * SOL // 10
    again = await desk.send(sign(prepared), preparedId=made["id"])
    assert (again["replayed"], again["transaction"]["status"]) == (True, "FINAL")


async def test_all_sol_leaves_exactly_nothing(desk: Desk) -> None:
    prepared = await desk.prepare(amount=None, sendAll=True, speed="FAST")
    made = prepared["transaction"]
    assert Decimal(made["effects"][0]["quantity"]) + Decimal(made["fee"]) == 10
    await desk.send(sign(prepared), preparedId=made["id"])
    assert desk.lamports(OWNER) == 0


@pytest.mark.parametrize(("is_2022", "amount", "bytes_"), [(False, "25.5", 165), (True, "3.25", 170)])
async def test_tokens_open_the_recipients_account_and_say_what_it_costs(
    desk: Desk, is_2022: bool, amount: str, bytes_: int
) -> None:
    mint, program = (desk.other, TOKEN_2022_PROGRAM) if is_2022 else (desk.usdc, TOKEN_PROGRAM)
    prepared = await desk.prepare(token=key(mint), amount=amount)
    made = prepared["transaction"]
    assert prepared["errors"] == []
    rent = desk.chain.svm.minimum_balance_for_rent_exemption(bytes_)
    assert 5_000 <= Decimal(made["fee"]) * SOL - rent < 10_000
    assert made["effects"][0]["quantity"] == amount
    assert any(each.program == ASSOCIATED_TOKEN_PROGRAM for each in instructions(prepared))
    before = desk.lamports(OWNER)
    sent = await desk.send(sign(prepared), preparedId=made["id"])
    assert sent["errors"] == []
    desk.chain.finalize()
    found = await desk.look(sent["transaction"]["hash"])
    assert found is not None
    assert found["status"] == "FINAL"
    assert Decimal(found["fee"]) * SOL == before - desk.lamports(OWNER) == Decimal(made["fee"]) * SOL
    again = await desk.prepare(token=key(mint), amount="1")
    assert not any(each.program == ASSOCIATED_TOKEN_PROGRAM for each in instructions(again))
    assert Decimal(again["transaction"]["fee"]) * SOL < 10_000
    assert [each["code"] for each in again["transaction"]["warnings"]] == []
    place = associated_token_address(key(FRIEND), key(mint), program)
    assert desk.chain.svm.get_account(Pubkey.from_string(place)) is not None


async def test_the_exchanges_own_address_gets_the_memo(desk: Desk) -> None:
    refused = await desk.prepare(to=SOLANA_HOUSE)
    assert codes(refused) == [("ADDRESS_INVALID", ["to"])]
    memo = (await desk.vault.custody.deposit_addresses._memo(desk.person.user_id, "solana")).memo
    elsewhere = (await desk.prepare())["transaction"]["warnings"]
    assert [each["code"] for each in elsewhere] == ["FIRST_TIME_ADDRESS"]
    prepared = await desk.prepare(to=SOLANA_HOUSE)
    assert [each["code"] for each in prepared["transaction"]["warnings"]] == ["OWN_DEPOSIT_ADDRESS"]
    assert Memo(memo) in [decode(each) for each in instructions(prepared)]


@pytest.mark.parametrize(
    ("changes", "code", "field"),
    [
        ({"amount": "11"}, "INSUFFICIENT_GAS", "from"),
        ({"amount": "10"}, "INSUFFICIENT_GAS", "from"),
        ({"amount": "9.9995"}, "INSUFFICIENT_FUNDS", "amount"),
        ({"amount": "0.0001"}, "AMOUNT_TOO_SMALL", "amount"),
        ({"amount": "0.0000000001"}, "AMOUNT_INVALID", "amount"),
        ({"amount": None}, "AMOUNT_INVALID", "amount"),
        ({"token": "USDC", "amount": "51"}, "INSUFFICIENT_FUNDS", "amount"),
        ({"token": "USDC", "from": key(FRIEND), "amount": "1"}, "INSUFFICIENT_FUNDS", "amount"),
        ({"token": "DOGE"}, "UNKNOWN_ASSET", "token"),
        ({"token": key(FRIEND)}, "UNKNOWN_ASSET", "token"),
        ({"to": "0x00000000219ab540356cBB839Cbe05303d7705Fa"}, "ADDRESS_INVALID", "to"),
        ({"to": "11111111111111111111111111111111"}, "ADDRESS_INVALID", "to"),
        ({"from": "short"}, "ADDRESS_INVALID", "from"),
    ],
)
async def test_what_cannot_be_is_refused_and_changes_nothing(
    desk: Desk, database: Database, changes: dict[str, Any], code: str, field: str
) -> None:
    async with unchanged(database):
        assert codes(await desk.prepare(**changes)) == [(code, [field])]


async def test_what_is_no_wallet_gets_nothing(desk: Desk) -> None:
    assert codes(await desk.prepare(to=key(desk.usdc))) == [("ADDRESS_INVALID", ["to"])]
    account = associated_token_address(key(OWNER), key(desk.usdc))
    assert codes(await desk.prepare(to=account)) == [("ADDRESS_INVALID", ["to"])]
    desk.chain.freeze(account, desk.usdc)
    desk.chain.advance(2)
    frozen = await desk.prepare(token="USDC", amount="1")
    assert codes(frozen) == [("SIMULATION_REVERTED", None)]
    assert "frozen" in frozen["errors"][0]["message"]


async def test_tokens_that_take_a_fee_are_not_sent(desk: Desk) -> None:
    mint = desk.chain.make_token(TOKEN_2022_PROGRAM, fee_bps=100)
    desk.chain.mint_to(OWNER.pubkey(), mint, 10**6, TOKEN_2022_PROGRAM)
    desk.chain.advance(2)
    assert codes(await desk.prepare(token=key(mint), amount="1")) == [("NOT_ENABLED", ["token"])]
    free = desk.chain.make_token(TOKEN_2022_PROGRAM, fee_bps=0)
    desk.chain.mint_to(OWNER.pubkey(), free, 10**6, TOKEN_2022_PROGRAM)
    desk.chain.advance(2)
    prepared = await desk.prepare(token=key(free), amount="1")
    before = desk.lamports(OWNER)
    sent = await desk.send(sign(prepared), preparedId=prepared["transaction"]["id"])
    assert sent["errors"] == []
    assert Decimal(prepared["transaction"]["fee"]) * SOL == before - desk.lamports(OWNER)


async def test_what_a_wallet_may_change_and_what_not(desk: Desk) -> None:
    prepared = await desk.prepare()
    made = prepared["transaction"]
    message = read_transaction(from_base64(made["payload"]["transaction"])).message
    paid, more = (encode(SolTransfer(key(OWNER), key(FRIEND), amount)) for amount in (15 * SOL // 10, 2 * SOL))
    dearer = encode(ComputeUnitPrice(1_000))

    def written(*wanted: Instruction) -> str:
        changed = MessageV0.try_compile(OWNER.pubkey(), list(wanted), [], message.recent_blockhash)
        return to_base64(bytes(VersionedTransaction(changed, [OWNER])))

    for wrong, words in ((written(more), "It would also send 2000000000"), (written(paid, paid), "It would also send")):
        refused = await desk.send(wrong, preparedId=made["id"])
        assert codes(refused) == [("TRANSACTION_MISMATCH", ["signed"])]
        assert words in refused["errors"][0]["message"]
    assert desk.lamports(FRIEND) == 0
    sent = await desk.send(written(dearer, paid), preparedId=made["id"])
    assert sent["errors"] == []
    assert desk.lamports(FRIEND) == 15 * SOL // 10


async def test_what_is_not_signed_or_never_expires_is_not_sent(desk: Desk, database: Database) -> None:
    prepared = await desk.prepare()
    message = read_transaction(from_base64(prepared["transaction"]["payload"]["transaction"])).message
    forged = VersionedTransaction.populate(message, [FRIEND.sign_message(to_bytes_versioned(message))])
    nonce = AdvanceNonceAccountParams(nonce_pubkey=FRIEND.pubkey(), authorized_pubkey=OWNER.pubkey())
    lives_on = signed_by(OWNER, desk.chain, advance_nonce_account(nonce))
    unsigned = prepared["transaction"]["payload"]["transaction"]
    async with unchanged(database):
        for given in ("", "!!", "AAAA", to_base64(bytes(forged)), unsigned, lives_on):
            assert codes(await desk.send(given)) == [("TRANSACTION_REFUSED", ["signed"])]
    assert desk.lamports(FRIEND) == 0


async def test_one_that_was_signed_too_late_is_refused_and_its_key_is_free(desk: Desk) -> None:
    prepared = await desk.prepare()
    desk.chain.expire_blockhashes()
    refused = await desk.send(sign(prepared))
    assert codes(refused) == [("TRANSACTION_EXPIRED", ["signed"])]
    fresh = await desk.send(sign(await desk.prepare()))
    assert fresh["errors"] == []


async def test_over_after_a_minute(desk: Desk) -> None:
    prepared = await desk.prepare()
    desk.vault.clock.advance(61)
    late = await desk.send(sign(prepared), preparedId=prepared["transaction"]["id"])
    assert codes(late) == [("TRANSACTION_EXPIRED", ["preparedId"])]


async def test_one_that_failed_says_why(desk: Desk) -> None:
    paid = signed_by(OWNER, desk.chain, encode(SolTransfer(key(OWNER), key(FRIEND), 9 * SOL)))
    desk.chain.hold()
    sent = await desk.send(paid)
    assert sent["transaction"]["status"] == "PENDING"
    desk.chain.run([encode(SolTransfer(key(OWNER), key(Keypair()), 5 * SOL))], OWNER)
    desk.chain.release()
    desk.chain.finalize()
    found = await desk.look(sent["transaction"]["hash"])
    assert found is not None
    assert (found["status"], found["error"]) == ("FAILED", "The sender holds too little SOL.")
    assert Decimal(found["fee"]) == Decimal("0.000005")


async def test_dropped_only_when_it_can_never_land_any_more(desk: Desk) -> None:
    """No node knows it, long before its blockhash is over for good: until then nobody says that it is lost."""
    desk.chain.hold()
    sent = await desk.send(sign(await desk.prepare()))
    hash_ = sent["transaction"]["hash"]
    for blocks in (1, HASH_BLOCKS - 1, 1, FINAL_BLOCKS - 1):
        desk.chain.advance(blocks)
        assert await _followed(desk, hash_) == "PENDING"
    desk.nodes[1].behind = 40
    desk.chain.advance(2)
    assert await _followed(desk, hash_) == "PENDING", "one of two nodes does not show it yet"
    desk.nodes[1].behind = 0
    assert await _followed(desk, hash_) == "DROPPED"
    desk.chain.release()
    assert desk.lamports(FRIEND) == 0


async def test_one_that_lands_after_a_while_is_followed_to_its_end(desk: Desk) -> None:
    desk.chain.hold()
    sent = await desk.send(sign(await desk.prepare()))
    hash_ = sent["transaction"]["hash"]
    desk.chain.advance(100)
    assert await _followed(desk, hash_) == "PENDING"
    desk.chain.release()
    desk.chain.advance()
    assert await _followed(desk, hash_) == "CONFIRMED"
    desk.chain.finalize()
    assert await _followed(desk, hash_) == "FINAL"
    assert desk.lamports(FRIEND) == 15 * SOL // 10


async def _followed(desk: Desk, hash_: str) -> str:
    """The status after the worker has looked."""
    desk.vault.clock.advance(60)
    await desk.vault.transfers.tracking.step("solana", hash_)
    found = await chain_transaction.by_hash("solana", hash_)
    assert found is not None
    return found.track.status.value


async def test_a_hash_that_is_none(desk: Desk) -> None:
    for text in ("", "0x" + "1" * 64, "5" * 200):
        body = await desk.vault.ask(LOOK, desk.person, hash=text)
        assert body["errors"][0]["extensions"]["code"] == "INVALID_INPUT"
    unknown = str(OWNER.sign_message(b"nothing"))
    assert await desk.look(unknown) is None
