"""Linked wallets: what proves one, what is kept, and that nothing is when anything is not as it was given."""

import asyncio
from collections.abc import AsyncIterator, Callable
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
from models import user, wallet
from models.wallet import WalletDocument
from services.wallet_proofs.bitcoin_addresses import AddressKind
from services.wallets import MOST_WALLETS
from tests.account_life import done, payload, proven, refusals, set_status, subjects
from tests.accounts import CLIENT, ISSUER, PAGE, Person, World, world
from tests.chains import ANVIL_ADDRESSES, LOCAL_ETHEREUM, anvil
from tests.factors import ClockOf
from tests.stored import audited, everything, unchanged
from tests.wallet_keys import (
    CHAINS,
    BitcoinKey,
    Contract,
    EthereumKey,
    LocalChain,
    NodeCalls,
    Signer,
    SolanaKey,
)

ANNA, BELA = "anna@example.com", "bela@example.com"
MINUTE_MS = 60_000
WALLETS = "{ viewer { wallets { id address family name linkedAt contractWallet } security { withdrawalsHeldUntil } } }"
FAMILIES: list[Callable[[], Signer]] = [
    EthereumKey,
    SolanaKey,
    *(lambda kind=kind: BitcoinKey(kind) for kind in AddressKind),
]
Json = dict[str, Any]


@pytest.fixture
async def vault(database: Database) -> AsyncIterator[World]:
    async with world(chains=CHAINS) as made:
        yield made


async def asked(vault: World, person: Person, signer: Signer, **given: Any) -> str:
    """The message that the signer is given."""
    found = await done(
        vault, "createLinkChallenge", person, **{"family": signer.family, "address": signer.address, **given}
    )
    return str(found["challenge"]["message"])


async def linked(vault: World, person: Person, signer: Signer, **given: Any) -> Json:
    """The wallet, which is linked now."""
    message = await asked(vault, person, signer)
    found = await done(
        vault,
        "linkWallet",
        person,
        family=signer.family,
        address=signer.address,
        message=message,
        signature=signer.sign(message),
        **given,
    )
    linked_now: Json = found["wallet"]
    return linked_now


async def tried(vault: World, person: Person, signer: Signer, message: str, **given: Any) -> Json:
    """The payload of a link with this message, signed."""
    made: Json = {
        "family": signer.family,
        "address": signer.address,
        "message": message,
        "signature": signer.sign(message),
        **given,
    }
    return await payload(vault, "linkWallet", person, **made)


async def stored(signer: Signer) -> WalletDocument:
    """What is kept of a linked wallet."""
    found = await wallet.by_address(signer.family, signer.address)
    assert found is not None
    return found


@pytest.mark.parametrize("make", FAMILIES)
async def test_a_wallet_is_linked_by_what_it_signs(vault: World, make: Callable[[], Signer]) -> None:
    anna, signer = await vault.signed_up(ANNA), make()
    found = await linked(vault, anna, signer, name="  my savings ")
    seen = (await vault.data(WALLETS, anna))["viewer"]
    assert [each["address"] for each in seen["wallets"]] == [signer.address]
    assert seen["wallets"][0] == {
        "id": found["id"],
        "address": signer.address,
        "family": signer.family,
        "name": "my savings",
        "linkedAt": found["linkedAt"],
        "contractWallet": False,
    }
    assert seen["security"]["withdrawalsHeldUntil"] is not None
    node = "query($id: ID!) { node(id: $id) { id ... on Wallet { address } } }"
    assert (await vault.data(node, anna, id=found["id"]))["node"] == {"id": found["id"], "address": signer.address}
    bela = await vault.signed_up(BELA)
    for stranger in (bela, None):
        body = await vault.ask(node, stranger, id=found["id"])
        assert body["data"]["node"] is None
    detail = {"family": signer.family.value, "address": signer.address}
    assert await audited(anna.user_id, AuditAction.WALLET_LINKED) == [(AuditOutcome.ALLOWED, detail)]
    mail = await vault.mail("A wallet was linked")
    assert mail.to == ANNA
    assert signer.address in mail.text


async def test_the_message_says_what_is_signed_for_and_in_whose_name(vault: World) -> None:
    anna, key = await vault.signed_up(ANNA), EthereumKey()
    message = await asked(vault, anna, key)
    host = ISSUER.removeprefix("https://")
    assert message.startswith(f"{host} wants you to sign in with your Ethereum account:\n{key.address}\n\nLink this")
    assert ANNA in message
    assert f"\nURI: {ISSUER}\nVersion: 1\nChain ID: 31337\nNonce: " in message
    for origin, named in ((PAGE, PAGE), ("https://evil.example", ISSUER), ("null", ISSUER)):
        page = replace(CLIENT, is_page=True, origin=origin)
        found = await done(
            vault, "createLinkChallenge", anna, client=page, family="EVM", address=key.address.lower(), chainId=31337
        )
        text = found["challenge"]["message"]
        assert text.startswith(named.removeprefix("https://") + " wants")
        assert f"\nURI: {named}\n" in text
    assert "Chain ID" not in await asked(vault, anna, SolanaKey())


