import pytest

from graph.api_policy import problems

OLD = """
type Query {
  kept(x: Int, old: Int @deprecated): Int
  old: Int @deprecated
  oldest: Int
  e: E
  i(k: I): Int
}
enum E { A OLD @deprecated }
input I { g: Int old: Int @deprecated }
"""


def without(*texts: str) -> str:
    new = OLD
    for text in texts:
        assert text in new
        new = new.replace(text, "")
    return new


@pytest.mark.parametrize(
    ("new", "changelog", "found"),
    [
        pytest.param(OLD, "", 0, id="nothing changes"),
        pytest.param(OLD + "type More { a: Int }", "", 0, id="a new type"),
        pytest.param(without("  old: Int @deprecated\n"), "- removed `Query.old`", 0, id="announced removal"),
        pytest.param(without("  old: Int @deprecated\n"), "", 1, id="deprecated but not in the changelog"),
        pytest.param(without("  old: Int @deprecated\n"), "`Query.oldest`", 1, id="the changelog names another"),
        pytest.param(without("  oldest: Int\n"), "`Query.oldest` `Query.old`", 1, id="never deprecated"),
        pytest.param(without(", old: Int @deprecated"), "`Query.kept(old:)`", 0, id="announced argument"),
        pytest.param(without(" OLD @deprecated"), "`E.OLD`", 0, id="announced enum value"),
        pytest.param(without(" old: Int @deprecated }"), "`I.old`", 0, id="announced input field"),
        pytest.param(OLD.replace("oldest: Int", "oldest: String"), "`Query.oldest`", 1, id="another type"),
        pytest.param(OLD.replace("kept(x: Int", "kept(x: Int!"), "", 1, id="an argument becomes required"),
        pytest.param(OLD.replace("oldest: Int", "oldest: Int!"), "", 0, id="a result is promised"),
    ],
)
def test_only_announced_removals_pass(new: str, changelog: str, found: int) -> None:
    if "input I { g: Int" in new and not new.rstrip().endswith("}"):
        new += "}"
    assert len(problems(OLD, new, changelog)) == found
