"""Writes `docs/configuration.md` from the settings: `python -m core.settings_docs`. A test compares the file with them."""

from pathlib import Path

from pydantic.fields import FieldInfo

from core.settings_describe import is_secret, shown_value
from core.settings_fields import TOPICS

PATH = Path(__file__).resolve().parent.parent / "docs" / "configuration.md"

_HEAD = """\
# Configuration

Settings are environment variables. Those of the environment win over those in `.env` in the folder a command is started in; an empty
one counts as unset. `python -m server settings` prints the effective values, secrets hidden.

- Lists are separated by commas.
- A secret `NAME` may stand in a mounted file instead: `NAME_FILE` is that file's path. Setting both is an error, and so is a file that
  cannot be read or is empty. A line end at its end does not count.
- A wrong value stops the start. All wrong values are reported together, one line each: the variable, what is wrong, what would be right.
- A name in `.env` that is no setting but looks like one is reported.
"""

_PRODUCTION = """\
## What production refuses

With `MODE=PRODUCTION` a start is also refused when

- `MONGO_URL` is missing (the embedded database is for development), or `REDIS_URL` is (a bus in memory serves one process);
- `ENCRYPTION_KEY` is missing;
- `EMAIL_PROVIDER` is `console`, or `MAIL_FROM` an address at `localhost`;
- any secret, or the password in any URL, is one for development (`changeme`, `password`, `secret`, one character repeated, …);
- `CORS_ORIGINS` holds `*`, or `APP_URL` is not `https://`;
- `WITHDRAWAL_KEYS` names a keystore, or `AWS_KMS_URL` is not `https://`;
- `SIMULATED_FALLBACK` is not `false`, or `PRICE_SOURCES` is `replay` or `simulated`.
"""


def render() -> str:
    """The page."""
    parts = [_HEAD]
    for topic in TOPICS:
        parts.append(f"## {topic.__doc__}\n")
        rows = ["| variable | default | meaning | secret |", "|---|---|---|---|"]
        rows += [_row(name, field) for name, field in topic.model_fields.items()]
        parts.append("\n".join(rows) + "\n")
    parts.append(_PRODUCTION)
    return "\n".join(parts)


def _row(name: str, field: FieldInfo) -> str:
    default = shown_value(field.default)
    secret = "yes" if is_secret(field) else ""
    return f"| `{name.upper()}` | {f'`{default}`' if default else ''} | {field.description} | {secret} |"


if __name__ == "__main__":
    PATH.write_text(render())
