"""`python -m server role`, `audit verify` and `encryption rotate`: what an operator does to accounts from the command line."""

import argparse
import json
import sys
from pathlib import Path

from core.account_vocabulary import AuditAction, AuditActor, Role
from core.bus import MemoryBus
from core.clock import SystemClock
from core.mail_vocabulary import MailKind
from core.secret_box import SealBroken, SecretBox
from core.settings import Settings
from models import user
from server import process
from server.command_database import command_database
from server.encryption_keys import configured_box, development_box
from server.errors import CannotRun
from services import audit_check, operators
from services.audit import AuditLog
from services.audit_check import AuditReport
from services.mail import Mailbox
from services.reseal import reseal_all

EXIT_FAILED = 1


def run(settings: Settings, options: argparse.Namespace) -> int:
    """Run the command that was chosen; gives the exit status."""
    commands = {"role": _role, "audit": _audit, "encryption": _encryption}
    found = 0

    async def main() -> None:
        nonlocal found
        found = await commands[options.command](settings, options)

    return process.run(main) or found


async def _role(settings: Settings, options: argparse.Namespace) -> int:
    box, clock, bus = _box(settings), SystemClock(), MemoryBus()
    async with command_database(settings):
        person = await operators.find(options.account)
        if person is None:
            raise CannotRun(f"there is no account {options.account}; expected its address or its plain id")
        role = Role(options.role)
        await user.set_role(person.id, role, clock.now_ms())
        detail = {"from": person.role.value, "to": role.value}
        await AuditLog(box, bus, clock).record(
            person.id, AuditAction.ROLE_CHANGED, client=None, actor=AuditActor.SYSTEM, detail=detail
        )
        await Mailbox(bus, clock).send(MailKind.ROLE_CHANGED, user_id=person.id, role=role.value)
        _say(f"{options.account}: {person.role.value} is now {role.value}")
    return 0


async def _audit(settings: Settings, options: argparse.Namespace) -> int:
    box = _box(settings)
    anchor = _read_anchor(options.anchor) if options.anchor is not None else {}
    async with command_database(settings):
        account = None
        if options.account is not None:
            person = await operators.find(options.account)
            account = person.id if person is not None else options.account
        report = await audit_check.check(box, anchor, account)
    for problem in report.problems:
        sys.stderr.write(f"audit: {problem}\n")
    _say(f"{report.accounts} accounts, {report.rows} rows, {len(report.problems)} problems")
    if options.save_anchor is not None and not report.problems:
        _write_anchor(options.save_anchor, report)
    return EXIT_FAILED if report.problems else 0


async def _encryption(settings: Settings, _options: argparse.Namespace) -> int:
    box = _box(settings)
    async with command_database(settings):
        try:
            done = await reseal_all(box, SystemClock())
        except SealBroken as error:
            raise CannotRun(
                f"a stored secret cannot be read ({error}): its key is not in ENCRYPTION_OLD_KEYS"
            ) from None
    _say(
        f"under the newest key now: {done.factors} factors, {done.signing_keys} signing keys, {done.audit_rows} audit rows"
    )
    return 0


def _box(settings: Settings) -> SecretBox:
    return development_box(settings) if settings.mongo_url is None else configured_box(settings)


def _read_anchor(path: Path) -> dict[str, tuple[int, str]]:
    try:
        held = json.loads(path.read_text())
        return {str(account): (int(number), str(digest)) for account, (number, digest) in held.items()}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise CannotRun(f"{path} is no anchor that `audit verify --save-anchor` has written") from error


def _write_anchor(path: Path, report: AuditReport) -> None:
    try:
        path.write_text(json.dumps(report.heads, indent=0, sort_keys=True) + "\n")
    except OSError as error:
        raise CannotRun(f"{path} cannot be written: {error.strerror}") from error


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
