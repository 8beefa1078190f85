"""Where the consumer's settings come from."""

from __future__ import annotations

import pytest

from groundwork.environment import MissingSetting
from testops_consumer.settings import from_environment

NEEDED = {"DATABASE_URL": "postgresql://x", "SECRET_KEY": "secret"}


@pytest.fixture
def environment(monkeypatch):
    for name in ("DATABASE_URL", "SECRET_KEY", "CREDENTIALS_KEY", "KAFKA_BOOTSTRAP_SERVERS", "TARGET_ALLOWED_HOSTS"):
        monkeypatch.delenv(name, raising=False)

    def put(**values: str) -> None:
        for name, value in values.items():
            monkeypatch.setenv(name, value)

    return put


def test_two_settings_are_enough(environment):
    environment(**NEEDED)
    settings = from_environment()
    assert settings.credentials_key == "secret"
    assert settings.bootstrap_servers == "localhost:9092"
    assert settings.allowed_hosts == ()


def test_the_key_of_credentials_is_its_own_when_given(environment):
    environment(**NEEDED, CREDENTIALS_KEY="other", TARGET_ALLOWED_HOSTS="*.svc, 10.0.0.0/8", CONCURRENCY="7")
    settings = from_environment()
    assert settings.credentials_key == "other"
    assert settings.allowed_hosts == ("*.svc", "10.0.0.0/8")
    assert settings.concurrency == 7


def test_a_secret_may_come_from_a_mounted_file(environment, tmp_path):
    (tmp_path / "key").write_text("from a file\n")
    environment(DATABASE_URL="postgresql://x", SECRET_KEY_FILE=str(tmp_path / "key"))
    assert from_environment().credentials_key == "from a file"


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({}, "DATABASE_URL is not set"),
        ({"DATABASE_URL": "postgresql://x"}, "SECRET_KEY is not set"),
        ({"DATABASE_URL": "postgresql://x", "SECRET_KEY_FILE": "/nowhere/key"}, "SECRET_KEY_FILE names /nowhere/key"),
        ({**NEEDED, "CONCURRENCY": "many"}, "CONCURRENCY is 'many'"),
    ],
)
def test_what_is_missing_or_wrong_is_named(environment, values, named):
    environment(**values)
    with pytest.raises(MissingSetting, match=named):
        from_environment()
