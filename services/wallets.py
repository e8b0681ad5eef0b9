"""Linked wallets: proven once by a signature, and from then on a way to sign in (services/wallet_log_in.py).

That an address is linked already is told only to whoever has proven to control it, and never to which account.
"""

from collections.abc import Mapping
from decimal import Decimal

from core.account_vocabulary import AuditAction, UserStatus
from core.clock import Clock
from core.ids import random_id
from core.mail_vocabulary import MailKind
from core.refusals import UnknownObject, WalletRefused
from core.vocabulary import ChainFamily
from core.wallet_vocabulary import WalletErrorCode
from models import user, wallet
from models.chain import ChainEntry
from models.wallet import ContractProof, WalletDocument
from services.accounts import Accounts
from services.audit import AuditLog
from services.holds import Holds
from services.log_in_ways import require_another
from services.mail import Mailbox
from services.names import checked_name
from services.throttles import WALLET, Throttles
from services.viewer import Client, Viewer
from services.wallet_challenges import AskedSignature, WalletChallenges, WalletPurpose
from services.wallet_proofs.addresses import normal_address
from services.wallet_proofs.contract_wallets import ContractCalls
from services.wallet_proofs.proving import prove

MOST_WALLETS = 20
LONGEST_NAME = 40


class WalletChains:
    """The chains on which wallets can be proven."""

    def __init__(self, chains: Mapping[str, ChainEntry]) -> None:
        self._chains = chains

    def of(self, family: ChainFamily, chain_id: int | None = None) -> ChainEntry:
        """The family's chain; of EVM chains the one of this EIP-155 id, or the first. Raises WalletRefused with UNKNOWN_CHAIN."""
        known = [chain for chain in self._chains.values() if chain.family is family]
        found = next((chain for chain in known if chain_id in (None, chain.chain_id)), None)
        if found is None:
            ids = ", ".join(str(chain.chain_id) for chain in known if chain.chain_id is not None)
            raise WalletRefused(
                "there is no such chain here; chain ids that are: {ids}",
                {"ids": ids or "-"},
                reason=WalletErrorCode.UNKNOWN_CHAIN,
                field=["family" if chain_id is None else "chainId"],
            )
        return found

    def by_key(self, key: str) -> ChainEntry:
        """The chain of this key, which was configured when something was proven on it. Raises WalletRefused with UNKNOWN_CHAIN."""
        found = self._chains.get(key)
        if found is None:
            raise WalletRefused("the chain of this wallet is not served any more", reason=WalletErrorCode.UNKNOWN_CHAIN)
        return found


