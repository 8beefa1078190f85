"""The first person who may sign in."""

from __future__ import annotations

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand

from groundwork import environment


class Command(BaseCommand):
    help = "Make the superuser ADMIN_USERNAME with ADMIN_PASSWORD, if there is none of that name."

    def handle(self, **options) -> None:
        name = environment.text("ADMIN_USERNAME", "admin")
        users = get_user_model().objects
        if users.filter(username=name).exists():
            self.stdout.write(f"{name} is there")
            return
        users.create_superuser(name, password=environment.text("ADMIN_PASSWORD"))
        self.stdout.write(f"{name} was made")
