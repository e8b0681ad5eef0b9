"""What is odd about an address that somebody is about to send to, beside those they know."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from core.vocabulary import ChainFamily
from core.wallet_vocabulary import TransactionWarningCode as Code
from models import broadcast, deposit_address, wallet, withdrawal_address
from models.prepared_transaction import WarningEntry

_ENDS = 4
"""Characters at each end of an address that people look at, what all of a kind begin with left out."""
_COMMON = re.compile(r"0x|[a-z]{2,5}1[qp]", re.ASCII)
"""Of EVM chains, and of Bitcoin's witnesses of version 0 and 1."""
_WARNING_TEXTS: Mapping[Code, str] = {
    Code.FIRST_TIME_ADDRESS: "nothing was sent to {address} from here before",
    Code.LOOKALIKE_ADDRESS: "{address} looks like {known}, which you know, and is another address",
    Code.OWN_DEPOSIT_ADDRESS: "this is your own deposit address: what arrives is credited to your account here",
    Code.NO_CODE_AT_ADDRESS: "there is no contract at {address}: the call would do nothing",
    Code.UNLIMITED_APPROVAL: "{address} could take any amount of {token}, at any time, until you take it back",
    Code.SIMULATION_REVERTS: "it would fail now, and cost its fee",
    Code.HIGH_FEE: "the fee is high beside the amount",
    Code.SPAM_TOKEN: "the words of this token look like bait",
}


@dataclass(frozen=True, slots=True)
class KnownAddresses:
    """Of one account: those it has sent to or has in its book, its own wallets among them, and its deposit address."""

    used: frozenset[str]
    deposit: str | None


def warning(code: Code, **values: str | int) -> WarningEntry:
    """A warning in its words."""
    return WarningEntry(code=code, text=_WARNING_TEXTS[code], values=values)


async def known_addresses(user_id: str, family: ChainFamily) -> KnownAddresses:
    """What the account knows."""
    used = await broadcast.counterparties(user_id)
    used |= {each.address for each in await wallet.of_user(user_id) if each.family is family}
    used |= {each.address for each in await withdrawal_address.of_user(user_id)}
    own = await deposit_address.of_account(user_id, family)
    return KnownAddresses(frozenset(used), None if own is None else own.address)


def address_warnings(address: str, known: KnownAddresses) -> list[WarningEntry]:
    """What to look at before something is sent to this address."""
    if address == known.deposit:
        return [warning(Code.OWN_DEPOSIT_ADDRESS)]
    if address in known.used:
        return []
    found = [warning(Code.FIRST_TIME_ADDRESS, address=address)]
    for other in sorted(known.used | ({known.deposit} if known.deposit else set())):
        if other != address and _ends(other) == _ends(address):
            found.append(warning(Code.LOOKALIKE_ADDRESS, address=address, known=other))
            break
    return found


def _ends(address: str) -> tuple[str, str]:
    plain = _COMMON.sub("", address.lower(), count=1) if _COMMON.match(address.lower()) else address.lower()
    return plain[:_ENDS], plain[-_ENDS:]
