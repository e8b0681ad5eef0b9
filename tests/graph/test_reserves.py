"""The books beside the chains, as an operator asks for them."""

from collections.abc import Mapping
from typing import Any

from core.database import Database
from models import hot_wallet
from tests.accounts import Person, World, world
from tests.attacks.people import as_operator
from tests.chains import anvil
from tests.evm import FRIEND, STRANGER, catalogue_with, chains_of, client_of
from tests.models import query_guard
from tests.trading_rows import account_row, put_accounts

AUDIT = """{ admin { ledgerAudit { balanced assets { asset { code } hotReserve coldReserve reserveDifference difference
  reserves { chain { key } hot unswept cold ledgerHot ledgerCold block time age failure { code message chain { key } } }
} } } }"""


async def ether(here: World, operator: Person, database: Database) -> Mapping[str, Any]:
    with query_guard.RECORDER.recording(database.handle.name):  # an audit reads everybody
        audit = (await here.data(AUDIT, operator))["admin"]["ledgerAudit"]
    assert audit["balanced"]
    found: Mapping[str, Any] = next(each for each in audit["assets"] if each["asset"]["code"] == "ETH")
    return found


async def booked() -> None:
    """Somebody has 9,999 ETH, of which the ledger says that 9,000 are in the hot wallet."""
    await hot_wallet.note_address("ethereum", FRIEND)
    await put_accounts(
        [
            account_row("house:hot:ethereum", {"ETH": ("-9000", "0")}),
            account_row("house:cold:ethereum", {"ETH": ("-999", "0")}),
            account_row("house:fees", {"ETH": ("9999", "0")}),
        ]
    )


async def test_what_wallets_hold_stands_beside_what_the_ledger_says(database: Database) -> None:
    async with anvil() as url:
        client = client_of(url, url)
        known, cold = catalogue_with(), {"ethereum": frozenset({STRANGER})}
        async with world(known=known, reached=lambda known, _: chains_of(known, client), cold=cold) as here:
            operator = await as_operator(here, await here.signed_up("op@example.com"))
            await booked()
            line = await ether(here, operator, database)
            block = await client.block()
            await here.custody.reserves.close()
        await client.close()
    assert block is not None
    assert (line["hotReserve"], line["coldReserve"], line["reserveDifference"]) == ("10000", "10000", "10001")
    (reserve,) = line["reserves"]
    assert reserve.pop("age") >= 0
    assert reserve.pop("time").startswith("20")
    assert reserve == {
        **{"chain": {"key": "ethereum"}, "hot": "10000", "unswept": None, "cold": "10000"},
        **{"ledgerHot": "9000", "ledgerCold": "999", "block": block.number, "failure": None},
    }


async def test_a_chain_that_does_not_answer_is_not_known_and_the_books_are_judged_all_the_same(
    database: Database,
) -> None:
    dead = client_of("http://127.0.0.1:1")
    async with world(known=catalogue_with(), reached=lambda known, _: chains_of(known, dead)) as here:
        operator = await as_operator(here, await here.signed_up("op@example.com"))
        await booked()
        line = await ether(here, operator, database)
        await here.custody.reserves.close()
    await dead.close()
    assert (line["hotReserve"], line["coldReserve"], line["reserveDifference"]) == (None, None, None)
    (reserve,) = line["reserves"]
    assert (reserve["hot"], reserve["cold"], reserve["block"], reserve["ledgerHot"]) == (None, None, None, "9000")
    assert reserve["failure"] == {
        "code": "PROVIDER_UNAVAILABLE",
        "message": "no node of this chain answers at the moment; try again",
        "chain": {"key": "ethereum"},
    }