async def test_a_message_is_of_one_account(vault: World, database: Database) -> None:
    anna, bela, key = await vault.signed_up(ANNA), await vault.signed_up(BELA), EthereumKey()
    message = await asked(vault, anna, key)
    async with unchanged(database):
        assert refusals(await tried(vault, bela, key, message)) == [("CHALLENGE_EXPIRED", ["message"])]
    begun = await done(vault, "beginWalletLogIn", family="EVM", address=key.address)
    async with unchanged(database):
        found = await tried(vault, anna, key, begun["challenge"]["message"])
        assert refusals(found) == [("CHALLENGE_EXPIRED", ["message"])]
    assert (await tried(vault, anna, key, message))["errors"] == []


async def test_a_message_does_once(vault: World, database: Database) -> None:
    anna, key = await vault.signed_up(ANNA), EthereumKey()
    message = await asked(vault, anna, key)
    found = (await tried(vault, anna, key, message))["wallet"]
    async with unchanged(database):
        assert refusals(await tried(vault, anna, key, message)) == [("CHALLENGE_USED", ["message"])]
    assert (await proven(vault, "unlinkWallet", anna, id=found["id"]))["errors"] == []
    async with unchanged(database):
        assert refusals(await tried(vault, anna, key, message)) == [("CHALLENGE_USED", ["message"])]


async def test_of_several_at_once_one_uses_it(vault: World) -> None:
    anna, key = await vault.signed_up(ANNA), EthereumKey()
    message = await asked(vault, anna, key)
    tries = await asyncio.gather(*(tried(vault, anna, key, message) for _ in range(8)))
    assert sorted(code for found in tries for code, _ in refusals(found)) == ["CHALLENGE_USED"] * 7
    assert len(await wallet.of_user(anna.user_id)) == 1


async def test_a_message_lasts_five_minutes(vault: World, database: Database) -> None:
    anna, key = await vault.signed_up(ANNA), EthereumKey()
    early, late = await asked(vault, anna, key), await asked(vault, anna, SolanaKey())
    vault.clock.advance(299.999)
    anna = await vault.logged_in(ANNA)
    assert (await tried(vault, anna, key, early))["errors"] == []
    vault.clock.advance(0.001)
    other = SolanaKey()
    async with unchanged(database):
        found = await tried(vault, anna, other, late)
        assert refusals(found) == [("CHALLENGE_EXPIRED", ["message"])]


CHANGES: dict[str, tuple[Callable[[str], str], str, str]] = {
    "another domain": (lambda text: text.replace("api.vault", "evil.vault", 1), "MESSAGE_MISMATCH", "domain"),
    "another URI": (lambda text: text.replace("URI: https", "URI: http", 1), "MESSAGE_MISMATCH", "URI"),
    "another chain": (lambda text: text.replace("Chain ID: 31337", "Chain ID: 1"), "MESSAGE_MISMATCH", "Chain ID"),
    "a longer life": (lambda text: text.replace(":20.000Z", ":50.000Z"), "MESSAGE_MISMATCH", "Issued At"),
    "another account's mail": (lambda text: text.replace(ANNA, BELA), "MESSAGE_MISMATCH", "statement"),
    "another nonce": (
        lambda text: text.replace(text.split("Nonce: ")[1][:24], "A" * 24),
        "CHALLENGE_EXPIRED",
        "no such message",
    ),
    "fields that were swapped": (
        lambda text: text.replace("Version: 1\nChain ID: 31337", "Chain ID: 31337\nVersion: 1"),
        "MESSAGE_MISMATCH",
        "very message",
    ),
    "a line more": (lambda text: text + "\nRequest ID: 1", "MESSAGE_MISMATCH", "very message"),
    "an end of line more": (lambda text: text + "\n", "MESSAGE_MISMATCH", "very message"),
    "line ends of Windows": (lambda text: text.replace("\n", "\r\n"), "MESSAGE_MISMATCH", "very message"),
    "a letter that looks the same": (lambda text: text.replace("a", "\u0430", 1), "MESSAGE_MISMATCH", "very message"),
    "nothing": (lambda _: "", "MESSAGE_MISMATCH", "very message"),
}


@pytest.mark.parametrize("change", CHANGES)
async def test_what_was_signed_is_what_was_given(vault: World, database: Database, change: str) -> None:
    """Each is signed well, so that nothing but the message is wrong with it."""
    anna, key = await vault.signed_up(ANNA), EthereumKey()
    changed, code, told = CHANGES[change]
    message = await asked(vault, anna, key)
    async with unchanged(database):
        found = await tried(vault, anna, key, changed(message))
    assert refusals(found) == [(code, ["message"])]
    assert told in found["errors"][0]["message"]
    assert (await tried(vault, anna, key, message))["errors"] == []  # what was refused has not used it up


