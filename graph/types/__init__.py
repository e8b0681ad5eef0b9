"""The nouns of the surface. The shared vocabulary is described first: types that use it find their enums made."""

from graph.types import account_enums, enums, funds_enums, order_enums, wallet_enums

__all__ = ["account_enums", "enums", "funds_enums", "order_enums", "wallet_enums"]
