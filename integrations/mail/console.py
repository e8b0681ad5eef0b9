"""Mail for developers: printed, so that the link in it can be opened."""

from typing import TextIO

from integrations.mail.base import Mail, MailUnavailable

_RULE = "─" * 72


class ConsoleProvider:
    """Writes the text of every mail to a stream. Nothing leaves the machine."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    async def send(self, mail: Mail) -> None:
        head = f"From:    {mail.sender}\nTo:      {mail.to}\nSubject: {mail.subject}"
        try:
            self._stream.write(f"\n{_RULE}\n{head}\n\n{mail.text.rstrip()}\n{_RULE}\n")
            self._stream.flush()
        except (OSError, ValueError) as error:
            raise MailUnavailable(f"the mail cannot be printed ({type(error).__name__})") from error

    async def close(self) -> None:
        """The stream belongs to the process."""
