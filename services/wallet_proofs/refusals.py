"""Why a proof does not count."""

from collections.abc import Mapping

from core.refusals import WalletRefused
from core.wallet_vocabulary import WalletErrorCode


class SignatureInvalid(WalletRefused):
    """The signature is not of this address, or has a form that nobody gives."""

    def __init__(self, text: str, values: Mapping[str, str | int] | None = None) -> None:
        super().__init__(text, values, reason=WalletErrorCode.SIGNATURE_INVALID, field=["signature"])


class AddressInvalid(WalletRefused):
    """The text is no address of the chain's."""

    def __init__(
        self,
        text: str,
        values: Mapping[str, str | int] | None = None,
        *,
        reason: WalletErrorCode = WalletErrorCode.ADDRESS_INVALID,
    ) -> None:
        super().__init__(text, values, reason=reason, field=["address"])
