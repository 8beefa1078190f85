"""Fixtures of all tests. Servers start when the first test asks for them, and stop with the last one.

* `postgres`, `broker`: the servers of this test run; Django's settings point at them.
* `database`: a migrated empty database of its own, for tests with several processes or connections.
* `own_broker`: a broker only this test uses, which it may stop and start.

Tests marked `django_db` get pytest-django's database, made from the same template.
"""

from __future__ import annotations

import os
import zlib

import pytest

from backing import TEMPLATE, Broker, PostgreSQL, free_port

SERVERS: dict[str, int | str] = {}


def pytest_configure() -> None:
    """Django reads its settings now, so where the servers will listen is decided now."""
    SERVERS.update(postgres=free_port(), broker=free_port(), password="for-tests-only")
    os.environ.update(
        DJANGO_SETTINGS_MODULE="config.settings",
        SECRET_KEY="a key that only the tests use, long enough for everyone",
        CREDENTIALS_KEY="another key that only the tests use",
        DATABASE_URL=f"postgresql://tester@127.0.0.1:{SERVERS['postgres']}/app",
        PGPASSWORD=str(SERVERS["password"]),
        KAFKA_BOOTSTRAP_SERVERS=f"127.0.0.1:{SERVERS['broker']}",
        TARGET_ALLOWED_HOSTS="127.0.0.0/8",
        ALLOWED_HOSTS="localhost,127.0.0.1,testserver",
    )
    for name in ("ADMIN_USERNAME", "ADMIN_PASSWORD", "GENERATOR", "LLM_BASE_URL", "LLM_API_KEY"):
        os.environ.pop(name, None)
    from django.conf import settings

    assert settings.DATABASES
    # pytest-xdist's workers inherit the environment: with this in it they would read our settings, not theirs.
    del os.environ["DJANGO_SETTINGS_MODULE"]


@pytest.hookimpl(tryfirst=True)  # before pytest-django's, which puts tests with transactions last
def pytest_collection_modifyitems(items) -> None:
    """Neighbours go to one process: those that wait for a broker are spread among those that compute."""
    items.sort(key=lambda item: zlib.crc32(item.nodeid.encode()))


@pytest.fixture(scope="session")
def postgres():
    server = PostgreSQL(SERVERS["postgres"], SERVERS["password"])
    try:
        server.initialise()
        server.start()
        server.migrate(TEMPLATE)
        yield server
    finally:
        server.remove()


@pytest.fixture(scope="session")
def broker():
    server = Broker(SERVERS["broker"])
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture
def own_broker():
    server = Broker()
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture
def database(postgres):
    with postgres.copy() as copy:
        yield copy


@pytest.fixture(scope="session")
def django_db_modify_db_settings(postgres) -> None:
    from django.db import connections

    connections["default"].settings_dict["TEST"]["TEMPLATE"] = TEMPLATE
