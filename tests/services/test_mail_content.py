"""What mails say: complete in every language, and nothing a stranger writes does anything in them."""

import re
from html.parser import HTMLParser
from string import Formatter

import pytest

from core.mail_vocabulary import MAIL_REQUESTS, MailFact, MailKind
from core.translations import LOCALES
from services.mail_content import SIGN_UP_AGAIN, Letter, Link, MailContent, MailText, harmless, load_languages

LANGUAGES = load_languages()
TEXTS = [*MailKind, SIGN_UP_AGAIN]
CONTENT = MailContent()
REQUESTS = MAIL_REQUESTS | {MailKind.WITHDRAWAL_CONFIRM}
"""What asks for something, by a link."""
UNTOLD = {MailFact.LOCALE, MailFact.WITHDRAWAL}
"""What is for the office alone: the reader is not told of it."""
FACTS = {
    MailFact.NAME: "bot",
    MailFact.PROVIDER: "GitHub",
    MailFact.ROLE: "SUPPORT",
    MailFact.LEFT: "7",
    MailFact.IP: "203.0.113.7",
    MailFact.DEVICE: "Firefox on Linux",
    MailFact.LOCALE: "xx",
}
ACTION = Link("https://cv.example/account/verify-email#token=aa", 1_770_086_400_000)
FREEZE = "https://cv.example/account/freeze#token=bb"
GERMAN = {"der", "die", "das", "und", "Sie", "Ihr", "Ihre", "Ihres", "Ihrem", "Ihren", "wurde", "nicht", "ist", "ein"}


def letter(text: str, locale: str = "en", **facts: str) -> Letter:
    return Letter(
        text=text,
        locale=locale,
        time_ms=1_770_000_000_000,
        facts={**{fact.value: told for fact, told in FACTS.items()}, **facts},
        code="tulip.and <b>rose",
        action=ACTION if text in REQUESTS else None,
        freeze_url=FREEZE if text not in REQUESTS else None,
    )


