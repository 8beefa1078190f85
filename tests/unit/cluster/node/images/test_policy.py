"""imagePullPolicy, the back-off of failed pulls, and garbage collection: pure decisions."""

from __future__ import annotations

import pytest

from seatrial.cluster.node.images import garbage, policy
from seatrial.cluster.node.images.errors import ImageNotFound
from seatrial.cluster.node.images.garbage import Candidate, Disk, Thresholds
from seatrial.cluster.node.images.policy import BackOff, Decision, NeverPull, PullBackOff


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ("busybox", "Always"),
        ("busybox:latest", "Always"),
        ("localhost:5000/busybox", "Always"),
        ("busybox:1", "IfNotPresent"),
        ("busybox@sha256:" + "a" * 64, "IfNotPresent"),
        ("busybox:latest@sha256:" + "a" * 64, "IfNotPresent"),
    ],
)
def test_a_name_that_moves_is_always_asked_for(image: str, expected: str) -> None:
    assert policy.default_policy(image) == expected


@pytest.mark.parametrize(
    ("rule", "present", "expected"),
    [
        ("Always", True, Decision.PULL),
        ("Always", False, Decision.PULL),
        ("IfNotPresent", True, Decision.USE),
        ("IfNotPresent", False, Decision.PULL),
        ("Never", True, Decision.USE),
    ],
)
def test_the_policy_decides(rule: str, present: bool, expected: Decision) -> None:
    assert policy.decide("a", rule, present=present) is expected


def test_never_pull_without_the_image_is_an_error_of_its_own() -> None:
    with pytest.raises(NeverPull) as caught:
        policy.decide("app:1", "Never", present=False)
    assert caught.value.reason == "ErrImageNeverPull"
    assert "app:1" in caught.value.message


def test_the_delays_double_from_10_to_300_seconds() -> None:
    backoff = BackOff()
    now, seen = 0.0, []
    for _ in range(7):
        delay = backoff.failed("pod_image", now, ImageNotFound("no such tag"))
        seen.append(delay)
        now += delay
    assert seen == [10, 20, 40, 80, 160, 300, 300]


def test_while_it_waits_the_image_says_why_and_how_long() -> None:
    backoff = BackOff()
    backoff.failed("key", 100.0, ImageNotFound("registry r.io has no tag 'x'"))
    with pytest.raises(PullBackOff, match=r"next try in 4 s: ErrImagePull: registry r.io has no tag 'x'") as caught:
        backoff.check("key", "app:x", 106.0)
    assert caught.value.reason == "ImagePullBackOff"
    backoff.check("key", "app:x", 110.0)
    backoff.check("other", "app:x", 106.0)


def test_a_success_and_a_long_silence_begin_anew() -> None:
    backoff = BackOff()
    backoff.failed("key", 0.0, ImageNotFound("x"))
    backoff.succeeded("key")
    assert backoff.failed("key", 1.0, ImageNotFound("x")) == 10
    assert backoff.failed("key", 20.0, ImageNotFound("x")) == 20
    assert backoff.failed("key", 10_000.0, ImageNotFound("x")) == 10


# Garbage collection

NOW = 1_000_000.0


def image(name: str, used: float, pulled: float = 0.0, **parts: int) -> Candidate:
    return Candidate(name, pulled, used, parts or {name: 10})


def planned(images: list[Candidate], available: int, in_use: tuple[str, ...] = (), **limits: float) -> list[str]:
    thresholds = Thresholds(max_age=limits.get("max_age", 0.0))
    return garbage.plan(images, in_use, Disk(100, available), thresholds, NOW)


def test_below_the_high_threshold_nothing_goes() -> None:
    assert planned([image("a", 1)], available=16) == []


def test_at_the_high_threshold_the_longest_unused_go_until_the_low_one() -> None:
    images = [image("new", 3, new=4), image("old", 1, old=3), image("middle", 2, middle=3)]
    assert planned(images, available=15) == ["old", "middle"]


def test_images_in_use_and_young_ones_stay() -> None:
    images = [image("used", 1), image("young", 2, pulled=NOW - 60), image("old", 3)]
    assert planned(images, available=0, in_use=("used",)) == ["old"]


def test_a_shared_layer_is_free_only_when_its_last_image_goes() -> None:
    images = [image("a", 1, base=20, a=1), image("b", 2, base=20, b=1), image("c", 3, c=30)]
    assert planned(images, available=5) == ["a", "b"]


def test_what_nobody_used_for_long_goes_whatever_the_disk_says() -> None:
    images = [image("old", NOW - 500, pulled=NOW - 900), image("new", NOW - 10, pulled=NOW - 900)]
    assert planned(images, available=90, max_age=400) == ["old"]
