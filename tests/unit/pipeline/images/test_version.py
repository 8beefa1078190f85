"""Versions sort as dpkg sorts them."""

from __future__ import annotations

import itertools
import shutil
import subprocess

import pytest

from seatrial.pipeline.images.scan.version import Version

VERSIONS = [
    "1.0~rc1-1", "1.0", "1.0-1", "1.0-1+deb12u1", "1.0-1+deb12u10", "1.0-1+deb12u2", "1.0+dfsg-1", "1.0a-1", "1.0.1-1",
    "1:0.5-1", "2.36-9+deb12u13", "2.36-9", "3.0.17-1~deb12u2", "3.0.17-1", "0", "0~", "1.0-0", "09-1", "9-1", "9-a",
]  # fmt: skip


@pytest.mark.skipif(shutil.which("dpkg") is None, reason="dpkg is the judge")
@pytest.mark.parametrize("first", VERSIONS)
def test_the_order_is_dpkgs(first: str) -> None:
    for second in VERSIONS:
        is_less = subprocess.run(["dpkg", "--compare-versions", first, "lt", second]).returncode == 0
        assert (Version(first) < Version(second)) == is_less, (first, second)


def test_the_order_is_total() -> None:
    for first, second in itertools.product(map(Version, VERSIONS), repeat=2):
        assert [first < second, first == second, first > second].count(True) == 1
