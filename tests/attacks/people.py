"""Somebody who has one of everything, and what the database holds about them."""

import asyncio
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from core.account_vocabulary import AuthFactor, Role
from core.database import Database
from core.ids import encode_id, sequence_in
from core.vocabulary import ChainFamily
from core.wallet_vocabulary import DepositStatus, SwapProvider, SwapStatus, WithdrawalStatus
from graph.request import ALL_OPERATIONS, GraphQLRequest
from models import (
    deposit,
    deposit_address,
    identity,
    passkey,
    session,
    swap,
    swap_quote,
    trading_account,
    user,
    wallet,
    withdrawal,
    withdrawal_address,
)
from models.base import transaction
from models.deposit import ChainCursorDocument, DepositDocument
from models.deposit_address import DepositAddressDocument
from models.identity import IdentityDocument
from models.passkey import PasskeyDocument
from models.swap import SwapDocument
from models.swap_quote import CallEntry, QuoteEntry, SwapQuoteDocument, TokenEntry
from models.wallet import WalletDocument
from models.withdrawal import WithdrawalDocument
from models.withdrawal_address import WithdrawalAddressDocument
from services.viewer import Client
from tests.accounts import Person, World
from tests.stored import Rows, everything
from tests.trading import fill_state, store_fills
from tests.trading_rows import line, put_lines

MARK = "zzalice"
"""Stands in every text of hers, so that an answer that shows one shows this."""
EMAIL = f"{MARK}@example.com"
HER_WALLET = "0xA11ce0000000000000000000000000000000a11c"
HER_CLIENT = Client(address="198.51.100.77", request_id=f"{MARK}-request", locale="en", user_agent=f"{MARK} agent")
ANSWERED_SECONDS = 60


@dataclass(frozen=True)
class Alice:
    """The person, and a global id of every kind of thing that is hers."""

    person: Person
    ids: Mapping[str, str]

    def is_shown_in(self, answer: str) -> bool:
        """Whether anything of hers stands in this text."""
        return (
            MARK in answer
            or HER_WALLET in answer
            or self.person.user_id in answer
            or any(each in answer for each in self.ids.values())
        )


async def alice_in(world: World) -> Alice:
    """Alice: proven, named, with two sessions, a key, a passkey, an external identity, and a wallet."""
    await world.signed_up(EMAIL)
    person = await world.logged_in(EMAIL, client=HER_CLIENT)
    changes = {"displayName": f"{MARK} name", "antiPhishingCode": f"{MARK} code"}
    await world.data(
        "mutation($input: UpdateProfileInput!) { updateProfile(input: $input) { errors { code } } }",
        person,
        input=changes,
    )
    key = {"name": f"{MARK} key", "scopes": ["READ"]}
    proof = await world.proof(person, "createApiKey", key)
    made = await world.data(
        "mutation($input: CreateApiKeyInput!) { createApiKey(input: $input) { apiKey { id } errors { code } } }",
        person,
        input={**key, "stepUpProof": proof},
    )
    await passkey.insert(
        PasskeyDocument(
            id=f"{MARK}-passkey",
            user_id=person.user_id,
            name=f"{MARK} passkey",
            credential_id=f"{MARK}-credential",
            public_key="AAAA",
            sign_count=1,
            created_ms=world.clock.now_ms(),
        )
    )
    await identity.insert(
        IdentityDocument(
            id=f"{MARK}-identity",
            user_id=person.user_id,
            provider="github",
            subject=f"{MARK}-subject",
            email=EMAIL,
            linked_ms=world.clock.now_ms(),
        )
    )
    await wallet.insert(
        WalletDocument(
            id=f"{MARK}-wallet",
            user_id=person.user_id,
            slot=0,
            family=ChainFamily.EVM,
            address=HER_WALLET,
            name=f"{MARK} wallet",
            linked_ms=world.clock.now_ms(),
        )
    )
    traded = await _traded(world, person)
    await _has_traded(person.user_id, sequence_in(traded["Order"], "Order") or 0)
    withdrawn = await _withdraws(world, person.user_id)
    quoted = await _asks_for_a_swap(world, person.user_id)
    other = next(
        each for each in await world.accounts.sessions.of_user(person.user_id) if each.id != person.viewer.session_id
    )
    ids = {
        "AdminUser": encode_id("AdminUser", person.user_id),
        "ApiKey": made["createApiKey"]["apiKey"]["id"],
        "AuditEvent": encode_id("AuditEvent", person.user_id, 1),
        "ExternalIdentity": encode_id("ExternalIdentity", f"{MARK}-identity"),
        "Passkey": encode_id("Passkey", f"{MARK}-passkey"),
        "SecurityState": encode_id("SecurityState", person.user_id),
        "Session": encode_id("Session", other.id),
        "Transaction": encode_id("Transaction", person.user_id, 1),
        "User": encode_id("User", person.user_id),
        "Wallet": encode_id("Wallet", f"{MARK}-wallet"),
        **traded,
        **withdrawn,
        **quoted,
    }
    await world.deliver()
    return Alice(person, ids)


