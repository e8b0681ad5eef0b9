"""Signing in by a wallet: whom it signs in, what else is asked for, and what nobody learns by trying."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import pytest
from eth_abi.abi import encode
from eth_utils.crypto import keccak

from core.account_vocabulary import AuditAction, SessionMethod, UserStatus
from core.database import Database
from core.errors import RateLimited
from core.rate_limits import MemoryRateLimits
from core.vocabulary import ChainFamily
from models import wallet
from models.chain import ChainEntry
from services.log_in import Wish
from tests.account_life import done, log_of, payload, proven, refusals, set_status
from tests.accounts import CLIENT, Person, World, world
from tests.chains import LOCAL_ETHEREUM, anvil
from tests.factors import ClockOf, completed, enrolled
from tests.stored import unchanged
from tests.wallet_keys import CHAINS, BitcoinKey, Contract, EthereumKey, LocalChain, NodeCalls, Signer, SolanaKey

ANNA = "anna@example.com"
FAMILIES: list[Callable[[], Signer]] = [EthereumKey, SolanaKey, BitcoinKey]
Json = dict[str, Any]


@pytest.fixture
async def vault(database: Database) -> AsyncIterator[World]:
    async with world(chains=CHAINS) as made:
        yield made


async def link(vault: World, person: Person, signer: Signer, **given: Any) -> str:
    """Link the wallet; its id."""
    asked = await done(
        vault, "createLinkChallenge", person, **{"family": signer.family, "address": signer.address, **given}
    )
    message = asked["challenge"]["message"]
    made = {"family": signer.family, "address": signer.address, "message": message, "signature": signer.sign(message)}
    return str((await done(vault, "linkWallet", person, **made))["wallet"]["id"])


async def begun(vault: World, signer: Signer, **given: Any) -> str:
    """The message to be signed."""
    asked = await done(vault, "beginWalletLogIn", **{"family": signer.family, "address": signer.address, **given})
    return str(asked["challenge"]["message"])


async def finished(vault: World, signer: Signer, message: str, **given: Any) -> Json:
    """The payload of a log-in with this message, signed."""
    made: Json = {
        "family": signer.family,
        "address": signer.address,
        "message": message,
        "signature": signer.sign(message),
        "delivery": "VALUES",
        **given,
    }
    return await payload(vault, "finishWalletLogIn", **made)


@pytest.mark.parametrize("make", FAMILIES)
async def test_a_linked_wallet_signs_its_owner_in(vault: World, make: Callable[[], Signer]) -> None:
    anna, signer = await vault.signed_up(ANNA), make()
    await link(vault, anna, signer)
    message = await begun(vault, signer)
    assert "Log in to CryptoVault with this wallet." in message
    assert ANNA not in message
    found = await finished(vault, signer, message, deviceName="a laptop")
    assert found["errors"] == []
    assert found["viewer"]["email"] == ANNA
    assert (found["session"]["method"], found["session"]["deviceName"]) == ("WALLET", "a laptop")
    again = await vault.person(found["tokens"])
    assert again.user_id == anna.user_id
    events = [event.detail for event in await log_of(anna.user_id) if event.action is AuditAction.LOG_IN]
    assert events[-1]["method"] == SessionMethod.WALLET


async def test_nothing_tells_whether_a_wallet_is_linked_but_its_own_signature(vault: World, database: Database) -> None:
    anna, known, unknown = await vault.signed_up(ANNA), EthereumKey(), EthereumKey()
    await link(vault, anna, known)
    answers = []
    for key in (known, unknown):
        message = await begun(vault, key)
        async with unchanged(database):
            wrong = await finished(vault, key, message, signature=EthereumKey().sign(message))
        shape = message.replace(key.address, "").partition("Nonce: ")
        answers.append((shape[0], shape[2][24:], wrong))
    assert answers[0] == answers[1]
    assert refusals(answers[0][2]) == [("SIGNATURE_INVALID", ["signature"])]
    async with unchanged(database):
        found = await finished(vault, unknown, await begun(vault, unknown))
        assert refusals(found) == [("WALLET_NOT_LINKED", None)]


async def test_a_second_factor_is_still_asked_for(vault: World) -> None:
    anna, key = await vault.signed_up(ANNA), EthereumKey()
    await link(vault, anna, key)
    app = await enrolled(vault, anna)
    found = await finished(vault, key, await begun(vault, key))
    assert (found["session"], found["tokens"]) == (None, None)
    vault.clock.advance(30)
    done_now = await completed(vault, found["challenge"]["token"], totp=app.code())
    assert done_now["session"]["method"] == "WALLET"


async def test_a_message_does_once_and_not_for_long(vault: World, database: Database) -> None:
    anna, key = await vault.signed_up(ANNA), EthereumKey()
    await link(vault, anna, key)
    message = await begun(vault, key)
    assert (await finished(vault, key, message))["errors"] == []
    async with unchanged(database):
        assert refusals(await finished(vault, key, message)) == [("CHALLENGE_USED", ["message"])]
    late = await begun(vault, key)
    vault.clock.advance(300)
    async with unchanged(database):
        assert refusals(await finished(vault, key, late)) == [("CHALLENGE_EXPIRED", ["message"])]


async def test_of_several_at_once_one_signs_in(vault: World) -> None:
    anna, key = await vault.signed_up(ANNA), EthereumKey()
    await link(vault, anna, key)
    message = await begun(vault, key)
    tries = await asyncio.gather(*(finished(vault, key, message) for _ in range(6)))
    assert sorted(code for found in tries for code, _ in refusals(found)) == ["CHALLENGE_USED"] * 5


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        (lambda text: text.replace("api.vault", "evil.vault", 1), "MESSAGE_MISMATCH"),
        (lambda text: text.replace("Chain ID: 31337", "Chain ID: 1"), "MESSAGE_MISMATCH"),
        (lambda text: text.replace("Log in to", "Take over"), "MESSAGE_MISMATCH"),
        (lambda text: text + " ", "MESSAGE_MISMATCH"),
        (lambda text: text.replace(text.split("Nonce: ")[1][:24], "B" * 24), "CHALLENGE_EXPIRED"),
    ],
)
async def test_what_was_signed_is_what_was_given(
    vault: World, database: Database, changed: Callable[[str], str], code: str
) -> None:
    anna, key = await vault.signed_up(ANNA), EthereumKey()
    await link(vault, anna, key)
    message = changed(await begun(vault, key))
    async with unchanged(database):
        assert refusals(await finished(vault, key, message)) == [(code, ["message"])]


async def test_a_message_for_linking_signs_nobody_in(vault: World, database: Database) -> None:
    anna, key = await vault.signed_up(ANNA), EthereumKey()
    await link(vault, anna, key)
    asked = await done(vault, "createLinkChallenge", anna, family="EVM", address=key.address)
    async with unchanged(database):
        found = await finished(vault, key, asked["challenge"]["message"])
        assert refusals(found) == [("CHALLENGE_EXPIRED", ["message"])]
        found = await finished(vault, key, await begun(vault, key), address=EthereumKey().address)
        assert refusals(found) == [("MESSAGE_MISMATCH", ["address"])]
        found = await finished(vault, key, await begun(vault, key), address="0x1")
        assert refusals(found) == [("ADDRESS_INVALID", ["address"])]


async def test_who_is_not_signed_in_any_more(vault: World, database: Database) -> None:
    anna, key = await vault.signed_up(ANNA), EthereumKey()
    wallet_id = await link(vault, anna, key)
    await set_status(vault, anna, UserStatus.FROZEN)
    assert (await finished(vault, key, await begun(vault, key)))["errors"] == []  # to unfreeze it
    await set_status(vault, anna, UserStatus.SUSPENDED)
    async with unchanged(database):
        found = await finished(vault, key, await begun(vault, key))
        assert refusals(found) == [("ACCOUNT_FROZEN", None)]
    await set_status(vault, anna, UserStatus.ACTIVE)
    anna = await vault.logged_in(ANNA)
    message = await begun(vault, key)
    assert (await proven(vault, "unlinkWallet", anna, id=wallet_id))["errors"] == []
    assert refusals(await finished(vault, key, message)) == [("WALLET_NOT_LINKED", None)]
    await link(vault, anna, key)
    message = await begun(vault, key)
    assert (await proven(vault, "deleteAccount", anna))["errors"] == []
    assert refusals(await finished(vault, key, message)) == [("WALLET_NOT_LINKED", None)]


async def test_a_contract_counts_on_its_own_chain_alone(database: Database) -> None:
    """On another chain anybody may have put a contract of theirs at the same address."""
    elsewhere: ChainEntry = LOCAL_ETHEREUM.model_copy(update={"key": "polygon", "chain_id": 31338})
    async with anvil() as url:
        calls = NodeCalls(url)
        chain = LocalChain(calls)
        async with world(chains={**CHAINS, elsewhere.key: elsewhere}, contracts=calls) as vault:
            anna, owner = await vault.signed_up(ANNA), EthereumKey()
            contract = Contract(await chain.deploy("OwnedWallet", ["address"], owner.address), owner)
            counterfactual = await chain.counterfactual(owner)
            for signer in (contract, counterfactual):
                await link(vault, anna, signer)
                assert (await finished(vault, signer, await begun(vault, signer)))["errors"] == []
                found = await finished(vault, signer, await begun(vault, signer, chainId=31338))
                assert refusals(found) == [("WALLET_NOT_LINKED", None)]
            thief = Contract(contract.address, EthereumKey())
            found = await finished(vault, thief, await begun(vault, thief))
            assert refusals(found) == [("SIGNATURE_INVALID", ["signature"])]
            await link(vault, anna, owner)
            assert (await finished(vault, owner, await begun(vault, owner, chainId=31338)))["errors"] == []
        await calls.node.close()


async def test_whoever_gets_a_contract_wallet_does_not_get_the_account(database: Database) -> None:
    async with anvil() as url:
        calls = NodeCalls(url)
        chain = LocalChain(calls)
        async with world(chains=CHAINS, contracts=calls) as vault:
            anna, owner, buyer = await vault.signed_up(ANNA), EthereumKey(), EthereumKey()
            await calls.node.call("anvil_setBalance", owner.address, hex(10**18))
            await calls.node.call("anvil_impersonateAccount", owner.address)
            address = await chain.deploy("OwnedWallet", ["address"], owner.address)
            await link(vault, anna, Contract(address, owner))
            call = keccak(text="handOver(address)")[:4] + encode(["address"], [buyer.address])
            await chain.send(address, call, sender=owner.address)
            for signer in (buyer, owner):
                contract = Contract(address, signer)
                found = await finished(vault, contract, await begun(vault, contract))
                assert [each["code"] for each in found["errors"]] == [
                    "WALLET_NOT_LINKED" if signer is buyer else "SIGNATURE_INVALID"
                ]
                assert found["tokens"] is None
        await calls.node.close()


async def test_a_key_that_was_linked_is_not_replaced_by_a_contract(database: Database) -> None:
    """Where an account's address has code (EIP-7702), others may sign by it; who linked by the key signs by the key."""

    class SaysYes:
        async def call(self, chain: str, to: str | None, data: bytes) -> bytes:
            return bytes.fromhex("1626ba7e") + bytes(28)

        async def code(self, chain: str, address: str) -> bytes:
            return b"\xef\x01\x00" + bytes(20)

    async with world(chains=CHAINS, contracts=SaysYes()) as vault:
        anna, key = await vault.signed_up(ANNA), EthereumKey()
        await link(vault, anna, key)
        linked = await wallet.by_address(ChainFamily.EVM, key.address)
        assert linked is not None
        assert linked.contract is None
        message = await begun(vault, key)
        found = await finished(vault, key, message, signature=EthereumKey().sign(message))
        assert refusals(found) == [("WALLET_NOT_LINKED", None)]


async def test_a_cookie_is_set_for_a_page_alone(vault: World) -> None:
    anna, key = await vault.signed_up(ANNA), EthereumKey()
    await link(vault, anna, key)
    found = await finished(vault, key, await begun(vault, key), delivery="COOKIE")
    assert found["tokens"] is None
    assert found["session"]["method"] == "WALLET"


async def test_tries_are_counted(database: Database) -> None:
    clock = ClockOf()
    clock.world = World(limits=MemoryRateLimits(clock), chains=CHAINS)
    vault, key = clock.world, EthereumKey()
    await vault.accounts.load()
    with pytest.raises(RateLimited):
        for _ in range(61):
            await vault.accounts.wallet_log_in.begin(key.family, key.address, None, CLIENT)
    other = replace(CLIENT, address="203.0.113.9")
    asked = await vault.accounts.wallet_log_in.begin(key.family, key.address, None, other)  # the wallet is not locked
    assert key.address in asked.message
    wish = Wish(delivery=None, device_name=None)  # type: ignore[arg-type]
    with pytest.raises(RateLimited):
        await vault.accounts.wallet_log_in.finish(
            key.family, key.address, message=asked.message, signature="", wish=wish, client=CLIENT
        )
