"""One document, one guess: mutations that check a secret stand alone, and requests do not come in batches."""

from itertools import combinations_with_replacement

import orjson

from core.database import Database
from graph.documents import _fields_that_stand_alone
from tests.accounts import world
from tests.attacks import surface
from tests.attacks.door import door_of
from tests.attacks.people import codes_of
from tests.attacks.surface import Site
from tests.stored import unchanged

SECRETS = frozenset(
    {
        *("challenge", "code", "credential", "current", "passkey", "password", "recoveryCode", "refreshToken"),
        *("signature", "state", "stepUpProof", "token", "totp"),
    }
)
"""Names of values that somebody could guess at, or that prove something."""
PLAIN = frozenset(
    {
        *("antiPhishingCode", "delivery", "deviceName", "displayName", "email", "everywhere", "expiresAt", "id"),
        *("ipAllowlist", "locale", "name", "operation", "parameters", "provider", "purpose", "quoteAsset", "reason"),
        *("redirectUri", "scopes", "status", "account"),
        *("activationPrice", "clientGroupId", "clientOrderId", "displayQuantity", "expectedSequence", "goodTillTime"),
        *("maxSlippage", "postOnly", "price", "quantity", "quoteQuantity", "selfTradePrevention", "side", "sides"),
        *("stopLimitPrice", "stopPrice", "symbol", "symbols", "takeProfitPrice", "timeInForce", "timeoutSeconds"),
        *("trailingDelta", "trailingUnit", "triggerSource", "type"),
        *("amount", "asset", "clientClaimId"),
        *(
            "abi",
            "arguments",
            "clientBroadcastId",
            "contract",
            "from",
            "function",
            "preparedId",
            "quoteId",
            "sendAll",
            "signed",
        ),
        *("speed", "to", "value"),
        *("address", "addressId", "approve", "chain", "chainId", "clientWithdrawalId", "family", "label", "message"),
    }
)
"""Names of values that are no secrets."""
ALSO_ALONE = {
    *("beginPasskeyLogIn", "beginWalletLogIn", "createLinkChallenge", "requestPasswordReset", "resendVerification"),
}
"""Take no secret, and are throttled, send mail, or begin something: a document holds one of them, too."""
TOKENS_OF_CHAINS = {"mutation prepareTransfer(input.token)"}
"""Coins or contracts, and no secrets."""
MUTATIONS = [site for site in surface.sites() if site.operation == "mutation"]
CHECKS_A_SECRET = sorted(
    {
        place.site.name
        for place in surface.places()
        if place.site.operation == "mutation" and place.name in SECRETS and str(place) not in TOKENS_OF_CHAINS
    }
)
ERRORS = "{ errors { code } }"
LOG_IN = 'logIn(input: {email: "a@example.com", password: "wrong password", delivery: VALUES})'
TWICE = {
    "aliases": f"mutation {{ a: {LOG_IN} {ERRORS} b: {LOG_IN} {ERRORS} }}",
    "the same field twice": f"mutation {{ {LOG_IN} {ERRORS} {LOG_IN} {ERRORS} }}",
    "a fragment": f"mutation {{ a: {LOG_IN} {ERRORS} ...More }} fragment More on Mutation {{ b: {LOG_IN} {ERRORS} }}",
    "a fragment spread twice": f"mutation {{ ...More ...More }} fragment More on Mutation {{ {LOG_IN} {ERRORS} }}",
    "fragments within fragments": f"mutation {{ ...A }} fragment A on Mutation {{ ...B a: {LOG_IN} {ERRORS} }} "
    f"fragment B on Mutation {{ b: {LOG_IN} {ERRORS} }}",
    "inline fragments": f"mutation {{ ... {{ a: {LOG_IN} {ERRORS} }} ... on Mutation {{ b: {LOG_IN} {ERRORS} }} }}",
    "several operations": f"mutation A {{ {LOG_IN} {ERRORS} }} mutation B {{ {LOG_IN} {ERRORS} }}",
    "one that is skipped": f"mutation {{ a: {LOG_IN} @skip(if: true) {ERRORS} b: {LOG_IN} {ERRORS} }}",
}


def test_every_value_a_mutation_takes_was_judged() -> None:
    """A new name is put into SECRETS when somebody could guess at it, and into PLAIN when not."""
    names = {place.name for place in surface.places() if place.site.operation == "mutation"}
    assert names == SECRETS | PLAIN


def test_every_mutation_that_takes_a_secret_stands_alone() -> None:
    assert set(CHECKS_A_SECRET) | ALSO_ALONE == _fields_that_stand_alone(surface.SCHEMA)


def test_it_is_said_in_their_descriptions() -> None:
    said = {
        site.name for site in MUTATIONS if "At most one such mutation in a document." in str(site.field.description)
    }
    assert said == set(CHECKS_A_SECRET) | ALSO_ALONE


async def test_no_two_of_them_go_into_one_document(database: Database) -> None:
    alone = [site for site in MUTATIONS if site.name in {*CHECKS_A_SECRET, *ALSO_ALONE}]
    async with world() as here, unchanged(database, but=()):
        for one, other in combinations_with_replacement(alone, 2):
            body = await here.ask(_together(one, other), a={}, b={})
            assert codes_of(body) == ["ALONE_LIMIT"], f"{one} with {other}: {body}"


def _together(one: Site, other: Site) -> str:
    """One document that calls both."""
    header = ", ".join(f"${alias}: {site.field.args['input'].type}" for alias, site in (("a", one), ("b", other)))
    fields = " ".join(
        f"{alias}: {site.name}(input: ${alias}) {{ __typename }}" for alias, site in (("a", one), ("b", other))
    )
    return f"mutation({header}) {{ {fields} }}"


async def test_two_guesses_do_not_fit_into_one_document(database: Database) -> None:
    async with world() as here, unchanged(database, but=()):
        for how, document in TWICE.items():
            assert codes_of(await here.ask(document)) == ["ALONE_LIMIT"], how


async def test_one_guess_may_stand_beside_what_checks_nothing(database: Database) -> None:
    async with world() as here:
        body = await here.ask(f"mutation {{ {LOG_IN} {ERRORS} logOut {{ errors {{ code }} }} }}")
        assert codes_of(body) == ["INVALID_CREDENTIALS"]


async def test_a_batch_is_refused_as_a_whole(database: Database) -> None:
    async with world() as here, door_of(here) as door, unchanged(database, but=()):
        one = {"query": f"mutation {{ {LOG_IN} {ERRORS} }}"}
        for batch in ([one], [one, one], [one] * 500):
            answer = await door.send(orjson.dumps(batch))
            assert answer.status_code == 400
            assert codes_of(answer.json()) == ["BAD_REQUEST"]