async def _traded(world: World, person: Person) -> dict[str, str]:
    """An open order of hers, a group, and a fill."""
    terms = {"symbol": "BTC-USDT", "side": "SELL", "quantity": "1"}
    placed = await world.data(
        """mutation($order: PlaceOrderInput!, $oco: PlaceOcoInput!) {
          placeOrder(input: $order) { order { id } errors { code } } placeOco(input: $oco) { group { id } errors { code } }
        }""",
        person,
        order={"clientOrderId": f"{MARK}-order", "order": {**terms, "type": "LIMIT", "price": "100"}},
        oco={"clientGroupId": f"{MARK}-group", "oco": {**terms, "takeProfitPrice": "110", "stopPrice": "90"}},
    )
    order_id = placed["placeOrder"]["order"]["id"]
    fill = fill_state(2 * 999, sequence_in(order_id, "Order") or 0, 1, person.user_id)
    await store_fills([fill])
    return {
        "Fill": encode_id("Fill", fill.id),
        "Order": order_id,
        "OrderGroup": placed["placeOco"]["group"]["id"],
    }


async def _withdraws(world: World, account: str) -> dict[str, str]:
    """A deposit and its address, an address in her book, and a withdrawal that an operator has to look at."""
    now_ms = world.clock.now_ms()
    await withdrawal_address.insert(
        WithdrawalAddressDocument(
            id=f"{MARK}-address",
            user_id=account,
            chain="bitcoin",
            address=f"{MARK}-somewhere",
            label=f"{MARK} label",
            created_ms=now_ms,
            active_ms=now_ms,
        )
    )
    await withdrawal.insert(
        WithdrawalDocument(
            id=f"{MARK}-withdrawal",
            user_id=account,
            number=1,
            client_id=f"{MARK}-w1",
            digest="",
            asset="ETH",
            chain="ethereum",
            address_id=f"{MARK}-address",
            address=f"{MARK}-somewhere",
            amount=Decimal(1),
            fee=Decimal(0),
            asked=True,
            status=WithdrawalStatus.IN_REVIEW,
            created_ms=now_ms,
            updated_ms=now_ms,
        )
    )
    await deposit.start(ChainCursorDocument(id="ethereum", number=1, hash="", recent=[""]))
    await deposit_address.insert(
        DepositAddressDocument(
            id=deposit_address.address_id(account, ChainFamily.EVM),
            user_id=account,
            family=ChainFamily.EVM,
            index=0,
            address=f"{MARK}-deposits",
            path="m/0",
            created_ms=now_ms,
        )
    )
    async with transaction(DepositDocument) as session_:
        await deposit.insert(
            DepositDocument(
                id=f"ethereum:{MARK}-hash:coins",
                user_id=account,
                number=1,
                asset="ETH",
                chain="ethereum",
                address=f"{MARK}-deposits",
                amount=Decimal(1),
                units="1",
                hash=f"{MARK}-hash",
                sender=f"{MARK}-sender",
                place="coins",
                required=1,
                status=DepositStatus.SEEN,
                seen_ms=now_ms,
            ),
            session_,
        )
    return {
        "Deposit": encode_id("Deposit", "ethereum", f"{MARK}-hash", "coins"),
        "DepositAddress": encode_id("DepositAddress", account, "ethereum"),
        "Withdrawal": encode_id("Withdrawal", f"{MARK}-withdrawal"),
        "WithdrawalAddress": encode_id("WithdrawalAddress", f"{MARK}-address"),
    }


