"""What a mail says: the texts of a language (`mail_templates/<locale>.toml`) in one layout as text and one as HTML.

What comes from people (a device, the name of a key) is made harmless here: one line, without invisible characters, short, escaped in the
HTML, and with addresses of web sites broken, so that a stranger cannot put a link of his into a mail of ours. Subjects are fixed texts.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from pydantic import BaseModel

from core.clock import to_datetime
from core.mail_vocabulary import MailFact
from core.translations import DEFAULT_LOCALE, LOCALES

FOLDER = Path(__file__).with_name("mail_templates")
SIGN_UP_AGAIN = "SIGN_UP_AGAIN"
"""The text for somebody who signs up, and has an account."""
_LONGEST_VALUE = 120
_LINK = re.compile(r"https?://[!-~]{1,400}")
_WEB_ADDRESS = re.compile(r"://|(?<=\w)\.(?=[^\W\d])")


@dataclass(frozen=True, slots=True)
class Link:
    """A link that does something once, and its end."""

    url: str
    expires_ms: int


@dataclass(frozen=True, slots=True)
class Letter:
    """What is to be said: `text` names one of `mails`, `time_ms` is when it happened, `facts` are by
    MailFact, `code` is the reader's anti-phishing code."""

    text: str
    locale: str
    time_ms: int
    facts: Mapping[str, str]
    code: str | None = None
    action: Link | None = None
    freeze_url: str | None = None


@dataclass(frozen=True, slots=True)
class Rendered:
    """A mail's content."""

    subject: str
    text: str
    html: str


class Words(BaseModel, frozen=True, extra="forbid"):
    """What every mail has in common. `moment` is a format of strftime, with digits only."""

    time: str
    moment: str
    greeting: str
    button_fails: str
    expires: str
    freeze: str
    freeze_action: str
    code: str
    code_meaning: str
    never_asked: str
    automatic: str


class MailText(BaseModel, frozen=True, extra="forbid"):
    """What one mail says."""

    subject: str
    paragraphs: tuple[str, ...]
    action: str | None = None
    notes: tuple[str, ...] = ()
    freeze: str | None = None


class Language(BaseModel, frozen=True, extra="forbid"):
    """One language's texts."""

    words: Words
    facts: dict[MailFact, str]
    mails: dict[str, MailText]


def load_languages() -> dict[str, Language]:
    """The texts of every language there is."""
    return {
        locale: Language.model_validate(tomllib.loads((FOLDER / f"{locale}.toml").read_text(encoding="utf-8")))
        for locale in LOCALES
    }


class MailContent:
    """Writes mails."""

    def __init__(self) -> None:
        self._languages = load_languages()
        environment = Environment(
            loader=FileSystemLoader(FOLDER),
            autoescape=select_autoescape(["html"]),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
        )
        self._text = environment.get_template("layout.txt")
        self._html = environment.get_template("layout.html")

    def render(self, letter: Letter) -> Rendered:
        """The letter in its language, or in English when there is none such."""
        locale = letter.locale if letter.locale in self._languages else DEFAULT_LOCALE
        language = self._languages[locale]
        words, mail = language.words, language.mails[letter.text]
        expires = _moment(letter.action.expires_ms, words) if letter.action else ""
        values = {
            "locale": locale,
            "words": words,
            "mail": mail,
            "action": letter.action,
            "expires": words.expires.format(expires=expires),
            "rows": list(_rows(letter, language)),
            "freeze_url": letter.freeze_url,
            "code": words.code.format(code=_one_line(letter.code)) if letter.code else None,
        }
        return Rendered(mail.subject, self._text.render(values), self._html.render(values))


def harmless(text: str) -> str:
    """Somebody else's text as a mail may show it."""
    unlinked = _WEB_ADDRESS.sub(lambda match: f"{match[0]} ", _one_line(text))
    return unlinked if len(unlinked) <= _LONGEST_VALUE else f"{unlinked[: _LONGEST_VALUE - 1]}…"


def _one_line(text: str) -> str:
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())


def _rows(letter: Letter, language: Language) -> Iterator[tuple[str, str, str | None]]:
    """Label, value and where it leads of the time and of every fact, in the order of the language's file."""
    yield language.words.time, _moment(letter.time_ms, language.words), None
    for fact, label in language.facts.items():
        value = letter.facts.get(fact, "")
        if fact is MailFact.EXPLORER:
            if _LINK.fullmatch(value):
                yield label, value, value
        elif shown := harmless(value):
            yield label, shown, None


def _moment(time_ms: int, words: Words) -> str:
    return to_datetime(time_ms).strftime(words.moment)
