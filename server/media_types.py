"""Which media type a request is written in and its answer should be (RFC 9110, section 12; GraphQL over HTTP, section 4)."""

from functools import lru_cache

JSON = "application/json"
RESPONSE_JSON = "application/graphql-response+json"
EVENT_STREAM = "text/event-stream"
MULTIPART = "multipart/mixed"
_LONGEST_HEADER = 1_000
_ANY = {"*/*", "application/*"}


@lru_cache(maxsize=256)
def answer_type(accept: str) -> str | None:
    """The best of the two types we speak for this Accept header; JSON for an empty one, None when neither is accepted."""
    if not accept.strip():
        return JSON
    best: str | None = None
    best_quality = 0.0
    for entry in accept[:_LONGEST_HEADER].split(","):
        name, *parameters = (part.strip().lower() for part in entry.split(";"))
        offered = JSON if name in _ANY else name
        if offered not in {JSON, RESPONSE_JSON}:
            continue
        quality = _quality(parameters)
        if quality > best_quality or (quality == best_quality > 0 and offered == RESPONSE_JSON):
            best, best_quality = offered, quality
    return best


@lru_cache(maxsize=256)
def streaming_type(accept: str) -> str | None:
    """The type of streams this Accept header asks for by its name: EVENT_STREAM, or MULTIPART with `subscriptionSpec=1.0`."""
    for entry in accept[:_LONGEST_HEADER].split(","):
        name, *parameters = (part.strip().lower() for part in entry.split(";"))
        if name == EVENT_STREAM or (
            name == MULTIPART and "subscriptionspec=1.0" in (each.replace('"', "") for each in parameters)
        ):
            return name
    return None


@lru_cache(maxsize=256)
def is_json_in_utf8(content_type: str) -> bool:
    """Whether a body of this Content-Type is read: `application/json`, in UTF-8 where a charset is named."""
    name, *parameters = (part.strip().lower() for part in content_type.split(";"))
    charsets = [value.strip('" ') for key, _, value in (each.partition("=") for each in parameters) if key == "charset"]
    return name == JSON and all(charset in {"utf-8", "utf8"} for charset in charsets)


@lru_cache(maxsize=256)
def accepts_gzip(accept_encoding: str) -> bool:
    """Whether a body may be sent compressed by gzip (RFC 9110, 12.5.3)."""
    qualities: dict[str, float] = {}
    for entry in accept_encoding[:_LONGEST_HEADER].split(","):
        name, *parameters = (part.strip().lower() for part in entry.split(";"))
        qualities[name] = _quality(parameters)
    return qualities.get("gzip", qualities.get("*", 0.0)) > 0


def _quality(parameters: list[str]) -> float:
    for parameter in parameters:
        key, _, value = parameter.partition("=")
        if key.strip() == "q":
            try:
                return min(1.0, max(0.0, float(value)))
            except ValueError:
                return 0.0
    return 1.0
