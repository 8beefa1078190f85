from __future__ import annotations

import pytest

from seatrial.pipeline.workflow.patterns import matches, selected

MATCHES = [
    ("main", "main", True), ("main", "mains", False), ("*", "main", True), ("*", "feature/x", False),
    ("**", "feature/x/y", True), ("feature/*", "feature/x", True), ("feature/*", "feature/x/y", False),
    ("feature/**", "feature/x/y", True), ("releases/**-alpha", "releases/10-alpha", True),
    ("v[12].[0-9]+.[0-9]+", "v1.10.1", True), ("v[12].[0-9]+.[0-9]+", "v3.0.0", False),
    ("*.jsx?", "page.js", True), ("*.jsx?", "page.jsx", True), ("**.js", "src/js/app.js", True),
    ("docs/*", "docs/a/b.md", False), ("docs/**", "docs/a/b.md", True), ("**/docs/**", "docs/hello.md", True),
    ("**/docs/**", "dir/docs/my-file.txt", True), ("**/docs/**", "dirdocs/x", False),
    ("**/README.md", "README.md", True),
    ("**/*src/**", "a/src/app.js", True), ("**/*src/**", "my-src/code/js/app.js", True), ("*.md", "a.md", True),
    ("*.md", "docs/a.md", False), ("a.c", "abc", False), ("\\*", "*", True), ("\\*", "x", False), ("[", "[", True),
]  # fmt: skip


@pytest.mark.parametrize(("pattern", "text", "expected"), MATCHES)
def test_a_pattern_matches_as_on_github(pattern: str, text: str, expected: bool) -> None:
    assert matches(pattern, text) is expected


def test_the_last_pattern_that_matches_decides() -> None:
    assert not selected(["sub/**", "!sub/docs/**"], "sub/docs/a.md")
    assert selected(["sub/**", "!sub/docs/**"], "sub/a.py")
    assert selected(["sub/**", "!sub/docs/**", "sub/docs/keep.md"], "sub/docs/keep.md")
    assert not selected(["!a"], "b")


def test_a_pattern_that_would_take_for_ever_is_taken_literally() -> None:
    assert not matches("**a" * 40, "a" * 200 + "b")
