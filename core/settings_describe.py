"""Settings in words: what a field accepts, and what of its value may be shown."""

import re
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Literal, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt, MultipleOf
from pydantic import SecretStr
from pydantic.fields import FieldInfo

HIDDEN = "***"


def is_secret(field: FieldInfo) -> bool:
    """Whether its value must never be shown."""
    return _mentions(field.annotation, SecretStr)


def expected(field: FieldInfo) -> str:
    """What would be right, from the field's type and bounds."""
    kind = _without_none(field.annotation)
    if kind is bool:
        return "true or false"
    if get_origin(kind) is Literal:
        return f"one of {', '.join(map(str, get_args(kind)))}"
    if isinstance(kind, type) and issubclass(kind, Enum):
        return f"one of {', '.join(str(member.value) for member in kind)}"
    bounds = _bounds(field)
    if kind is int:
        return f"a whole number{bounds}"
    if kind in (float, Decimal):
        return f"a number{bounds}"
    return "a path" if kind is Path else "a text that is not empty"


def shown_value(value: object) -> str:
    """A setting's value fit to be shown: secrets hidden, of secret URLs the scheme and the hosts, lists joined, nothing for None."""
    if value is None:
        return ""
    if isinstance(value, SecretStr):
        secret = value.get_secret_value()
        urls = secret.split(",")
        return ",".join(_shown_secret(url.strip()) for url in (urls if all("://" in url for url in urls) else [secret]))
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return str(value)


def _shown_secret(text: str) -> str:
    scheme, separator, rest = text.partition("://")
    if not separator:
        return HIDDEN
    userinfo, at, place = rest.rpartition("@")
    hosts = re.split(r"[/?#]", place, maxsplit=1)[0]
    tail = f"/{HIDDEN}" if len(place) > len(hosts) + 1 else ""
    return f"{scheme}://{HIDDEN + at if userinfo else ''}{hosts}{tail}"


def _bounds(field: FieldInfo) -> str:
    words = []
    for bound in field.metadata:
        if isinstance(bound, Ge):
            words.append(f"at least {bound.ge}")
        elif isinstance(bound, Gt):
            words.append(f"above {bound.gt}")
        elif isinstance(bound, Le):
            words.append(f"at most {bound.le}")
        elif isinstance(bound, Lt):
            words.append(f"below {bound.lt}")
        elif isinstance(bound, MultipleOf):
            words.append(f"a multiple of {bound.multiple_of}")
    return ", " + ", ".join(words) if words else ""


def _without_none(annotation: object) -> object:
    inner = [each for each in get_args(annotation) if each is not type(None)]
    return inner[0] if type(None) in get_args(annotation) else annotation


def _mentions(annotation: object, kind: type) -> bool:
    return annotation is kind or any(_mentions(each, kind) for each in get_args(annotation))
