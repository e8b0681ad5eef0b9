"""A proof of liabilities from claiming funds to the script that verifies it, over HTTP."""

from pathlib import Path

import httpx

from tests.flows.servers import NO_TLS, query, server, until
from tests.flows.traders import SETTINGS, traders
from tests.liability_answers import PROOF, run_script
from tests.server.test_account_commands import command

KEY_PATH = "/.well-known/liabilities-jwks.json"
REPORT = "{ liabilities { root previousRoot accounts publicKey totals { asset { code } amount } } }"


async def test_people_verify_what_they_are_owed(tmp_path: Path) -> None:
    settings = {**SETTINGS, "PRICE_SOURCES": "simulated", "LIABILITY_REPORT_HOURS": "0"}
    async with server(tmp_path, "dev", settings=settings) as running, traders(running, "anna", "ben") as (anna, ben):
        async with httpx.AsyncClient(base_url=running.base_url, verify=NO_TLS, timeout=30) as http:
            published = (await http.get(KEY_PATH)).json()["keys"][0]
        assert (await query(running, REPORT))["data"] == {"liabilities": None}
        await anna.claim("USDT", "1000.5")
        await ben.claim("USDT", "250")
        for person in (anna, ben):
            await until(person.balances, bool)
        status, out, err = await command(None, "liabilities", "report", data_dir=tmp_path / "data")
        assert (status, err) == (0, "")
        root = out.splitlines()[1].removeprefix("root ")
        assert out.splitlines()[2:] == ["USDT 1250.5"]
        assert (await query(running, REPORT))["data"] == {
            "liabilities": {
                **{"root": root, "previousRoot": None, "accounts": 2, "publicKey": published["x"]},
                "totals": [{"asset": {"code": "USDT"}, "amount": "1250.5"}],
            }
        }
        known = ("--public-key", published["x"], "--root", root)
        for person, amount in ((anna, "1000.5"), (ben, "250")):
            answer = await person.ask(PROOF)
            status, out, err = run_script(tmp_path, answer, *known)
            assert (status, err) == (0, "")
            assert f"stands in the report with USDT={amount}\n" in out
        assert published == {**published, "kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "kid": "liabilities"}
