"""Linked wallets: what proves one, what is kept, and that nothing is when anything is not as it was given."""

import asyncio
import string
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from random import Random
from typing import Any

import pytest

from core.account_vocabulary import AuditAction, AuditOutcome
from core.database import Database
from models import wallet
from tests.account_life import done, payload, proven, refusals
from tests.accounts import CLIENT, ISSUER, PAGE, World, world
from tests.chains import ANVIL_ADDRESSES
from tests.stored import audited, unchanged
from tests.wallet_keys import (
    CHAINS,
    EthereumKey,
    Signer,
    SolanaKey,
)
from tests.wallet_life import FAMILIES, asked, linked, tried

ANNA, BELA = "anna@example.com", "bela@example.com"
ALPHABET = string.ascii_letters + string.digits + "+/=\u0430"
WALLETS = "{ viewer { wallets { id address family name linkedAt contractWallet } security { withdrawalsHeldUntil } } }"
Json = dict[str, Any]


@pytest.fixture
async def vault(database: Database) -> AsyncIterator[World]:
    async with world(chains=CHAINS) as made:
        yield made


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


@pytest.mark.parametrize("make", FAMILIES)
async def test_whatever_is_a_little_wrong_is_refused_and_changes_nothing(
    vault: World, database: Database, make: Callable[[], Signer]
) -> None:
    """Messages and signatures with one character changed, the former signed well: a code each, and nothing stored."""
    anna, signer, chance = await vault.signed_up(ANNA), make(), Random(7)
    message = await asked(vault, anna, signer)
    signature = signer.sign(message)
    async with unchanged(database):
        for _ in range(25):
            changed = _one_changed(message, chance)
            found = await tried(vault, anna, signer, changed)
            assert refusals(found)[0][0] in {"MESSAGE_MISMATCH", "CHALLENGE_EXPIRED"}, changed
            wrong = _one_changed(signature, chance)
            found = await tried(vault, anna, signer, message, signature=wrong)
            assert refusals(found)[0][0] in {"SIGNATURE_INVALID", "PROVIDER_UNAVAILABLE"}, wrong
    assert (await tried(vault, anna, signer, message, signature=signature))["errors"] == []


def _one_changed(text: str, chance: Random) -> str:
    place = chance.randrange(len(text))
    other = chance.choice([each for each in ALPHABET if each.lower() != text[place].lower()])
    return text[:place] + other + text[place + 1 :]
