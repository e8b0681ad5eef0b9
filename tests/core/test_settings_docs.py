from core import settings_docs
from core.settings import Settings


def test_the_page_says_what_the_settings_say() -> None:
    assert settings_docs.PATH.read_text() == settings_docs.render(), "run: python -m core.settings_docs"


def test_every_setting_has_a_row_and_a_meaning() -> None:
    page = settings_docs.render()
    for name, field in Settings.model_fields.items():
        assert page.count(f"\n| `{name.upper()}` |") == 1
        assert field.description
        assert field.description.endswith((".", "`"))


def test_no_default_is_a_secret() -> None:
    for line in settings_docs.render().splitlines():
        if line.endswith("| yes |"):
            assert line.split(" | ")[1] == "", line
