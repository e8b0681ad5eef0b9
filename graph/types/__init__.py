"""The nouns of the surface. The shared vocabulary is described first: types that use it find their enums made."""

from graph.types import enums

__all__ = ["enums"]
