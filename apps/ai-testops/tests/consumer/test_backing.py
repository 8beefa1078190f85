"""The servers the other tests stand on."""

from __future__ import annotations

import pytest

from backing import Broker, eventually
from testops.models import Project


def test_a_database_is_migrated_and_empty(database):
    with database.connect() as connection:
        assert connection.execute("SELECT count(*) FROM testops_run").fetchone() == (0,)


def test_two_databases_share_nothing(postgres):
    with postgres.copy() as one, postgres.copy() as two:
        with one.connect() as connection:
            connection.execute("CREATE TABLE only_here ()")
        with two.connect() as connection:
            assert connection.execute("SELECT to_regclass('only_here')").fetchone() == (None,)


@pytest.mark.django_db
def test_django_uses_the_same_server():
    Project.objects.create(name="shop", base_url="http://shop.example.com")
    assert Project.objects.get().name == "shop"


def test_the_broker_stops_and_comes_back_at_its_address(own_broker):
    own_broker.stop()
    with pytest.raises(ConnectionRefusedError):
        own_broker._listens()
    own_broker.start()
    assert own_broker._listens()


def test_a_check_that_never_holds_says_what_was_waited_for():
    with pytest.raises(AssertionError, match=r"pigs fly: not within 0 s \(last: False\)"):
        eventually("pigs fly", lambda: False, within=0.05)


def test_an_unknown_broker_port_is_chosen_freely():
    assert Broker().port != Broker().port
