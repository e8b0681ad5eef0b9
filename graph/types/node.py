"""The interface of everything that can be fetched again by its id."""

import strawberry


@strawberry.interface(description="An object that `node(id:)` finds again.")
class Node:
    id: strawberry.ID = strawberry.field(description="Opaque, stable id: a client's cache key.")
