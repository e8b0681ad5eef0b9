"""What is known of a coin or token of a chain."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TokenState:
    """`contract` is None for the chain's own coin (on Solana it is the mint). `asset`: the code of the asset here that it is a form of, if any.

    `symbol` and `name` of what is not in the catalogue are its contract's word, made printable; `spam` says that they are not to be believed.
    """

    chain: str
    contract: str | None
    symbol: str
    name: str
    decimals: int
    asset: str | None = None
    spam: bool = False
