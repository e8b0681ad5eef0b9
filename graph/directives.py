"""Rules that stand in the schema, readable by people in the SDL and by the server at the field."""

import strawberry
from strawberry.schema_directive import Location

from core.account_vocabulary import ApiScope


@strawberry.schema_directive(
    locations=[Location.FIELD_DEFINITION],
    name="cost",
    description="Points this field costs for each time it is resolved, and, for a subscription, for each event. "
    "Without it an object costs 1, a scalar nothing, a mutation 10.",
)
class Cost:
    """Declared on a field: `@strawberry.field(directives=[Cost(points=5)])`."""

    points: int
    per_event: int | None = strawberry.directive_field(name="perEvent", default=strawberry.UNSET)


@strawberry.schema_directive(
    locations=[Location.FIELD_DEFINITION],
    name="scope",
    description="An API key needs this scope here. A field without it is for signed-in people only, or for everybody.",
)
class Scope:
    """Declared by `graph/fields.py`, which also enforces it."""

    needs: ApiScope


@strawberry.schema_directive(
    locations=[Location.FIELD_DEFINITION],
    name="idempotent",
    description="This input field is a key that the client chooses, kept for ever per account: the same key and content gives the first "
    "result again, with `replayed: true`; other content is refused with IDEMPOTENCY_MISMATCH. A refusal does not use up the key.",
)
class Idempotent:
    """Declared by `graph/fields.py`; the exchange enforces it."""

    key: str


@strawberry.schema_directive(
    locations=[Location.FIELD_DEFINITION],
    name="stepUp",
    description="Sessions need `stepUpProof` here, from `reauthenticate` with this field's name and these very parameters.",
)
class StepUp:
    """Declared by `graph/fields.py`, which also enforces it."""
