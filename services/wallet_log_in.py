"""Signing in by a wallet: a signature is one factor, so a second is asked for where the account has one.

Nothing is looked up before a signature has proven that whoever asks controls the address: neither the question nor a wrong answer tells whether
it is linked.
"""

from core.account_vocabulary import AuthErrorCode, SessionMethod, UserStatus
from core.refusals import AuthRefused, WalletRefused
from core.vocabulary import ChainFamily
from core.wallet_vocabulary import WalletErrorCode
from models import user, wallet
from models.user import UserDocument
from models.wallet import WalletDocument
from services.log_in import LogIn, LogInResult, Wish
from services.throttles import WALLET, Throttles
from services.viewer import Client
from services.wallet_challenges import AskedSignature, WalletChallenges, WalletPurpose
from services.wallet_control import WalletControl
from services.wallet_proofs.addresses import normal_address
from services.wallet_proofs.contract_wallets import ContractCalls
from services.wallet_proofs.proving import prove
from services.wallets import WalletChains, require_same_address

STATEMENT = "Log in to CryptoVault with this wallet."


class WalletNotLinked(AuthRefused):
    """The wallet has signed, and no account has it, or not by a contract on this chain."""

    code = AuthErrorCode.WALLET_NOT_LINKED


class WalletLogIn:
    """Signs people in by their wallets."""

    def __init__(
        self,
        *,
        chains: WalletChains,
        contracts: ContractCalls,
        control: WalletControl,
        challenges: WalletChallenges,
        log_in: LogIn,
        throttles: Throttles,
    ) -> None:
        self._chains = chains
        self._contracts = contracts
        self._control = control
        self._challenges = challenges
        self._log_in = log_in
        self._throttles = throttles

    async def begin(self, family: ChainFamily, address: str, chain_id: int | None, client: Client) -> AskedSignature:
        """What the wallet is to sign, linked or not. Raises WalletRefused about the input, RateLimited."""
        await self._throttles.of_address(WALLET, client)
        chain = self._chains.of(family, chain_id)
        proper = normal_address(chain, address)
        return await self._challenges.put(
            WalletPurpose.LOG_IN, "", chain, address=proper, statement=STATEMENT, client=client
        )

    async def finish(
        self, family: ChainFamily, address: str, *, message: str, signature: str, wish: Wish, client: Client
    ) -> LogInResult:
        """A session, or the question for the second factor. Raises WalletRefused, WalletNotLinked, AccountFrozen, RateLimited.

        A contract's wallet signs in only while it also accepts what linked it: whoever got it since is not the account's owner.
        """
        await self._throttles.of_address(WALLET, client)
        asked = await self._challenges.given_back(WalletPurpose.LOG_IN, "", family, message)
        chain = self._chains.by_key(asked.chain)
        require_same_address(normal_address(chain, address), asked.address)
        by_contract = await prove(self._contracts, chain, asked.address, message, signature)
        await self._challenges.use(asked)
        linked, person = await _owner(family, asked.address, contract_chain=chain.key if by_contract else None)
        await self._require_control(linked)
        await self._throttles.of_owner(WALLET, client, person.id)
        return await self._log_in.proceed(person, SessionMethod.WALLET, [], wish, client)

    async def _require_control(self, linked: WalletDocument) -> None:
        try:
            await self._control.recheck(linked)
        except WalletRefused as refused:
            if refused.reason is not WalletErrorCode.CONTRACT_WALLET_REFUSED:
                raise
            text = "the wallet's contract does not accept any more what linked it: its owners may be others now; sign in otherwise, and link it again"
            raise WalletNotLinked(text) from refused


async def _owner(
    family: ChainFamily, address: str, *, contract_chain: str | None
) -> tuple[WalletDocument, UserDocument]:
    """The wallet, and whose it is. A contract's word counts only for a wallet that was linked by one, and on the same chain: elsewhere anybody may
    have put another contract at the same address."""
    linked = await wallet.by_address(family, address)
    if linked is None:
        raise WalletNotLinked("no account has this wallet; sign in otherwise, and link it there")
    if contract_chain is not None and (linked.contract is None or linked.contract.chain != contract_chain):
        raise WalletNotLinked("the wallet was linked by its key, or on another chain; sign as you did then")
    person = await user.by_id(linked.user_id)
    if person is None or person.status is UserStatus.DELETED:
        raise WalletNotLinked("no account has this wallet; sign in otherwise, and link it there")
    return linked, person
