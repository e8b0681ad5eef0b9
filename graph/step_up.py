"""Step-up at the surface: what a deed is, read from a mutation's input or from the JSON given to `reauthenticate`; and its enforcement.

Both ways go through the schema's own conversion, so that defaults, enums and numbers written in different ways are the same deed.
"""

import dataclasses
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import Any

import orjson
from graphql import GraphQLError, GraphQLInputObjectType, coerce_input_value, get_named_type
from graphql.utilities import validate_input_value
from strawberry.extensions import FieldExtension
from strawberry.types.arguments import convert_argument
from strawberry.types.field import StrawberryField

from core.clock import to_ms
from core.errors import InvalidInput
from core.money import canonical
from core.refusals import StepUpDemand
from graph.access import Access, Info, Next, NotSignedIn, require
from graph.numbers import unreadable
from services.step_up import Deed

PROOF = "step_up_proof"
_PROOF_IN_JSON = "stepUpProof"
_DEFINITION = "strawberry-definition"


class StepUpDemanded(FieldExtension):
    """Lets a mutation run only with a proof for it. `instead_of` names an input field that holds the password and does as well.

    `when` names an input field and the value of it that makes the mutation sensitive; without it, every value does. `access`: who may
    do what is sensitive, where that is fewer than may use the mutation. `second_factor`: it is demanded only of accounts that have codes by app or passkeys.
    `by_resolver`: the resolver demands it with `prove`, once it knows that there
    is anything to do: what is sent again needs no second proof.
    """

    def __init__(
        self,
        instead_of: str | None = None,
        when: tuple[str, Enum] | None = None,
        access: Access | None = None,
        *,
        second_factor: bool = False,
        by_resolver: bool = False,
    ) -> None:
        self._password_field = instead_of
        self._when = when
        self._access = access
        self._second_factor = second_factor
        self._by_resolver = by_resolver

    @property
    def words(self) -> str:
        """What the schema says of it."""
        return f"Needs a step-up proof{' where the account has a second factor' if self._second_factor else ''}."

    async def resolve_async(self, next_: Next, source: Any, info: Info, **kwargs: Any) -> Any:
        given = kwargs.get("input")
        if self._by_resolver:
            return await next_(source, info, **kwargs)
        if self._when is None or getattr(given, self._when[0], None) is self._when[1]:
            await self._require(info, given)
        return await next_(source, info, **kwargs)

    async def _require(self, info: Info, given: object) -> None:
        if self._access is not None:
            await require(info.context, self._access, None)
        viewer = info.context.viewer
        if viewer is None:
            raise NotSignedIn("sign in first")
        step_up = info.context.accounts.step_up
        if self._second_factor and not await step_up.has_second_factor(viewer):
            return
        deed = Deed(info.field_name, _canonical_bytes(given))
        proof = getattr(given, PROOF, None) or None
        password = getattr(given, self._password_field, None) if self._password_field else None
        if proof is None and password is not None:
            await step_up.by_password(viewer, deed, password, info.context.client)
        else:
            await step_up.require(viewer, deed, proof)


async def prove(info: Info, given: object) -> None:
    """Demand a session's proof for the running mutation with this input; an API key's owner is not there. Raises AuthRefused, NotSignedIn."""
    viewer = info.context.viewer
    if viewer is None:
        raise NotSignedIn("sign in first")
    if viewer.session_id is not None:
        deed = Deed(info.field_name, _canonical_bytes(given))
        await info.context.accounts.step_up.require(viewer, deed, getattr(given, PROOF, None) or None)


async def demanded(info: Info, operation: str, given: object) -> StepUpDemand:
    """What a mutation with this input will demand of the session that asks. Raises NotSignedIn."""
    viewer = info.context.viewer
    if viewer is None:
        raise NotSignedIn("sign in first")
    return await info.context.accounts.step_up.demanded(viewer, Deed(operation, _canonical_bytes(given)))


def deed_of(info: Info, operation: str, parameters: object) -> Deed:
    """The deed of an operation that needs step-up, with its input as JSON, the proof left out. Raises InvalidInput."""
    mutation = info.schema._schema.mutation_type
    field = mutation.fields.get(operation) if mutation is not None else None
    definition = field.extensions.get(_DEFINITION) if field is not None else None
    if field is None or not isinstance(definition, StrawberryField) or not _is_sensitive(definition):
        raise InvalidInput("expected the name of a mutation that is marked @stepUp", field=["input", "operation"])
    if not isinstance(parameters, dict):
        raise InvalidInput("expected the mutation's input as an object", field=["input", "parameters"])
    input_type = field.args["input"].type
    named = get_named_type(input_type)
    if isinstance(named, GraphQLInputObjectType) and _PROOF_IN_JSON in named.fields:
        parameters = {**parameters, _PROOF_IN_JSON: ""}
    try:
        validate_input_value(parameters, input_type, _refuse, hide_suggestions=True)
    except RecursionError as error:
        raise InvalidInput("the parameters are nested too deeply", field=["input", "parameters"]) from error
    coerced = coerce_input_value(parameters, input_type)
    for fault in unreadable(coerced, input_type):
        raise InvalidInput(fault, field=["input", "parameters"])
    schema = info.schema
    argument = next(each for each in definition.arguments if each.python_name == "input")
    given = convert_argument(coerced, argument.type, schema.schema_converter.scalar_registry, schema.config)
    return Deed(operation, _canonical_bytes(given))


def _is_sensitive(field: StrawberryField) -> bool:
    return any(isinstance(extension, StepUpDemanded) for extension in field.extensions)


def _refuse(error: GraphQLError, path: list[str | int]) -> None:
    raise InvalidInput(error.message, field=["input", "parameters", *map(str, path)])


def _canonical_bytes(given: object) -> bytes:
    return orjson.dumps({} if given is None else _plain(given), option=orjson.OPT_SORT_KEYS)


def _plain(value: object) -> object:
    """The value in JSON's terms, without the proof and without what is as if it had been left out."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        members = ((each, getattr(value, each.name)) for each in dataclasses.fields(value) if each.name != PROOF)
        return {each.name: _plain(member) for each, member in members if member != each.default}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Decimal):
        return canonical(value)
    if isinstance(value, datetime):
        return to_ms(value)
    if isinstance(value, Mapping):
        return {str(name): _plain(member) for name, member in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(member) for member in value]
    return value
