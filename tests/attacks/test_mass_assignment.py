"""Nobody writes what was not meant to be written: unknown input fields are refused, and those there are, are these."""

from collections.abc import Iterator, Mapping
from typing import Any

from graphql import GraphQLInputObjectType, get_named_type

from core.database import Database
from models.user import UserDocument
from tests.accounts import World, world
from tests.attacks import surface
from tests.attacks.people import EMAIL, alice_in, codes_of
from tests.attacks.surface import Site
from tests.stored import unchanged

REVIEWED: dict[str, set[str]] = {
    "AmendOrderInput": {
        *("by", "displayQuantity", "expectedSequence", "goodTillTime", "price", "quantity", "stopPrice"),
        "trailingDelta",
    },
    "BroadcastTransactionInput": {"chain", "clientBroadcastId", "preparedId", "signed"},
    "PrepareContractCallInput": {"abi", "arguments", "chain", "contract", "from", "function", "speed", "value"},
    "PrepareTransferInput": {"amount", "chain", "from", "sendAll", "speed", "to", "token"},
    "PrepareSwapInput": {"quoteId", "speed"},
    "BeginOAuthInput": {"provider", "purpose", "redirectUri", "stepUpProof"},
    "BeginPasskeyLogInInput": {"email"},
    "BeginPasskeyRegistrationInput": {"name", "stepUpProof"},
    "BeginWalletLogInInput": {"address", "chainId", "family"},
    "BracketTerms": {
        *("entry", "stopLimitPrice", "stopPrice", "takeProfitPrice", "trailingDelta", "trailingUnit", "triggerSource"),
    },
    "CancelAllOrdersAfterInput": {"symbols", "timeoutSeconds"},
    "CancelAllOrdersInput": {"sides", "symbols"},
    "CancelOrderGroupInput": {"by"},
    "AddWithdrawalAddressInput": {"address", "chain", "label", "stepUpProof"},
    "CancelOrderInput": {"by"},
    "AssignDepositInput": {"account", "id", "reason", "stepUpProof"},
    "CancelWithdrawalInput": {"by"},
    "ChangeEmailInput": {"email", "stepUpProof"},
    "ChangePasswordInput": {"current", "password", "stepUpProof"},
    "ClaimTestFundsInput": {"amount", "asset", "clientClaimId"},
    "CompleteTwoFactorInput": {"challenge", "proof"},
    "ConfirmTotpInput": {"code"},
    "ConfirmWithdrawalInput": {"by", "token"},
    "RemoveWithdrawalAddressInput": {"id"},
    "RequestWithdrawalInput": {"addressId", "amount", "asset", "chain", "clientWithdrawalId", "stepUpProof"},
    "ReviewWithdrawalInput": {"approve", "id", "reason", "stepUpProof"},
    "WithdrawalRef": {"clientWithdrawalId", "id"},
    "CreateDepositAddressInput": {"chain"},
    "CreateApiKeyInput": {"expiresAt", "ipAllowlist", "name", "scopes", "stepUpProof"},
    "CreateLinkChallengeInput": {"address", "chainId", "family"},
    "DeleteAccountInput": {"stepUpProof"},
    "DeletePasskeyInput": {"id", "stepUpProof"},
    "DisableTotpInput": {"stepUpProof"},
    "EnrollTotpInput": {"stepUpProof"},
    "FinishOAuthInput": {"code", "delivery", "deviceName", "state"},
    "FinishPasskeyLogInInput": {"challenge", "credential", "delivery", "deviceName"},
    "FinishWalletLogInInput": {"address", "delivery", "deviceName", "family", "message", "signature"},
    "OcoTerms": {
        *("quantity", "side", "stopLimitPrice", "stopPrice", "symbol", "takeProfitPrice", "timeInForce"),
        "triggerSource",
    },
    "OrderGroupRef": {"clientGroupId", "id"},
    "OrderRef": {"clientOrderId", "id"},
    "OrderTerms": {
        *("activationPrice", "displayQuantity", "goodTillTime", "maxSlippage", "postOnly", "price", "quantity"),
        *("quoteQuantity", "selfTradePrevention", "side", "stopPrice", "symbol", "timeInForce", "trailingDelta"),
        *("trailingUnit", "triggerSource", "type"),
    },
    "PlaceBracketInput": {"bracket", "clientGroupId"},
    "PlaceOcoInput": {"clientGroupId", "oco"},
    "PlaceOrderInput": {"clientOrderId", "order"},
    "PlaceOrdersInput": {"orders"},
    "SetMarketStatusInput": {"reason", "status", "stepUpProof", "symbol"},
    "FinishPasskeyRegistrationInput": {"challenge", "credential", "name"},
    "FreezeAccountInput": {"token"},
    "LinkWalletInput": {"address", "family", "message", "name", "signature", "stepUpProof"},
    "LogInInput": {"delivery", "deviceName", "email", "password"},
    "LogOutInput": {"everywhere"},
    "ReauthenticateInput": {"operation", "parameters", "proof"},
    "RefreshSessionInput": {"refreshToken"},
    "RegenerateRecoveryCodesInput": {"stepUpProof"},
    "RenamePasskeyInput": {"id", "name"},
    "RenameWalletInput": {"id", "name"},
    "RequestPasswordResetInput": {"email"},
    "ResendVerificationInput": {"email"},
    "ResetPasswordInput": {"password", "token"},
    "RevokeApiKeyInput": {"id"},
    "RevokeSessionInput": {"id"},
    "SecondFactorInput": {"passkey", "recoveryCode", "totp"},
    "SetUserStatusInput": {"id", "reason", "status", "stepUpProof"},
    "SignUpInput": {"displayName", "email", "locale", "password"},
    "StepUpFactorInput": {"passkey", "password", "recoveryCode", "totp"},
    "UnfreezeAccountInput": {"stepUpProof"},
    "UnlinkOAuthInput": {"id", "stepUpProof"},
    "UnlinkWalletInput": {"id", "stepUpProof"},
    "UpdateApiKeyInput": {"id", "ipAllowlist", "name", "stepUpProof"},
    "UpdateProfileInput": {"antiPhishingCode", "displayName", "locale", "quoteAsset"},
    "VerifyEmailInput": {"token"},
}
SMUGGLED: dict[str, object] = {
    "$set": {"role": "ADMIN"},
    "__proto__": {"role": "ADMIN"},
    "_id": "somebody",
    "createdMs": 1,
    "email_verified_ms": 1,
    "emailVerified": True,
    "passwordHash": "x",
    "role": "ADMIN",
    "scopes_": ["WITHDRAW"],
    "sessionId": "x",
    "totp": None,
    "userId": "somebody",
    "withdrawalsHeldUntil": None,
}
MUTATIONS = [site for site in surface.sites() if site.operation == "mutation"]
PROFILE = {"displayName": "display_name", "locale": "locale"} | {
    "quoteAsset": "quote_asset",
    "antiPhishingCode": "anti_phishing_code",
}
WRITTEN_BY_A_PROFILE = {*PROFILE.values(), "authority_ms", "authority_version"}


