"""The Dockerfile, read: what it copies is enough to start, and it runs as nobody in particular."""

import json
import os
import re
import shutil
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

from tests.components import ROOT

LINES = re.sub(r"\\\n\s*", "", (ROOT / "Dockerfile").read_text()).splitlines()
INSTRUCTIONS = [line.split(None, 1) for line in LINES if line.strip() and not line.startswith("#")]


def stages() -> list[list[list[str]]]:
    """The instructions of each stage, [name, rest]."""
    found: list[list[list[str]]] = []
    for instruction in INSTRUCTIONS:
        if instruction[0] == "FROM":
            found.append([])
        found[-1].append(instruction)
    return found


def copied() -> list[tuple[str, str]]:
    """What the last stage takes from the repository: (from, to)."""
    pairs = [rest.split() for name, rest in stages()[-1] if name == "COPY" and not rest.startswith("--from")]
    return [(source, target) for source, target in pairs]


def ignored(name: str) -> bool:
    """Whether .dockerignore keeps a file at the top away from the builder; its last matching line decides."""
    verdict = False
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        pattern = line.strip()
        if pattern and not pattern.startswith("#") and fnmatch(name, pattern.lstrip("!")):
            verdict = not pattern.startswith("!")
    return verdict


def image_of(folder: Path) -> Path:
    """A folder with what the last stage copies, as the builder sees it."""
    keep_out = shutil.ignore_patterns("__pycache__", "node_modules", "dist", ".env*")
    for source, target in copied():
        assert not ignored(source), f"{source} is copied but .dockerignore hides it"
        shutil.copytree(ROOT / source, folder / target, ignore=keep_out)
    return folder


def run(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1", **environment},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )


def test_the_build_has_several_stages_and_the_last_is_slim() -> None:
    bases = [stage[0][1] for stage in stages()]
    assert len(bases) >= 2
    assert bases[-1] == "python:3.12-slim"
    assert not any("npm" in rest or "pip install" in rest for _, rest in stages()[-1])


def test_it_runs_as_a_user_without_rights() -> None:
    names = [name for name, _ in stages()[-1]]
    (user,) = [rest for name, rest in stages()[-1] if name == "USER"]
    assert re.fullmatch(r"[1-9][0-9]{4,}:[1-9][0-9]{4,}", user), (
        "a number, so that an orchestrator can tell it is not root"
    )
    assert names.index("USER") < names.index("ENTRYPOINT")
    assert "RUN" not in names[names.index("USER") :]


def test_packages_come_from_the_hashed_list() -> None:
    (install,) = [rest for stage in stages() for name, rest in stage if name == "RUN" and "pip install" in rest]
    assert "--require-hashes" in install
    copies = [rest for stage in stages() for name, rest in stage if name == "COPY"]
    assert "deploy/requirements.txt /tmp/requirements.txt" in copies
    assert not any(rest.startswith("requirements.txt") for rest in copies)


def test_it_has_a_probe_and_a_command() -> None:
    last = dict(stages()[-1])
    assert "/health/live" in last["HEALTHCHECK"]
    assert json.loads(last["ENTRYPOINT"]) + json.loads(last["CMD"]) == ["python", "-m", "server", "api"]


def test_nothing_else_of_the_repository_reaches_the_builder() -> None:
    sources = {source for source, _ in copied()} | {"deploy"}
    for path in ROOT.iterdir():
        if path.name not in sources:
            assert ignored(path.name), f"{path.name} would be sent to the builder"
    for secret in (".env", ".env.local", "data", ".git", ".venv"):
        assert ignored(secret)


def test_what_it_copies_is_enough_to_start(tmp_path: Path) -> None:
    folder = image_of(tmp_path / "app")
    packages = sorted(target for _, target in copied())
    everything = (
        "import importlib, pkgutil, sys\n"
        f"for name in {packages!r}:\n"
        "    package = importlib.import_module(name)\n"
        "    for module in pkgutil.walk_packages(package.__path__, name + '.'):\n"
        "        module.name.endswith('__main__') or importlib.import_module(module.name)\n"
        "assert 'secantus' not in ''.join(sys.modules)\n"
    )
    imported = run(folder, "-c", everything)
    assert imported.returncode == 0, imported.stderr
    shown = run(folder, "-m", "server", "settings", MODE="SANDBOX")
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.startswith("MODE=SANDBOX\n")


def test_it_refuses_to_start_alone(tmp_path: Path) -> None:
    alone = run(image_of(tmp_path / "app"), "-m", "server", "api")
    assert alone.returncode != 0
    assert "MONGO_URL and REDIS_URL" in alone.stderr
    assert "Traceback" not in alone.stderr
