"""`python -m server schema`: writes schema.graphql, or checks that it is what the code serves and breaks nobody."""

import subprocess
from itertools import pairwise
from pathlib import Path

from graph.api_policy import problems
from graph.schema import build_schema

ROOT = Path(__file__).resolve().parent.parent
SCHEMA_FILE = ROOT / "schema.graphql"
CHANGELOG_FILE = ROOT / "CHANGELOG.md"
GIT_SECONDS = 30


def served_sdl() -> str:
    """The schema with its directives, as it is served at /schema.graphql."""
    return build_schema().as_str().strip() + "\n"


def main(*, check: bool, path: Path = SCHEMA_FILE) -> int:
    """Write the file, or compare. Returns the exit status; prints one line for every problem."""
    sdl = served_sdl()
    if not check:
        path.write_text(sdl)
        print(f"wrote {path.name}")  # noqa: T201
        return 0
    found = []
    if not path.exists() or path.read_text() != sdl:
        found.append(f"{path.name} is not what the code serves: run `python -m server schema` and commit it")
    changelog = CHANGELOG_FILE.read_text() if CHANGELOG_FILE.exists() else ""
    found += breaking_changes([*landed_versions(path), sdl], changelog)
    for problem in found:
        print(f"schema: {problem}")  # noqa: T201
    return 1 if found else 0


def breaking_changes(versions: list[str], changelog: str) -> list[str]:
    """Unannounced breaks in any step of the history, oldest first, without doubles."""
    found = [
        f"{problem} Deprecate it first and name it in CHANGELOG.md (docs/api-policy.md)."
        for old, new in pairwise(versions)
        if old != new
        for problem in problems(old, new, changelog)
    ]
    return list(dict.fromkeys(found))


def landed_versions(path: Path) -> list[str]:
    """Every version of the file that has landed, oldest first, those of merged branches excepted; empty outside a git checkout."""
    commits = _git("log", "--first-parent", "--format=%H", "--", path.name)
    return (
        []
        if commits is None
        else [text for commit in reversed(commits.split()) if (text := _git("show", f"{commit}:{path.name}"))]
    )


def _git(*arguments: str) -> str | None:
    try:
        result = subprocess.run(  # noqa: S603
            ["git", *arguments],  # noqa: S607
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=GIT_SECONDS,
            check=False,
        )
    except OSError:
        return None
    return result.stdout if result.returncode == 0 else None
