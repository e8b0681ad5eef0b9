"""Mail over SendGrid's REST API, version 3 (POST /v3/mail/send)."""

import asyncio

import httpx

from integrations.certificates import trusted
from integrations.mail.base import STANDING_HEADERS, Mail, MailRefused, MailUnavailable, ascii_address, name_and_address

TIMEOUT_SECONDS = 15.0
_ACCEPTED = 202
_REFUSALS = frozenset({400, 413})
"""About this very mail. What else is refused (a key, a limit, a path) is ours to mend, and the mail waits for it."""
_MAX_BODY_BYTES = 2**16


class SendGridProvider:
    """Hands mail to SendGrid."""

    def __init__(self, api_key: str, base_url: str, *, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        headers = {"Authorization": f"Bearer {api_key}"}
        self._client = httpx.AsyncClient(base_url=base_url, headers=headers, timeout=timeout_seconds, verify=trusted())
        self._timeout_seconds = timeout_seconds

    async def send(self, mail: Mail) -> None:
        body = _body(mail)
        try:
            async with asyncio.timeout(self._timeout_seconds):
                status = await self._post(body)
        except (TimeoutError, httpx.TimeoutException):
            raise MailUnavailable("SendGrid did not answer in time") from None
        except (httpx.HTTPError, httpx.InvalidURL):
            raise MailUnavailable("SendGrid cannot be reached") from None
        if status in _REFUSALS:
            raise MailRefused(f"SendGrid refused the mail with status {status}")
        if status != _ACCEPTED:
            raise MailUnavailable(f"SendGrid answered with status {status}")

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def _post(self, body: dict[str, object]) -> int:
        """The status of the answer. Of its content only so much is read as keeps the connection usable."""
        async with self._client.stream("POST", "/v3/mail/send", json=body) as response:
            size = 0
            async for part in response.aiter_raw():
                size += len(part)
                if size > _MAX_BODY_BYTES:
                    break
            return response.status_code


def _body(mail: Mail) -> dict[str, object]:
    name, address = name_and_address(mail.sender)
    untouched = {"enable": False}
    return {
        "personalizations": [{"to": [{"email": ascii_address(mail.to)}]}],
        "from": {"email": address, "name": name} if name else {"email": address},
        "subject": mail.subject,
        "content": [{"type": "text/plain", "value": mail.text}, {"type": "text/html", "value": mail.html}],
        "headers": {"Message-ID": mail.message_id, **STANDING_HEADERS},
        # Links are not led through SendGrid, which would see their tokens, and nobody is told who opened a mail.
        "tracking_settings": {
            "click_tracking": {**untouched, "enable_text": False},
            "open_tracking": untouched,
            "subscription_tracking": untouched,
        },
    }
