"""Everything that is seen of wallets on their chains, put together."""

from dataclasses import dataclass

from core.bus import Bus
from core.clock import Clock
from services.catalogue import Catalogue
from services.chains import Chains
from services.ens import Names
from services.tokens import Tokens
from services.wallet_activity import WalletActivity
from services.wallet_balances import WalletBalances
from services.wallet_funds import WalletFunds
from services.wallet_streams import WalletStreams


@dataclass(frozen=True, slots=True)
class WalletViews:
    """The parts that fields use."""

    tokens: Tokens
    balances: WalletBalances
    funds: WalletFunds
    names: Names
    activity: WalletActivity
    streams: WalletStreams

    async def close(self) -> None:
        """Give up what is being asked."""
        await self.streams.close()
        await self.names.close()
        await self.funds.close()
        await self.balances.close()
        await self.tokens.close()


def build_wallet_views(catalogue: Catalogue, chains: Chains, bus: Bus, clock: Clock) -> WalletViews:
    """Nothing is asked yet."""
    tokens = Tokens(catalogue, chains, clock)
    balances = WalletBalances(chains, tokens, clock)
    activity = WalletActivity(chains, tokens, clock)
    return WalletViews(
        tokens=tokens,
        balances=balances,
        funds=WalletFunds(balances, tokens, clock),
        names=Names(chains, clock),
        activity=activity,
        streams=WalletStreams(chains, tokens, activity, bus=bus, clock=clock),
    )
