"""A wallet over real HTTP: linked by what it signs, then signing its owner in, with each family of chains."""

from pathlib import Path

import httpx

from services.wallet_proofs.bitcoin_addresses import AddressKind
from tests.flows.servers import NO_TLS
from tests.flows.test_account_journeys import ANNA, FIRST, Api
from tests.mail_server import MailServer
from tests.processes import server
from tests.wallet_keys import BitcoinKey, EthereumKey, Signer, SolanaKey


async def test_link_then_log_in(tmp_path: Path) -> None:
    async with MailServer().listening() as post_office:
        settings = {
            "BLOCKCHAIN_NETWORK": "mainnet",
            "BREACHED_PASSWORD_CHECK": "false",
            "EMAIL_PROVIDER": "smtp",
            "PASSWORD_HASH_KIB": "1024",
            "SMTP_URL": post_office.url(),
        }
        async with (
            server("dev", data_dir=tmp_path, environment=settings) as running,
            httpx.AsyncClient(base_url=running.url, timeout=20, verify=NO_TLS) as http,
        ):
            await running.wait_until_answering("{ __typename }")
            api = Api(http, running)
            await api.done("signUp", email=ANNA, password=FIRST)
            await api.done("verifyEmail", token=(await post_office.mail_to(ANNA)).token("verify-email"))
            await api.sign_in(FIRST)
            signers: list[Signer] = [EthereumKey(), SolanaKey(), *(BitcoinKey(kind) for kind in AddressKind)]
            for signer in signers:
                await _link(api, signer)
                await _log_in(Api(http, running), signer)
            viewer = await api.viewer("wallets { address } sessions { method }")
            assert viewer is not None
            assert [each["address"] for each in viewer["wallets"]] == [signer.address for signer in signers]
            assert [each["method"] for each in viewer["sessions"]].count("WALLET") == len(signers)


async def _link(api: Api, signer: Signer) -> None:
    named = {"family": signer.family, "address": signer.address}
    asked = await api.done("createLinkChallenge", **named)
    message = asked["challenge"]["message"]
    linked = await api.done("linkWallet", **named, message=message, signature=signer.sign(message), name="mine")
    assert (linked["wallet"]["address"], linked["wallet"]["name"]) == (signer.address, "mine")


async def _log_in(stranger: Api, signer: Signer) -> None:
    named = {"family": signer.family, "address": signer.address}
    message = (await stranger.done("beginWalletLogIn", **named))["challenge"]["message"]
    given = {**named, "message": message, "signature": signer.sign(message), "delivery": "VALUES"}
    found = await stranger.done("finishWalletLogIn", **given)
    stranger.credential = {"authorization": f"Bearer {found['tokens']['accessToken']}"}
    assert await stranger.viewer("email") == {"email": ANNA}
    replayed = await stranger.payload("finishWalletLogIn", **given)
    assert [error["code"] for error in replayed["errors"]] == ["CHALLENGE_USED"]