class Page(HTMLParser):
    """What a mail program would do with a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.attributes: set[str] = set()
        self.language: str | None = None
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}
        values = dict(attrs)
        if tag == "html":
            self.language = values.get("lang")
        if href := values.get("href"):
            self.links.append(href)

    def handle_data(self, data: str) -> None:
        self.text += data


def placeholders(text: str) -> set[str | None]:
    return {name for _, name, _, _ in Formatter().parse(text) if name is not None}


def shape(mail: MailText) -> tuple[int, int, bool, bool]:
    return len(mail.paragraphs), len(mail.notes), mail.action is None, mail.freeze is None


def test_every_language_has_the_same_mails_facts_and_placeholders() -> None:
    assert set(LANGUAGES) == set(LOCALES) == {"en", "de"}
    english = LANGUAGES["en"]
    for language in LANGUAGES.values():
        assert set(language.mails) == set(TEXTS)
        assert list(language.facts) == [fact for fact in MailFact if fact not in UNTOLD]
        for name, words in language.words:
            assert placeholders(words) == placeholders(getattr(english.words, name))
        for text in TEXTS:
            assert shape(language.mails[text]) == shape(english.mails[text])
            assert (language.mails[text].action is not None) == (text in REQUESTS)


@pytest.mark.parametrize("locale", LOCALES)
@pytest.mark.parametrize("text", TEXTS)
def test_every_mail_is_complete(text: str, locale: str) -> None:
    rendered = CONTENT.render(letter(text, locale))
    page = Page(rendered.html)
    assert page.language == locale
    told = [value for fact, value in FACTS.items() if fact is not MailFact.LOCALE]
    moment = {"en": "2026-02-02, 02:40 UTC", "de": "02.02.2026, 02:40 Uhr (UTC)"}[locale]
    for version in (rendered.text, page.text):
        assert all(value in version for value in (*told, moment, "tulip.and <b>rose"))
        assert re.search(r"[{}%]|None|\bxx\b", version) is None
    assert ("2026-02-03, 02:40 UTC" in rendered.text) == (locale == "en" and text in REQUESTS)
    links = [ACTION.url, ACTION.url] if text in REQUESTS else [FREEZE]
    assert page.links == links
    assert all(f"{link}\n" in rendered.text for link in links)
    assert "\n\n\n" not in rendered.text
    assert max(len(line) for line in rendered.text.splitlines() if "https://" not in line) <= 76
    assert rendered.subject == LANGUAGES[locale].mails[text].subject
    assert len(rendered.subject) <= 70
    assert rendered.subject.isprintable()


@pytest.mark.parametrize("locale", LOCALES)
def test_a_mail_with_nothing_beside_its_text(locale: str) -> None:
    rendered = CONTENT.render(Letter(text=MailKind.ACCOUNT_DELETED, locale=locale, time_ms=0, facts={}))
    assert "https://" not in rendered.text
    assert Page(rendered.html).links == []
    assert "Code:" not in rendered.text
    assert re.search(r"[{}]|None|\n\n\n", rendered.text) is None


def test_nothing_is_fetched_or_run() -> None:
    for text in TEXTS:
        page = Page(CONTENT.render(letter(text)).html)
        assert not {"script", "img", "iframe", "link", "style", "object", "form", "svg", "base"} & set(page.tags)
        assert not {name for name in page.attributes if name.startswith("on") or name in {"src", "background"}}
        assert "url(" not in page.text


def test_a_stranger_cannot_write_into_a_mail() -> None:
    evil = '<script>alert(1)</script>"><a href="https://evil.example">\r\nBcc: eve@example.com\u2028\u202eGo to evil.example'
    for text in TEXTS:
        plain, rendered = CONTENT.render(letter(text)), CONTENT.render(letter(text, device=evil, name=evil))
        assert Page(rendered.html).tags == Page(plain.html).tags
        assert Page(rendered.html).links == Page(plain.html).links
        assert rendered.subject == plain.subject
        assert len(rendered.text.splitlines()) == len(plain.text.splitlines())
        assert "\u202e" not in rendered.text
        assert re.search(r"://evil|evil\.example", rendered.text + rendered.html) is None


@pytest.mark.parametrize(
    "told", ["javascript:alert(1)", "https://a.example/ x", '"><b>', "https://a.example/\u202e", ""]
)
def test_only_a_web_address_is_a_link_to_an_explorer(told: str) -> None:
    sent = MailKind.WITHDRAWAL_SENT
    plain = CONTENT.render(letter(sent))
    assert CONTENT.render(letter(sent, explorer=told)) == plain
    url = 'https://explorer.example/tx/0xab?cluster="a"&x=1'
    assert Page(CONTENT.render(letter(sent, explorer=url)).html).links == [url, *Page(plain.html).links]


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("  Firefox\t on \r\n Linux ", "Firefox on Linux"),
        ("Mozilla/5.0 (X11; Linux x86_64; rv:128.0)", "Mozilla/5.0 (X11; Linux x86_64; rv:128.0)"),
        ("2001:db8::7", "2001:db8::7"),
        ("http://10.0.0.1/x", "http:// 10.0.0.1/x"),
        ("www.evil.example", "www. evil. example"),
        ("bücher.eu eve@evil.eu", "bücher. eu eve@evil. eu"),
        ("x" * 1000, f"{'x' * 119}…"),
        ("\x00\x1b[31m\u200b", "[31m"),
        (" \n ", ""),
    ],
)
def test_what_becomes_of_somebody_elses_text(given: str, shown: str) -> None:
    assert harmless(given) == shown


def test_an_unknown_language_is_english() -> None:
    assert CONTENT.render(letter(MailKind.NEW_DEVICE, "tlh")) == CONTENT.render(letter(MailKind.NEW_DEVICE, "en"))


def test_german_is_german() -> None:
    english, german = LANGUAGES["en"], LANGUAGES["de"]
    for text, mail in german.mails.items():
        words = set(re.findall(r"\w+", " ".join((mail.subject, *mail.paragraphs, *mail.notes))))
        assert len(GERMAN & words) >= 2, text
        assert not {"the", "your", "you", "and", "account"} & words
        assert not set(mail.paragraphs) & set(english.mails[text].paragraphs)
        assert mail.subject != english.mails[text].subject
    everything = "\n".join(
        [*german.facts.values(), *(words for _, words in german.words), *(str(mail) for mail in german.mails.values())]
    )
    assert set("äöüÄÖÜß") & set(everything)
    assert re.search(r"\b(du|dein|deine|fuer|ueber|koennen)\b", everything, re.IGNORECASE) is None
