"""The first person who may sign in."""

from __future__ import annotations

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError
from django.db import IntegrityError

from groundwork import environment


class Command(BaseCommand):
    help = "Make the superuser ADMIN_USERNAME with ADMIN_PASSWORD, if there is none of that name."

    def handle(self, **options) -> None:
        name = environment.text("ADMIN_USERNAME", "admin")
        users = get_user_model().objects
        if users.filter(username=name).exists():
            self.stdout.write(f"{name} is there")
            return
        try:
            password = environment.text("ADMIN_PASSWORD")
        except environment.MissingSetting as error:
            raise CommandError(str(error)) from None
        try:
            users.create_superuser(name, password=password)
        except IntegrityError:
            self.stdout.write(f"{name} was made by another pod at the same moment")
        else:
            self.stdout.write(f"{name} was made")
