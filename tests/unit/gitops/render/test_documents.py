"""YAML is read as Kubernetes reads it, and no document takes the machine."""

from __future__ import annotations

from typing import Any

import helm_python
import pytest

from seatrial.gitops.render import documents
from seatrial.gitops.render.documents import BadDocument, Named

SCALARS = [
    "yes", "No", "on", "OFF", "y", "n", "true", "True", "TRUE", "tRUE", "~", "null", "Null", "", "'yes'", '"1"',
    "0", "1", "-1", "+1", "010", "0o10", "0x1F", "0b101", "1_000", "08", "0x", "12345678901", "-0", "1:30", "190:20:30",
    "1.0", "1.5", ".5", "5.", "1e3", "1E-2", "1.2.3", "1e", "-.5", "+1.5", "1_0.5", "2020-01-01",
    "2020-01-01T10:00:00Z",
    "=", "<<", "!!str 1", "!!int '7'", "!!float 3", "0.1.0", "1.20", "v1", "a: b", "[a, 1, yes]",
    "{a: 1, yes: 2, 3: 4}",
    "|\n  text\n", ">-\n  folded\n  text\n", "&a {x: 1}", "0e0", "1e21", "- 1", "e1", "1,000", "0.0", "00", "-010",
]  # fmt: skip


@pytest.mark.parametrize("text", SCALARS)
def test_values_are_what_helm_reads_in_them(text: str) -> None:
    content = f"value: {text}\n" if not text.startswith("- ") else f"value:\n{text}\n"
    try:
        expected: Any = helm_python.values_from_yaml(content)
    except helm_python.HelmError:
        with pytest.raises(BadDocument):
            documents.single(content.encode())
        return
    assert documents.single(content.encode()) == expected


def test_merge_keys_do_not_beat_what_is_written() -> None:
    content = b"base: &base {a: 1, b: 2}\nother: {<<: *base, b: 3}\nmany: {<<: [*base, {c: 4}]}\n"
    assert documents.single(content)["other"] == {"a": 1, "b": 3}
    assert documents.single(content)["many"] == {"a": 1, "b": 2, "c": 4}


def test_an_alias_is_a_copy() -> None:
    found = documents.single(b"a: &a {x: 1}\nb: *a\n")
    found["a"]["x"] = 2
    assert found["b"] == {"x": 1}


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"[" * 300_000, "nested deeper"),
        (b"- " * 100_000, "nested deeper"),
        (b"{a: " * 100_000, "nested deeper"),
        (b"a: &a [*a]", "no anchor"),
        (b"a: 1\nb: 2\na: 3\n", "line 3: the key 'a' is given twice"),
        (b"a: [1\nb: 2\n", "line 2"),
        (b"a: \x00\n", "not YAML"),
        (b"{a: .inf}", "not a value JSON has"),
        (b"? {a: b}\n: c\n", "a key must be text"),
        (b"\xff\xff", "not YAML"),
        (b"a: b\n---\nc: d\n", "expected one document"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(content: bytes, says: str) -> None:
    with pytest.raises(BadDocument, match=says):
        documents.single(content)


def test_aliases_unfold_to_a_bounded_size() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    with pytest.raises(BadDocument, match="unfolds to more than"):
        documents.single("\n".join(lines).encode())


def test_lists_are_unfolded() -> None:
    content = b"""
apiVersion: v1
kind: List
items:
  - {apiVersion: v1, kind: Secret, metadata: {name: a}}
  - apiVersion: v1
    kind: ConfigMapList
    items: [{metadata: {name: b}}]
"""
    found = documents.objects([Named("a.yaml", content)], strict=True)
    assert [(obj["kind"], obj["metadata"]["name"]) for obj in found] == [("Secret", "a"), ("ConfigMap", "b")]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("apiVersion: v1\nkind: A\n---\njust text\n", "a.yaml: document 2: expected an object .* found text"),
        ("apiVersion: v1\nkind: A\n---\n- 1\n", "a.yaml: document 2: .* found a list"),
        ("apiVersion: v1\nmetadata: {}\n", "a.yaml: document 1: kind is missing"),
        ("kind: A\napiVersion: 1\n", "a.yaml: document 1: apiVersion is missing"),
        ("apiVersion: v1\nkind: List\nitems: [1]\n", r"a.yaml: document 1, items\[0\]: expected an object"),
    ],
)
def test_a_document_that_is_no_object_is_named(content: str, says: str) -> None:
    with pytest.raises(BadDocument, match=says):
        documents.objects([Named("a.yaml", content.encode())], strict=True)


def test_a_file_that_does_not_look_like_manifests_is_passed_over_in_a_directory() -> None:
    files = [Named("values.yaml", b"image: nginx\n"), Named("broken.yaml", b"{{ not yaml\n")]
    assert documents.objects(files, strict=True, lenient=True) == []


def test_a_broken_manifest_is_not_passed_over() -> None:
    broken = Named("a.yaml", b"apiVersion: v1\nkind: A\nmetadata: {\n")
    with pytest.raises(BadDocument, match=r"a\.yaml: line"):
        documents.objects([broken], strict=True, lenient=True)


def test_json_is_one_object() -> None:
    assert documents.objects([Named("a.json", b'{"apiVersion": "v1", "kind": "A"}')], strict=True)
    with pytest.raises(BadDocument, match="it is not JSON"):
        documents.objects([Named("a.json", b"{} {}")], strict=True)