class Wallets:
    """Links, names and unlinks wallets."""

    def __init__(
        self,
        *,
        chains: WalletChains,
        contracts: ContractCalls,
        challenges: WalletChallenges,
        accounts: Accounts,
        throttles: Throttles,
        audit: AuditLog,
        mailbox: Mailbox,
        holds: Holds,
        clock: Clock,
    ) -> None:
        self._chains = chains
        self._contracts = contracts
        self._challenges = challenges
        self._accounts = accounts
        self._throttles = throttles
        self._audit = audit
        self._mailbox = mailbox
        self._holds = holds
        self._clock = clock

    async def begin_link(
        self, viewer: Viewer, family: ChainFamily, address: str, chain_id: int | None, client: Client
    ) -> AskedSignature:
        """What the wallet is to sign. Raises WalletRefused about the input, RateLimited."""
        await self._throttles.of_owner(WALLET, client, viewer.user_id)
        chain = self._chains.of(family, chain_id)
        proper = normal_address(chain, address)
        person = await self._accounts.of(viewer)
        await _free_slot(person.id)
        statement = (
            f"Link this wallet to the CryptoVault account {person.email}. Whoever holds it can then log in there."
        )
        return await self._challenges.put(
            WalletPurpose.LINK, person.id, chain, address=proper, statement=statement, client=client
        )

    async def link(
        self,
        viewer: Viewer,
        family: ChainFamily,
        address: str,
        *,
        message: str,
        signature: str,
        name: str | None,
        client: Client,
    ) -> WalletDocument:
        """Link a wallet that has signed. Raises WalletRefused, NameInvalid, RateLimited.

        It is a new way to sign in: the owner is told by mail, and withdrawals are held as after any change of credentials.
        """
        await self._throttles.of_owner(WALLET, client, viewer.user_id)
        name = None if name is None else checked_name(name, field=["name"], most=LONGEST_NAME)
        asked = await self._challenges.given_back(WalletPurpose.LINK, viewer.user_id, family, message)
        chain = self._chains.by_key(asked.chain)
        require_same_address(normal_address(chain, address), asked.address)
        by_contract = await prove(self._contracts, chain, asked.address, message, signature)
        await self._challenges.use(asked)
        proof = ContractProof(chain=chain.key, message=message, signature=signature) if by_contract else None
        linked = await self._insert(viewer.user_id, family, asked.address, name, proof)
        await user.hold_withdrawals(viewer.user_id, self._holds.until_ms())
        await self._record(linked, AuditAction.WALLET_LINKED, MailKind.WALLET_LINKED, client)
        return linked

    async def rename(self, viewer: Viewer, wallet_id: str | None, name: str, client: Client) -> WalletDocument:
        """Give one's wallet another name. Raises WalletRefused with UNKNOWN_WALLET, NameInvalid, RateLimited."""
        await self._throttles.of_owner(WALLET, client, viewer.user_id)
        name = checked_name(name, field=["name"], most=LONGEST_NAME)
        if wallet_id is None or not await wallet.rename(wallet_id, viewer.user_id, name):
            raise _unknown_wallet()
        return await self._own(viewer.user_id, wallet_id)

    async def unlink(self, viewer: Viewer, wallet_id: str | None, client: Client) -> WalletDocument:
        """Forget one's wallet. Raises WalletRefused with UNKNOWN_WALLET, LastFactor."""
        found = await self._own(viewer.user_id, wallet_id)
        await require_another(await self._accounts.of(viewer))
        if not await wallet.delete(found.id, viewer.user_id):
            raise _unknown_wallet()
        await user.hold_withdrawals(viewer.user_id, self._holds.until_ms())
        await self._record(found, AuditAction.WALLET_UNLINKED, MailKind.WALLET_UNLINKED, client)
        return found

    async def of_user(self, user_id: str) -> list[WalletDocument]:
        """A person's wallets, oldest first."""
        return await wallet.of_user(user_id)

    async def _insert(
        self, user_id: str, family: ChainFamily, address: str, name: str | None, proof: ContractProof | None
    ) -> WalletDocument:
        while True:
            row = WalletDocument(
                id=random_id(),
                user_id=user_id,
                slot=await _free_slot(user_id),
                family=family,
                address=address,
                name=name,
                linked_ms=self._clock.now_ms(),
                contract=proof,
            )
            if await wallet.insert(row):
                break
            if await wallet.by_address(family, address) is not None:
                raise WalletRefused(
                    "this address is linked to an account already",
                    reason=WalletErrorCode.ADDRESS_IN_USE,
                    field=["address"],
                )
        person = await user.by_id(user_id)
        if person is None or person.status is UserStatus.DELETED:  # the account ended while this was under way
            await wallet.delete_all(user_id)
            raise UnknownObject("the account is deleted")
        return row

    async def _own(self, user_id: str, wallet_id: str | None) -> WalletDocument:
        found = next((each for each in await wallet.of_user(user_id) if each.id == wallet_id), None)
        if found is None:
            raise _unknown_wallet()
        return found

    async def _record(self, linked: WalletDocument, action: AuditAction, kind: MailKind, client: Client) -> None:
        detail = {"family": linked.family.value, "address": linked.address}
        await self._audit.record(linked.user_id, action, client=client, detail=detail)
        await self._mailbox.send(
            kind, user_id=linked.user_id, ip=client.address, wallet=linked.address, name=linked.name
        )


def require_same_address(given: str, asked: str) -> None:
    """Raises WalletRefused with MESSAGE_MISMATCH when the message was given for another address than is named now."""
    if given != asked:
        raise WalletRefused(
            "the message was given for another address", reason=WalletErrorCode.MESSAGE_MISMATCH, field=["address"]
        )


async def _free_slot(user_id: str) -> int:
    """The lowest number that no wallet of the person has. Raises WalletRefused with LIMIT_EXCEEDED."""
    taken = {each.slot for each in await wallet.of_user(user_id)}
    free = next((slot for slot in range(MOST_WALLETS) if slot not in taken), None)
    if free is None:
        raise WalletRefused(
            "an account has at most {most} wallets; unlink one first",
            {"most": MOST_WALLETS},
            reason=WalletErrorCode.LIMIT_EXCEEDED,
            limit=Decimal(MOST_WALLETS),
            actual=Decimal(MOST_WALLETS + 1),
        )
    return free


def _unknown_wallet() -> WalletRefused:
    return WalletRefused("you have no such wallet", reason=WalletErrorCode.UNKNOWN_WALLET, field=["id"])
