import pytest
from pydantic import SecretStr

from core.redaction import Redactor, redactor_for
from core.settings import Settings

REDACTOR = Redactor()


@pytest.mark.parametrize(
    "name",
    [
        "authorization",
        "Cookie",
        "set-cookie",
        "password",
        "new_password",
        "client_secret",
        "access_token",
        "apiKey",
        "api_key",
        "private_key",
        "ENCRYPTION_KEY",
        "mnemonic",
        "seed_phrase",
        "signature",
        "sentry_dsn",
        "variables",
    ],
)
def test_values_under_telling_names_are_hidden(name: str) -> None:
    assert REDACTOR.clean({name: "hunter2"}) == {name: "***"}
    assert REDACTOR.clean_fields({name: ["hunter2"]}) == {name: "***"}
    assert REDACTOR.clean({"deep": [{name: {"in": "hunter2"}}]}) == {"deep": [{name: "***"}]}
    assert REDACTOR.clean({name: None}) == {name: None}


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("mongodb://user:p%40ss@db:27017/x?a=1", "mongodb://***@db:27017/x?a=1"),
        ("redis://:hunter2@cache:6379/0 and https://a.example/p", "redis://***@cache:6379/0 and https://a.example/p"),
        ("GET https://x.example/v1?apiKey=abc123&symbol=BTC", "GET https://x.example/v1?apiKey=***&symbol=BTC"),
        ("sent Authorization: Bearer abc.def-ghi_123", "sent Authorization: Bearer ***"),
        ("a token eyJhbGciOi.eyJzdWIi.c2ln here", "a token *** here"),
        ("password=hunter2; next", "password=***; next"),
        ("price=100.5 for BTC-USD", "price=100.5 for BTC-USD"),
        ("the token limit is 1000", "the token limit is 1000"),
    ],
)
def test_secrets_inside_a_text_are_hidden(text: str, cleaned: str) -> None:
    assert REDACTOR.text(text) == cleaned
    assert REDACTOR.clean(RuntimeError(text)) == cleaned


def test_secrets_of_the_configuration_are_hidden_wherever_they_stand() -> None:
    settings = Settings(_env_file=None, sentry_dsn=SecretStr("https://public@sentry.example/1"))
    redactor = redactor_for(settings)
    assert redactor.text("cannot reach https://public@sentry.example/1 now") == "cannot reach *** now"
    assert Redactor(["k3y-of-mine"]).clean(["x", ("k3y-of-mine!",)]) == ["x", ["***!"]]


@pytest.mark.parametrize(
    ("name", "value", "cleaned"),
    [
        ("detail", "Bearer abcdefgh", "Bearer ***"),
        ("detail", "mongodb://me:pw@db/", "mongodb://***@db/"),
        ("token", "abc", "***"),
        ("token", 12, "***"),
        ("detail", ["api_key=abcdef"], ["api_key=***"]),
        ("detail", float("nan"), "nan"),
    ],
)
def test_one_secret_among_plain_fields_is_hidden_and_they_stay(name: str, value: object, cleaned: object) -> None:
    plain = {"event": "http.answered", "status": 200, "duration_ms": 1.5, "client": None, "_record": object()}
    assert REDACTOR.clean_fields({**plain, name: value}) == {**plain, name: cleaned}
    scalars = {key: each for key, each in plain.items() if key != "_record"}
    assert REDACTOR.clean_fields({**scalars, name: value}) == {**scalars, name: cleaned}


def test_short_values_are_no_secrets_to_search_for() -> None:
    assert Redactor(["", "a", "abc"]).text("a cab and an abc") == "a cab and an abc"


def test_a_longer_secret_is_hidden_whole() -> None:
    assert Redactor(["secret-1", "secret-1-longer"]).text("x secret-1-longer y") == "x *** y"


def test_what_is_no_secret_stays() -> None:
    fields = {"event": "started", "port": 8000, "ratio": 0.5, "tls": True, "none": None, "list": [1, "two"]}
    assert REDACTOR.clean_fields(fields) == fields
    assert REDACTOR.clean([float("nan"), SecretStr("x"), b"raw"]) == ["nan", "***", "***"]


def test_a_value_that_holds_itself_ends() -> None:
    endless: list[object] = []
    endless.append(endless)
    assert "***" in str(REDACTOR.clean(endless))