async def test_a_message_is_of_one_address_and_family(vault: World, database: Database) -> None:
    anna, key, other = await vault.signed_up(ANNA), EthereumKey(), EthereumKey()
    message = await asked(vault, anna, key)
    async with unchanged(database):
        found = await tried(vault, anna, key, message, address=other.address)
        assert refusals(found) == [("MESSAGE_MISMATCH", ["address"])]
        found = await tried(vault, anna, other, message.replace(key.address, other.address))
        assert refusals(found) == [("MESSAGE_MISMATCH", ["message"])]
        solana = SolanaKey()
        found = await tried(vault, anna, solana, message)
        assert refusals(found) == [("MESSAGE_MISMATCH", ["message"])]
        found = await tried(vault, anna, other, message, address=key.address)
        assert refusals(found) == [("SIGNATURE_INVALID", ["signature"])]


@pytest.mark.parametrize("make", FAMILIES)
async def test_a_signature_of_somebody_else_links_nothing(
    vault: World, database: Database, make: Callable[[], Signer]
) -> None:
    anna, signer = await vault.signed_up(ANNA), make()
    message = await asked(vault, anna, signer)
    async with unchanged(database):
        found = await tried(vault, anna, signer, message, signature=make().sign(message))
        assert refusals(found) == [("SIGNATURE_INVALID", ["signature"])]
        found = await tried(vault, anna, signer, message, signature=signer.sign(message + " "))
        assert refusals(found) == [("SIGNATURE_INVALID", ["signature"])]
        found = await tried(vault, anna, signer, message, signature="no signature")
        assert refusals(found) == [("SIGNATURE_INVALID", ["signature"])]


@pytest.mark.parametrize(
    ("given", "code", "field"),
    [
        ({"family": "EVM", "address": "0x123"}, "ADDRESS_INVALID", "address"),
        ({"family": "EVM", "address": ANVIL_ADDRESSES[0].replace("f", "F", 1)}, "ADDRESS_INVALID", "address"),
        ({"family": "EVM", "address": ANVIL_ADDRESSES[0], "chainId": 1}, "UNKNOWN_CHAIN", "chainId"),
        ({"family": "EVM", "address": ANVIL_ADDRESSES[0], "chainId": -1}, "UNKNOWN_CHAIN", "chainId"),
        ({"family": "SOLANA", "address": "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v", "chainId": 1}, "UNKNOWN_CHAIN", "chainId"),
        ({"family": "BITCOIN", "address": "tb1qw508d6qejxtdg4y5r3zarvary0c5xw7kxpjzsx"}, "ADDRESS_WRONG_NETWORK", "address"),
    ],
)  # fmt: skip
async def test_a_challenge_is_given_for_an_address_of_a_chain_here(
    vault: World, database: Database, given: Json, code: str, field: str
) -> None:
    anna = await vault.signed_up(ANNA)
    async with unchanged(database, but=("audit_events",)):
        assert refusals(await payload(vault, "createLinkChallenge", anna, **given)) == [(code, [field])]
        assert refusals(await payload(vault, "beginWalletLogIn", **given)) == [(code, [field])]


async def test_without_chains_nothing_can_be_proven(database: Database) -> None:
    async with world(chains={}) as vault:
        anna = await vault.signed_up(ANNA)
        found = await payload(vault, "createLinkChallenge", anna, family="EVM", address=ANVIL_ADDRESSES[0])
        assert refusals(found) == [("UNKNOWN_CHAIN", ["family"])]


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
    vault.clock.advance(MINUTE_MS / 1000)
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
            await vault.accounts.wallets.recheck(await stored(plain))
            assert calls.asked == asked_before  # a key's word is kept
            await vault.accounts.wallets.recheck(first)
            await vault.accounts.wallets.recheck(second)
            await chain.send(counterfactual.factory, counterfactual.deployment)
            await vault.accounts.wallets.recheck(second)
            await calls.node.call("anvil_impersonateAccount", owner.address)
            call = keccak(text="handOver(address)")[:4] + encode(["address"], [EthereumKey().address])
            await chain.send(deployed.address, call, sender=owner.address)
            with pytest.raises(WalletRefused) as refused:
                await vault.accounts.wallets.recheck(first)
            assert refused.value.reason == "CONTRACT_WALLET_REFUSED"
            message = await asked(vault, anna, await chain.counterfactual(owner))
            async with unchanged(database):
                found = await tried(vault, anna, deployed, message)
                assert refusals(found) == [("MESSAGE_MISMATCH", ["address"])]
    async with world(chains=CHAINS, contracts=calls) as vault:  # the node is gone
        with pytest.raises(WalletRefused) as away:
            await vault.accounts.wallets.recheck(second)
        assert away.value.reason == "PROVIDER_UNAVAILABLE"
    await calls.node.close()


async def test_a_contract_wallet_names_its_chain(vault: World) -> None:
    """Without a node nothing is said of it, and nothing is stored."""
    anna, key = await vault.signed_up(ANNA), EthereumKey()
    message = await asked(vault, anna, key, chainId=LOCAL_ETHEREUM.chain_id)
    found = await tried(vault, anna, key, message, signature="0x" + "11" * 130)
    assert refusals(found) == [("PROVIDER_UNAVAILABLE", None)]
    assert await wallet.of_user(anna.user_id) == []
    assert (await tried(vault, anna, key, message))["errors"] == []