async def _asks_for_a_swap(world: World, account: str) -> dict[str, str]:
    """An aggregator's offer, and the swap that was prepared from it."""
    coin = TokenEntry(chain="ethereum", symbol=f"{MARK} coin", name=f"{MARK} coin", decimals=18, asset="ETH")
    quote = QuoteEntry(
        provider=SwapProvider.LIFI,
        address=f"0x{MARK}",
        from_token=coin,
        to_token=coin,
        amount_in=Decimal(1),
        amount_out=Decimal(1),
        minimum_out=Decimal(1),
        call=CallEntry(to=f"0x{MARK}", data=b"", value=Decimal(1)),
        expires_ms=world.clock.now_ms() + 60_000,
    )
    purge_at = datetime.now(UTC) + timedelta(hours=1)
    await swap_quote.insert([SwapQuoteDocument(id=f"{MARK}-quote", user_id=account, quote=quote, purge_at=purge_at)])
    made = SwapDocument(
        id=f"{MARK}-swap",
        user_id=account,
        quote_id=f"{MARK}-quote",
        quote=quote,
        status=SwapStatus.PREPARED,
        created_ms=world.clock.now_ms(),
        purge_at=purge_at,
    )
    await swap.insert(made)
    return {"SwapQuote": encode_id("SwapQuote", f"{MARK}-quote"), "Swap": encode_id("Swap", f"{MARK}-swap")}


async def _has_traded(account: str, order: int) -> None:
    """A balance that came from this order, and all that was written of her as it is."""
    row = await trading_account.by_id(account) or {}
    known = {name: row[name] for name in ("open", "orders", "logged", "sequence")}
    await put_lines(account, [line(1, order=order, entry=order + 1)], balances={"BTC": ("1", "0")}, fills=1, **known)


async def as_operator(world: World, person: Person, role: Role = Role.ADMIN) -> Person:
    """The same person as an operator who was signed in with a second factor."""
    await user.set_role(person.user_id, role, world.clock.now_ms())
    if person.viewer.session_id is not None:
        await session.set_authenticated(person.viewer.session_id, [AuthFactor.TOTP], world.clock.now_ms())
    await world.accounts.authority._states.changed(person.user_id)
    return await world.current(person)


async def as_program(world: World, person: Person) -> Person:
    """An API key of this person that may do everything a key may."""
    key = {"name": "a program", "scopes": ["READ", "TRADE", "WITHDRAW"], "ipAllowlist": ["192.0.2.0/24"]}
    proof = await world.proof(person, "createApiKey", key)
    made = await world.data(
        "mutation($input: CreateApiKeyInput!) { createApiKey(input: $input) { secret errors { code } } }",
        person,
        input={**key, "stepUpProof": proof},
    )
    return await world.person({"accessToken": made["createApiKey"]["secret"], "refreshToken": ""})


async def stored_about(database: Database, user_id: str) -> Rows:
    """Every row that mentions this account."""
    about = {name: [row for row in rows if user_id in repr(row)] for name, rows in (await everything(database)).items()}
    return {name: rows for name, rows in about.items() if rows}


async def answer(world: World, person: Person | None, document: str, variables: Mapping[str, Any]) -> dict[str, Any]:
    """The answer to an operation; of a stream, its first: each that takes texts or ids begins with one."""
    if not document.startswith("subscription"):
        return await world.ask(document, person, **variables)
    request = GraphQLRequest(document, variables=variables)
    stream = world.pipeline.stream(request, world.caller(person), allowed=ALL_OPERATIONS)
    async with aclosing(stream) as answers:
        async with asyncio.timeout(ANSWERED_SECONDS):
            return (await anext(answers)).body


def codes_of(body: Mapping[str, Any]) -> list[str]:
    """The codes of everything an answer refuses: errors of the request, and refusals as data. A price that nobody knows, or a chain without a node,
    refuses nothing."""
    codes = [str(error["extensions"]["code"]) for error in body.get("errors", ())]
    codes = [code for code in codes if code not in {"FEED_UNAVAILABLE", "PROVIDER_UNAVAILABLE"}]
    for payload in (body.get("data") or {}).values():
        if isinstance(payload, dict):
            several = [payload, *(payload.get("results") or ())]
            codes += [
                str(error["code"]) for each in several for error in each.get("errors") or () if isinstance(error, dict)
            ]
    return codes
