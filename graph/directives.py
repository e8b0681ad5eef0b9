"""Rules that stand in the schema, readable by people in the SDL and by the server at the field."""

import strawberry
from strawberry.schema_directive import Location


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
