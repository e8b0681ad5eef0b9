"""Both lists of pinned packages: hashed, in agreement with pyproject.toml and with each other."""

import re
import tomllib
from dataclasses import dataclass

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.components import ROOT

FILES = ("requirements.txt", "deploy/requirements.txt")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = [text for group in PROJECT["optional-dependencies"].values() for text in group]
HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}")


@dataclass(frozen=True)
class Pin:
    """One package of a list. `marker`: where it is needed, empty for everywhere."""

    requirement: Requirement
    hashes: tuple[str, ...]


def pins(file: str) -> dict[str, list[Pin]]:
    """Every entry of the file by package; fails on a line that is none."""
    found: dict[str, list[Pin]] = {}
    text = "\n".join(line for line in (ROOT / file).read_text().splitlines() if not line.lstrip().startswith("#"))
    for entry in text.replace("\\\n", " ").splitlines():
        if entry.strip():
            plain = HASH.sub("", entry).strip()
            requirement = Requirement(plain)
            found.setdefault(canonicalize_name(requirement.name), []).append(
                Pin(requirement, tuple(HASH.findall(entry)))
            )
    return found


@pytest.mark.parametrize("file", FILES)
def test_every_package_is_pinned_and_hashed(file: str) -> None:
    for name, entries in pins(file).items():
        for entry in entries:
            assert entry.hashes, f"{name} has no hash"
            assert [each.operator for each in entry.requirement.specifier] == ["=="], name
            assert entry.requirement.url is None


@pytest.mark.parametrize("file", FILES)
def test_no_list_names_a_host(file: str) -> None:
    assert not re.search(r"https?://|--(extra-)?index-url|--find-links", (ROOT / file).read_text())


@pytest.mark.parametrize(
    ("file", "wanted"),
    [
        ("deploy/requirements.txt", PROJECT["dependencies"]),
        ("requirements.txt", PROJECT["dependencies"] + EXTRAS),
    ],
)
def test_every_package_the_project_names_is_there_in_a_version_it_allows(file: str, wanted: list[str]) -> None:
    known = pins(file)
    for text in wanted:
        requirement = Requirement(text)
        entries = known.get(canonicalize_name(requirement.name), [])
        assert entries, f"{file} lacks {requirement.name}: compile it again"
        for entry in entries:
            (pinned,) = entry.requirement.specifier
            assert requirement.specifier.contains(pinned.version, prereleases=True), f"{file}: {entry.requirement}"


def test_the_image_runs_what_was_tested() -> None:
    tested, shipped = pins("requirements.txt"), pins("deploy/requirements.txt")
    assert shipped.keys() <= tested.keys()
    for name, entries in shipped.items():
        assert {str(entry.requirement.specifier) for entry in entries} <= {
            str(entry.requirement.specifier) for entry in tested[name]
        }, name


def test_the_image_holds_no_tool_of_tests_and_no_embedded_database() -> None:
    named = {canonicalize_name(Requirement(text).name) for text in PROJECT["dependencies"]}
    shipped = pins("deploy/requirements.txt").keys()
    assert "secantusdb" not in shipped
    assert {canonicalize_name(Requirement(text).name) for text in EXTRAS} & shipped <= named
