from __future__ import annotations

import ipaddress

import pytest

from seatrial.cluster.node.addresses import AddressesExhausted, AddressPool

SMALL = ipaddress.IPv4Network("10.0.0.0/29")


def test_a_pod_keeps_its_address_however_often_it_is_asked_for() -> None:
    pool = AddressPool(SMALL)
    assert pool.of("a") == pool.of("a")


def test_two_pods_have_different_addresses() -> None:
    pool = AddressPool(SMALL)
    assert pool.of("a") != pool.of("b")


def test_a_released_address_is_reused_last() -> None:
    pool = AddressPool(SMALL)
    first = pool.of("a")
    pool.release("a")
    assert pool.of("b") != first
    assert {pool.of(uid) for uid in "bcdef"} == {f"10.0.0.{host}" for host in range(2, 7)}


def test_an_address_noted_from_a_status_is_not_given_again() -> None:
    pool = AddressPool(SMALL)
    pool.note("old", "10.0.0.2")
    assert pool.of("new") == "10.0.0.3"


def test_an_exhausted_pool_says_so_and_recovers() -> None:
    pool = AddressPool(SMALL)
    for uid in "abcde":
        pool.of(uid)
    with pytest.raises(AddressesExhausted, match=r"10\.0\.0\.0/29"):
        pool.of("f")
    pool.release("c")
    assert pool.of("f") == "10.0.0.4"
