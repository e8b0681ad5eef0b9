"""The rule of docs/api-policy.md as a check: nothing is removed or narrowed that was not deprecated first."""

from graphql import GraphQLSchema, build_schema, find_breaking_changes
from graphql.type import is_enum_type, is_input_object_type, is_interface_type, is_object_type
from graphql.utilities import BreakingChange, BreakingChangeType

_REMOVALS = {
    BreakingChangeType.FIELD_REMOVED,
    BreakingChangeType.VALUE_REMOVED_FROM_ENUM,
    BreakingChangeType.ARG_REMOVED,
}


def problems(old_sdl: str, new_sdl: str, changelog: str) -> list[str]:
    """What in the change from one schema to the next breaks clients without warning; empty when nothing does.

    A field, argument or enum value may go when the old schema deprecates it and the changelog names it, as `Type.name`.
    """
    old, new = build_schema(old_sdl), build_schema(new_sdl)
    return [
        change.description
        for change in find_breaking_changes(old, new)
        if not _was_announced(change, _deprecated(old), changelog)
    ]


def _was_announced(change: BreakingChange, deprecated: set[str], changelog: str) -> bool:
    if change.type not in _REMOVALS:
        return False
    words = change.description.split()
    return any(name in words and f"`{name}`" in changelog for name in deprecated)


def _deprecated(schema: GraphQLSchema) -> set[str]:
    """Names of everything deprecated, as the change descriptions write them."""
    found = set()
    for type_name, kind in schema.type_map.items():
        if is_object_type(kind) or is_interface_type(kind):
            for name, field in kind.fields.items():
                if field.deprecation_reason is not None:
                    found.add(f"{type_name}.{name}")
                found |= {
                    f"{type_name}.{name}({argument}:)"
                    for argument, definition in field.args.items()
                    if definition.deprecation_reason is not None
                }
        elif is_enum_type(kind):
            found |= {
                f"{type_name}.{name}" for name, value in kind.values.items() if value.deprecation_reason is not None
            }
        elif is_input_object_type(kind):
            found |= {
                f"{type_name}.{name}" for name, field in kind.fields.items() if field.deprecation_reason is not None
            }
    return found
