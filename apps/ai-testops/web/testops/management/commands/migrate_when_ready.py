"""Migrations, when several pods start at once and the database may not be there yet."""

from __future__ import annotations

import time

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import OperationalError, connection

LOCK = 0x7E57_0953  # any number, the same in every pod
PAUSE = 0.5


class Command(BaseCommand):
    help = "Apply migrations once the database answers; of several that start at once one does it, the others wait."

    def add_arguments(self, parser) -> None:
        parser.add_argument("--wait", type=float, default=0.0, metavar="SECONDS", help="how long the database may take")
        parser.add_argument(
            "--skip-when-unreachable",
            action="store_true",
            help="end well if nothing listens there: a first installation",
        )

    def handle(self, *, wait: float, skip_when_unreachable: bool, **options) -> None:
        try:
            self._connect(time.monotonic() + wait)
        except OperationalError as error:
            if skip_when_unreachable and not is_refusal(error):
                self.stdout.write(f"no database yet, nothing is migrated: {first_line(error)}")
                return
            raise CommandError(f"the database does not answer: {first_line(error)}") from error
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_lock(%s)", [LOCK])
            try:
                call_command("migrate", interactive=False, verbosity=1, stdout=self.stdout)
            finally:
                cursor.execute("SELECT pg_advisory_unlock(%s)", [LOCK])

    def _connect(self, deadline: float) -> None:
        last = ""
        while True:
            try:
                connection.ensure_connection()
                return
            except OperationalError as error:
                if time.monotonic() >= deadline:
                    raise
                if (reason := first_line(error)) != last:
                    last = reason
                    self.stdout.write(f"waiting for the database: {reason}")
                    self.stdout.flush()
                connection.close()
                time.sleep(PAUSE)


def is_refusal(error: OperationalError) -> bool:
    """The server is there and says no: a wrong password is nothing to pass over."""
    return "FATAL" in str(error)


def first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
