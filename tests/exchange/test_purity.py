"""The exchange gives the same for the same: it asks no clock, draws nothing at random, waits for nothing and rounds in no float."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((ROOT / "exchange").glob("*.py"))
IMPURE = {"asyncio", "datetime", "decimal", "os", "pathlib", "random", "secrets", "socket", "threading", "time", "uuid"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_file_is_pure(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        assert not {name.partition(".")[0] for name in names} & IMPURE, f"line {node.lineno}: imports what is not pure"  # type: ignore[attr-defined]
        if isinstance(node, ast.Constant):
            assert not isinstance(node.value, float), f"line {node.lineno}: a float"
        if isinstance(node, ast.BinOp):
            assert not isinstance(node.op, ast.Div), f"line {node.lineno}: / makes a float"
        assert not isinstance(node, ast.AsyncFunctionDef | ast.Await), "something that waits"
        if isinstance(node, ast.For | ast.comprehension):
            assert not isinstance(node.iter, ast.Set), "a set has no order"