def test_the_fields_of_every_input_of_a_mutation_are_the_reviewed_ones() -> None:
    """A new one is added to REVIEWED by somebody who has asked: what does it write, and who may?"""
    inputs: dict[str, set[str]] = {}
    waiting = [argument.type for site in MUTATIONS for argument in site.field.args.values()]
    while waiting:
        kind = get_named_type(waiting.pop())
        if isinstance(kind, GraphQLInputObjectType) and kind.name not in inputs:
            inputs[kind.name] = set(kind.fields)
            waiting += [each.type for each in kind.fields.values()]
    assert inputs == REVIEWED


def test_no_input_names_what_only_the_server_decides() -> None:
    decided = {"actor", "createdAt", "emailVerified", "frozenAt", "ownerId", "role", "sessionId", "userId", "viewerId"}
    assert {name: fields & decided for name, fields in REVIEWED.items() if fields & decided} == {}


async def test_unknown_input_fields_are_refused(database: Database) -> None:
    async with world() as here:
        alice = await alice_in(here)
        async with unchanged(database, but=()):
            for site in MUTATIONS:
                document, variables = surface.call(site, full=True)
                for name, value in SMUGGLED.items():
                    for given in _smuggled(site, variables, name, value):
                        body = await here.ask(document, alice.person, **given)
                        assert codes_of(body) == ["BAD_USER_INPUT"], f"{site}, {name}: {body}"
                        assert "data" not in body


def _smuggled(site: Site, variables: dict[str, Any], name: str, value: object) -> Iterator[dict[str, Any]]:
    """The variables with one field more: in the input, and in an object within it."""
    kind, given = get_named_type(site.field.args["input"].type), variables["input"]
    yield {**variables, "input": {**given, name: value}}
    if isinstance(kind, GraphQLInputObjectType):
        for each, member in kind.fields.items():
            if isinstance(get_named_type(member.type), GraphQLInputObjectType):
                inner = given[each]
                more = {**inner, name: value} if isinstance(inner, dict) else [{**inner[0], name: value}]
                yield {**variables, "input": {**given, each: more}}


async def test_a_profile_writes_its_own_fields_and_no_other(database: Database) -> None:
    async with world() as here:
        alice = await alice_in(here)
        before = await _row(database)
        given = {"displayName": "Al", "locale": "de", "quoteAsset": "BTC", "antiPhishingCode": "a heron"}
        assert set(given) == REVIEWED["UpdateProfileInput"]
        here.clock.advance(1)
        await _update(here, alice.person, given)
        after = await _row(database)
        changed = {name for name in before | after if before.get(name) != after.get(name)}
        assert changed == WRITTEN_BY_A_PROFILE
        assert {given[name]: after[stored] for name, stored in PROFILE.items()} == {
            each: each for each in given.values()
        }


async def test_a_profile_cannot_reach_what_else_is_stored(database: Database) -> None:
    async with world() as here:
        alice = await alice_in(here)
        before = await _row(database)
        for stored in UserDocument.model_fields:
            first, *rest = stored.split("_")
            for name in {stored, first + "".join(part.title() for part in rest)} - set(PROFILE):
                for value in ("ADMIN", None, 1, True, {"$set": "x"}):
                    body = await _update(here, alice.person, {name: value})
                    assert codes_of(body) == ["BAD_USER_INPUT"], f"{name}: {body}"
        assert await _row(database) == before


async def _update(here: World, person: Any, given: Mapping[str, object]) -> dict[str, Any]:
    text = "mutation($input: UpdateProfileInput!) { updateProfile(input: $input) { errors { code field } } }"
    return await here.ask(text, person, input=given)


async def _row(database: Database) -> dict[str, Any]:
    row = await database.handle["users"].find_one({"email_key": EMAIL})
    assert row is not None
    return row
