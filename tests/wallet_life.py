"""Linking wallets in a test world."""

from collections.abc import Callable
from typing import Any

from models import wallet
from models.wallet import WalletDocument
from services.wallet_proofs.bitcoin_addresses import AddressKind
from tests.account_life import done, payload
from tests.accounts import Person, World
from tests.wallet_keys import BitcoinKey, EthereumKey, Signer, SolanaKey

FAMILIES: list[Callable[[], Signer]] = [
    EthereumKey,
    SolanaKey,
    *(lambda kind=kind: BitcoinKey(kind) for kind in AddressKind),
]
Json = dict[str, Any]


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
