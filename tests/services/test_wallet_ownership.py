"""Linked wallets: whose they are, how many, how they are named and let go, and what becomes of contract wallets."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from eth_abi.abi import encode
from eth_utils.crypto import keccak

from core.account_vocabulary import AuditAction, AuditOutcome, UserStatus
from core.database import Database
from core.errors import RateLimited
from core.ids import decode_id, encode_id
from core.rate_limits import MemoryRateLimits
from core.refusals import UnknownObject, WalletRefused
from models import passkey, user, wallet
from services.wallets import MOST_WALLETS
from tests.account_life import done, payload, proven, refusals, row_of, set_status, subjects
from tests.accounts import CLIENT, World, world
from tests.chains import ANVIL_ADDRESSES, LOCAL_ETHEREUM, anvil
from tests.factors import STEP_SECONDS, Authenticator, ClockOf, enrolled, registered
from tests.stored import audited, everything, unchanged
from tests.wallet_keys import (
    CHAINS,
    Contract,
    EthereumKey,
    LocalChain,
    NodeCalls,
    SolanaKey,
)
from tests.wallet_life import asked, linked, stored, tried

ANNA, BELA = "anna@example.com", "bela@example.com"
WALLETS = "{ viewer { wallets { id } } }"
Json = dict[str, Any]


@pytest.fixture
async def vault(database: Database) -> AsyncIterator[World]:
    async with world(chains=CHAINS) as made:
        yield made


async def test_an_address_is_of_one_account_and_nobody_learns_whose(vault: World, database: Database) -> None:
    anna, bela, key = await vault.signed_up(ANNA), await vault.signed_up(BELA), EthereumKey()
    await linked(vault, anna, key)
    message = await asked(vault, bela, key)  # the question tells nothing
    found = await tried(vault, bela, key, message, signature=EthereumKey().sign(message))
    assert refusals(found) == [("SIGNATURE_INVALID", ["signature"])]  # nor does a wrong answer
    before = await everything(database, but=("wallet_challenges",))
    found = await tried(vault, bela, key, message)
    assert refusals(found) == [("ADDRESS_IN_USE", ["address"])]
    assert ANNA not in str(found)
    assert anna.user_id not in str(found)
    assert await everything(database, but=("wallet_challenges",)) == before
    again = await tried(vault, anna, key, await asked(vault, anna, key))
    assert refusals(again) == [("ADDRESS_IN_USE", ["address"])]


async def test_of_two_accounts_at_once_one_gets_the_address(vault: World) -> None:
    people = [await vault.signed_up(f"person{number}@example.com") for number in range(4)]
    key = EthereumKey()
    messages = [await asked(vault, person, key) for person in people]
    tries = await asyncio.gather(
        *(tried(vault, person, key, message) for person, message in zip(people, messages, strict=True))
    )
    codes = sorted(code for found in tries for code, _ in refusals(found))
    assert codes == ["ADDRESS_IN_USE"] * 3
    assert sum([len(await wallet.of_user(person.user_id)) for person in people]) == 1


async def test_an_account_has_so_many_wallets_even_at_once(vault: World) -> None:
    anna = await vault.signed_up(ANNA)
    keys = [EthereumKey() for _ in range(MOST_WALLETS + 3)]
    messages = [await asked(vault, anna, key) for key in keys]
    for key, message in list(zip(keys, messages, strict=True))[: MOST_WALLETS - 2]:
        assert (await tried(vault, anna, key, message))["errors"] == []
    tries = await asyncio.gather(
        *(tried(vault, anna, key, message) for key, message in zip(keys, messages, strict=True) if key in keys[-5:])
    )
    refused = [error for found in tries for error in found["errors"]]
    assert [(each["code"], each["limit"], each["actual"]) for each in refused] == [("LIMIT_EXCEEDED", "20", "21")] * 3
    assert len(await wallet.of_user(anna.user_id)) == MOST_WALLETS
    found = await payload(vault, "createLinkChallenge", anna, family="EVM", address=EthereumKey().address)
    assert refusals(found) == [("LIMIT_EXCEEDED", None)]


async def test_names(vault: World, database: Database) -> None:
    anna, bela, key = await vault.signed_up(ANNA), await vault.signed_up(BELA), EthereumKey()
    wrong = ("", " ", "x" * 41, "a\u200bb", "a\nb")
    message = await asked(vault, anna, key)
    for name in wrong:
        assert refusals(await tried(vault, anna, key, message, name=name)) == [("INVALID_INPUT", ["name"])]
    found = (await tried(vault, anna, key, message))["wallet"]
    assert found["name"] is None
    named = await done(vault, "renameWallet", anna, id=found["id"], name="Hardware ✓")
    assert named["wallet"]["name"] == "Hardware ✓"
    async with unchanged(database):
        for name in wrong:
            refused = await payload(vault, "renameWallet", anna, id=found["id"], name=name)
            assert refusals(refused) == [("INVALID_INPUT", ["name"])]
        for id_ in ("", "x", encode_id("Wallet", "none"), encode_id("Passkey", decode_id(found["id"])[1][0])):
            refused = await payload(vault, "renameWallet", anna, id=id_, name="x")
            assert refusals(refused) == [("UNKNOWN_WALLET", ["id"])]
        refused = await payload(vault, "renameWallet", bela, id=found["id"], name="x")
        assert refusals(refused) == [("UNKNOWN_WALLET", ["id"])]


async def test_unlinking_needs_proof_and_frees_the_address(vault: World, database: Database) -> None:
    anna, bela, key = await vault.signed_up(ANNA), await vault.signed_up(BELA), EthereumKey()
    found = await linked(vault, anna, key)
    async with unchanged(database):
        refused = await payload(vault, "unlinkWallet", anna, id=found["id"])
        assert refusals(refused) == [("STEP_UP_REQUIRED", None)]
        assert refused["errors"][0]["stepUp"]["operation"] == "unlinkWallet"
        assert refusals(await proven(vault, "unlinkWallet", bela, id=found["id"])) == [("UNKNOWN_WALLET", ["id"])]
    vault.clock.advance(60)
    gone = await proven(vault, "unlinkWallet", anna, id=found["id"])
    assert gone["wallet"]["address"] == key.address
    assert (await vault.data(WALLETS, anna))["viewer"]["wallets"] == []
    assert await audited(anna.user_id, AuditAction.WALLET_UNLINKED) == [
        (AuditOutcome.ALLOWED, {"family": "EVM", "address": key.address})
    ]
    assert "A wallet was unlinked from your account" in await subjects(vault, ANNA)
    await linked(vault, bela, key)


async def test_the_last_way_to_sign_in_stays(vault: World, database: Database) -> None:
    anna, first, second = await vault.signed_up(ANNA), EthereumKey(), SolanaKey()
    one, two = await linked(vault, anna, first), await linked(vault, anna, second)
    await user.UserDocument.get_pymongo_collection().update_one(
        {"_id": anna.user_id}, {"$unset": {"password_hash": ""}}
    )
    assert (await payload(vault, "unlinkWallet", anna, id=one["id"]))[
        "errors"
    ] == []  # just signed in, without a factor
    async with unchanged(database):
        refused = await payload(vault, "unlinkWallet", anna, id=two["id"])
        assert refusals(refused) == [("LAST_FACTOR", ["id"])]


async def test_a_wallet_is_a_way_to_sign_in_beside_the_others(vault: World, database: Database) -> None:
    anna, key = await vault.signed_up(ANNA), EthereumKey()
    wallet_id = (await linked(vault, anna, key))["id"]
    await registered(vault, anna, Authenticator())
    await user.UserDocument.get_pymongo_collection().update_one(
        {"_id": anna.user_id}, {"$unset": {"password_hash": ""}}
    )
    person = await row_of(anna.user_id)
    (key_row,) = await passkey.of_user(anna.user_id)
    await vault.accounts.passkeys.delete(person, key_row.id, CLIENT)
    async with unchanged(database):
        refused = await payload(vault, "unlinkWallet", anna, id=wallet_id)
        assert refusals(refused) == [("LAST_FACTOR", ["id"])]


async def test_who_may_link(vault: World, database: Database) -> None:
    unproven = await vault.signed_up("new@example.com", verified=False)
    frozen = await vault.signed_up("frozen@example.com")
    await set_status(vault, frozen, UserStatus.FROZEN)
    given = {"family": "EVM", "address": ANVIL_ADDRESSES[0]}
    for person, code in ((unproven, "EMAIL_NOT_VERIFIED"), (await vault.current(frozen), "ACCOUNT_FROZEN")):
        refused = await vault.ask(
            "mutation($input: CreateLinkChallengeInput!) { createLinkChallenge(input: $input) { errors { code } } }",
            person,
            input=given,
        )
        assert code in str(refused)


async def test_a_deleted_account_lets_its_wallets_go(vault: World) -> None:
    anna, key = await vault.signed_up(ANNA), EthereumKey()
    await linked(vault, anna, key)
    message = await asked(vault, anna, other := SolanaKey())
    assert (await proven(vault, "deleteAccount", anna))["errors"] == []
    assert await wallet.of_user(anna.user_id) == []
    with pytest.raises(UnknownObject):  # a link that was under way when the account ended
        await vault.accounts.wallets.link(
            anna.viewer,
            other.family,
            other.address,
            message=message,
            signature=other.sign(message),
            name=None,
            client=CLIENT,
        )
    assert await wallet.of_user(anna.user_id) == []
    bela = await vault.signed_up(BELA)
    await linked(vault, bela, key)


async def test_tries_are_counted(database: Database) -> None:
    clock = ClockOf()
    clock.world = World(limits=MemoryRateLimits(clock), chains=CHAINS)
    vault = clock.world
    await vault.accounts.load()
    anna, key = await vault.signed_up(ANNA), EthereumKey()
    with pytest.raises(RateLimited):
        for _ in range(61):
            await vault.accounts.wallets.begin_link(anna.viewer, key.family, key.address, None, CLIENT)
    other = replace(CLIENT, address="203.0.113.9")
    with pytest.raises(RateLimited):  # the account's, wherever it comes from
        await vault.accounts.wallets.begin_link(anna.viewer, key.family, key.address, None, other)


async def test_contract_wallets_are_linked_and_asked_again(database: Database) -> None:
    async with anvil() as url:
        calls = NodeCalls(url)
        chain = LocalChain(calls)
        async with world(chains=CHAINS, contracts=calls) as vault:
            anna, owner = await vault.signed_up(ANNA), EthereumKey()
            await calls.node.call("anvil_setBalance", owner.address, hex(10**18))
            deployed = Contract(await chain.deploy("OwnedWallet", ["address"], owner.address), owner)
            counterfactual = await chain.counterfactual(owner)
            for signer in (deployed, counterfactual):
                assert (await linked(vault, anna, signer))["contractWallet"] is True
            first, second = await stored(deployed), await stored(counterfactual)
            await linked(vault, anna, plain := SolanaKey())
            asked_before = calls.asked
            await vault.accounts.wallet_control.recheck(await stored(plain))
            assert calls.asked == asked_before  # a key's word is kept
            await vault.accounts.wallet_control.recheck(first)
            await vault.accounts.wallet_control.recheck(second)
            await chain.send(counterfactual.factory, counterfactual.deployment)
            await vault.accounts.wallet_control.recheck(second)
            await calls.node.call("anvil_impersonateAccount", owner.address)
            call = keccak(text="handOver(address)")[:4] + encode(["address"], [EthereumKey().address])
            await chain.send(deployed.address, call, sender=owner.address)
            with pytest.raises(WalletRefused) as refused:
                await vault.accounts.wallet_control.recheck(first)
            assert refused.value.reason == "CONTRACT_WALLET_REFUSED"
            message = await asked(vault, anna, await chain.counterfactual(owner))
            async with unchanged(database):
                found = await tried(vault, anna, deployed, message)
                assert refusals(found) == [("MESSAGE_MISMATCH", ["address"])]
    async with world(chains=CHAINS, contracts=calls) as vault:  # the node is gone
        with pytest.raises(WalletRefused) as away:
            await vault.accounts.wallet_control.recheck(second)
        assert away.value.reason == "PROVIDER_UNAVAILABLE"
    await calls.node.close()


async def test_linking_needs_a_second_factor_where_there_is_one(vault: World, database: Database) -> None:
    anna, key = await vault.signed_up(ANNA), EthereumKey()
    app = await enrolled(vault, anna)
    vault.clock.advance(STEP_SECONDS)
    message = await asked(vault, anna, key)
    given: Json = {"family": key.family, "address": key.address, "message": message, "signature": key.sign(message)}
    async with unchanged(database):
        assert refusals(await payload(vault, "linkWallet", anna, **given)) == [("STEP_UP_REQUIRED", None)]
    proof = await vault.proof(anna, "linkWallet", given, totp=app.code())
    other = EthereumKey()
    async with unchanged(database):
        found = await tried(vault, anna, other, await asked(vault, anna, other), stepUpProof=proof)
        assert refusals(found) == [("STEP_UP_INVALID", ["stepUpProof"])]
    vault.clock.advance(STEP_SECONDS)
    proof = await vault.proof(anna, "linkWallet", given, totp=app.code())
    assert (await payload(vault, "linkWallet", anna, **given, stepUpProof=proof))["errors"] == []
    assert [each.address for each in await wallet.of_user(anna.user_id)] == [key.address]


async def test_a_contract_wallet_names_its_chain(vault: World) -> None:
    """Without a node nothing is said of it, and nothing is stored."""
    anna, key = await vault.signed_up(ANNA), EthereumKey()
    message = await asked(vault, anna, key, chainId=LOCAL_ETHEREUM.chain_id)
    found = await tried(vault, anna, key, message, signature="0x" + "11" * 130)
    assert refusals(found) == [("PROVIDER_UNAVAILABLE", None)]
    assert await wallet.of_user(anna.user_id) == []
    assert (await tried(vault, anna, key, message))["errors"] == []
