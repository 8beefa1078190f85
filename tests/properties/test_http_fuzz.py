"""Whatever comes over HTTPS, the server answers in time, never with a 500, and goes on as before.

Every example is a seed: a handful of requests made from valid ones by mutation, sent over real connections. Objects
that got in stay for a while, so that what one request stores, lists, tables, patches and controllers have to bear.
"""

from __future__ import annotations

import base64
import contextlib
import copy
import http.client
import json
import logging
import random
import socket
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

import pytest
import yaml
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from seatrial.testing.background import BackgroundCluster

if TYPE_CHECKING:
    from collections.abc import Iterator

    from seatrial.testing.background import ClusterHandle

Pick = random.Random

PATIENCE = 15.0
"""Seconds within which every request is answered; far more than any needs, on a busy machine too."""
GOOD = frozenset({501, 504})
"""What is not built says 501, a revision from the future gets 504; any other code from 500 on is a failure."""
TESTS = Path(__file__).parents[1]
PHASES = (Phase.explicit, Phase.reuse, Phase.generate)

SAMPLES: list[dict[str, Any]] = list(
    yaml.safe_load((TESTS / "differential/cases/kinds.yaml").read_text())["samples"].values()
)
"""Small valid objects."""
FULL: list[dict[str, Any]] = [
    json.loads(path.read_bytes()) for path in sorted((TESTS / "golden/protobuf").glob("*.json"))
]
"""Objects with something in every field of their kind, most of it nonsense."""
PROTOBUF = [path.read_bytes() for path in sorted((TESTS / "golden/protobuf").glob("*.pb"))]

ODD_TEXT = (
    *("", " ", ".", "..", "/", "a/b", "%", "%00", "A", "-", "a" * 64, "a" * 254, "x" * 5000, "ä", "日本", "\U0001f6a2"),
    *("\u0000", "a\u0000b", "\u007f", "\u202e", "\ufeff", "\r\nX: y", "true", "null", "0", "-1", "1e9", "1Ki", "100%"),
    *("=", "a=b", "{", "[", "*", "$", "~1", "~", "f:", "k:{}", 'k:{"a":1}', "v:1", "i:0", "{.a", "{..}", "@every 1s"),
)
ODD = (
    *(
        None,
        True,
        False,
        0,
        1,
        -1,
        2**31,
        2**63,
        -(2**63) - 1,
        10**30,
        1.5,
        -0.0,
        1e308,
        0.1,
        [],
        {},
        [None],
        [[]],
        [{}],
    ),
    *({"": None}, {"": ""}, {"a": {}}, [1, "a", None], {"$patch": "delete"}, {"f:a": {}}, "a", "1", *ODD_TEXT),
)
NAMES = ("fuzz-a", "fuzz-b", "fuzz-c")
NAMESPACES = ("default", "fuzz")
NUMBERS = ("", "0", "1", "2", "-1", "1.5", "a", "007", "99999999999999999999", "9" * 400, "١", " 1", "true")
SELECTORS = (
    *(
        "a=b",
        "a!=b",
        "a",
        "!a",
        "a in (b,c)",
        "a notin (b)",
        "a in ()",
        "a in (",
        "a in b)",
        "a,,b",
        ",",
        "=",
        "!",
        "!!a",
    ),
    *(
        "a==b",
        "a=b=c",
        "a>1",
        "a<x",
        "a/b/c=d",
        "x" * 300 + "=y",
        "a=" + "y" * 300,
        "metadata.name=a",
        "metadata.name!=",
    ),
    *("metadata.name==a,metadata.namespace=default", "spec.nodeName=x", "status.phase!=Running", "spec.x=y", "a\\=b=c"),
    *("metadata.name=a\\,b", "\u0000=a", "a in (" + "b," * 3000 + "b)", "(" * 2000, "type=Normal", "reason!=x"),
)
TOKENS = (
    *("", "a", "====", "\u0000", "ä", "x" * 3000),
    *(
        base64.urlsafe_b64encode(text.encode()).decode()
        for text in (
            *("{}", "[]", "null", "1", '{"v":"seatrial/v1","rv":1,"ns":"default","n":"a"}', '{"rv":-1,"ns":"","n":""}'),
            *('{"rv":1e999}', '{"rv":"1","ns":null,"n":[]}', '{"rv":99999999999999999999,"ns":"","n":""}', "\u00ff"),
            *('{"v":"seatrial/v1","rv":0,"ns":"","n":""}', '{"rv":true,"ns":"a","n":"b"}', '{"rv":NaN,"ns":"","n":""}'),
        )
    ),
)
PARAMETERS: dict[str, tuple[str, ...]] = {
    "limit": NUMBERS,
    "timeoutSeconds": ("1", *NUMBERS),
    "resourceVersion": NUMBERS,
    "gracePeriodSeconds": NUMBERS,
    "resourceVersionMatch": ("Exact", "NotOlderThan", "", "x"),
    "sendInitialEvents": ("true", "false", "1", "", "x"),
    "allowWatchBookmarks": ("true", "false", "x"),
    "watch": ("true", "1", "false", "0", "x", ""),
    "labelSelector": SELECTORS,
    "fieldSelector": SELECTORS,
    "continue": TOKENS,
    "dryRun": ("All", "", "x", "all"),
    "fieldManager": ("me", "", "x" * 200, "a\u0000", "ä"),
    "fieldValidation": ("Strict", "Warn", "Ignore", "", "x"),
    "force": ("true", "false", "x"),
    "propagationPolicy": ("Foreground", "Background", "Orphan", "", "x"),
    "orphanDependents": ("true", "false", "x"),
    "includeObject": ("None", "Object", "Metadata", "x"),
    "pretty": ("true", "x"),
    "verbose": ("",),
    "timeout": ("1s", "x", "-1s", "9" * 100),
    "hash": ("x",),
    "\u0000": ("a",),
    "": ("", "a"),
}
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
ACCEPT = (
    *(
        "*/*",
        "application/json",
        "application/yaml",
        "application/vnd.kubernetes.protobuf",
        "text/html",
        "x",
        "",
        ";;;,",
        TABLE,
    ),
    *("application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io", "application/json;as=Table;v=v9;g=meta.k8s.io"),
    *("application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io", "application/json;q=a", "," * 500),
    *(
        "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList",
        "application/com.github.proto-openapi.spec.v2@v1.0+protobuf",
    ),
)
PATCHES = (
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
)
CONTENT = (
    *PATCHES,
    *(
        "application/json",
        "application/yaml",
        "application/vnd.kubernetes.protobuf",
        "",
        "text/plain",
        "x",
        "application/json; charset=latin-1",
    ),
    *(
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=a",
        "application/apply-patch+cbor",
        "APPLICATION/JSON",
    ),
)
DIRECTIVES: tuple[tuple[str, Any], ...] = (
    *(("$patch", value) for value in ("delete", "replace", "merge", "x", 1, None, {}, [])),
    *(("$retainKeys", value) for value in (["a"], [], "a", [1], None, {})),
    *(
        (f"$setElementOrder/{name}", value)
        for name in ("containers", "ports", "finalizers", "x")
        for value in ([], ["a"], [{"name": "a"}], 1, [1], [{}])
    ),
    *(
        (f"$deleteFromPrimitiveList/{name}", value)
        for name in ("finalizers", "x", "")
        for value in (["a"], [1], "a", [{}])
    ),
)
POINTERS = (
    *(
        "",
        "/",
        "/metadata",
        "/metadata/labels",
        "/metadata/labels/a",
        "/spec",
        "/data",
        "/data/x",
        "/x",
        "/a/b/c",
        "/metadata/name",
    ),
    *(
        "/spec/containers/0",
        "/spec/containers/-",
        "/spec/containers/-1",
        "/spec/containers/99999999999999999999",
        "/spec/containers/01",
    ),
    *(
        "/metadata/managedFields",
        "/metadata/managedFields/0",
        "/~",
        "/~2",
        "/~0~1",
        "a",
        "//",
        "/metadata/annotations/" + "x" * 1000,
    ),
)
WHOLE_BODIES: tuple[bytes, ...] = (
    *(
        b"",
        b"{",
        b"}",
        b"null",
        b"[]",
        b"1",
        b'""',
        b"\x00",
        b"\xff\xfe",
        b"{}{}",
        b'{"a":1,}',
        b"NaN",
        b"k8s\x00",
        b"---",
        b"a: b: c",
    ),
    *(
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"metadata":' + b'{"a":' * 20_000 + b"1" + b"}" * 20_001,
        b"[" * 900 + b"]" * 900,
    ),
    *(b"- " * 100_000, b"? " * 20_000, b"{a: " * 20_000, b"a: &a [*a]", b"!!python/object:os.system x", b"&a " * 1000),
    b"a: &a [x,x,x,x,x,x,x,x,x]\n"
    + b"".join(b"%c: &%c [*%c,*%c,*%c,*%c,*%c,*%c,*%c,*%c]\n" % (n + 1, n + 1, *[n] * 8) for n in range(97, 120)),
    b'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"fuzz-a"},"data":{"a":"' + b"x" * 2_000_000 + b'"}}',
    b'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"fuzz-a"},"data":{'
    + b'"a":"1",' * 50_000
    + b'"b":"1"}}',
    b'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"\\ud800","labels":{"\\u0000":"\\udfff"}}}',
    b'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"fuzz-a","generation":1e999}}',
    b'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"fuzz-a","generation":' + b"9" * 10_000 + b"}}",
    b'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"fuzz-a","name":"fuzz-b"}}',
    b'[{"op":"add","path":"/data","value":{"a":"b"}}' + b',{"op":"copy","from":"/data","path":"/data/x"}' * 60 + b"]",
    b'[{"op":"copy","from":"","path":"/metadata/annotations"}' + b',{"op":"copy","from":"","path":"/spec"}' * 60 + b"]",
    b"[" + b'{"op":"test","path":"/metadata/name","value":"x"},' * 20_000 + b'{"op":"remove","path":"/x"}]',
)
"""Bodies that are bad as a whole, whatever they are sent to."""


class Resource(NamedTuple):
    root: str
    plural: str
    kind: str
    namespaced: bool
    verbs: tuple[str, ...]

    def collection(self, namespace: str) -> str:
        return f"{self.root}/namespaces/{namespace}/{self.plural}" if self.namespaced else f"{self.root}/{self.plural}"


@dataclass
class Sent:
    method: str
    target: str
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    def __str__(self) -> str:
        shown = self.body if len(self.body) < 3000 else self.body[:300] + b"... (%d bytes)" % len(self.body)
        return f"{self.method} {self.target[:600]}\n{self.headers}\n{shown!r}"


class Answer(NamedTuple):
    status: int
    type: str
    body: bytes


# Making requests.


class Maker:
    def __init__(self, pick: Pick, resources: list[Resource]) -> None:
        self.pick = pick
        self.resources = resources
        self.by_kind = {
            (r.root.removeprefix("/apis/").removeprefix("/api/"), r.kind): r for r in resources if "/" not in r.plural
        }

    def request(self) -> Sent:
        kind = self.pick.choices((self.write, self.patch, self.read, self.anything), (5, 4, 3, 2))[0]
        return kind()

    # What is asked.

    def write(self) -> Sent:
        obj, resource = self.object()
        for _ in range(self.pick.choice((0, 0, 1, 1, 1, 2, 5))):
            self.mutate(obj)
        method = self.pick.choice(("POST", "POST", "PUT"))
        target = self.collection(resource)
        if method == "PUT":
            target += "/" + self.name_of(obj) + self.pick.choice(("", "", "", "/status", "/scale", "/finalize"))
        elif self.pick.random() < 0.1:
            target += (
                f"/{self.pick.choice(NAMES)}/{self.pick.choice(('binding', 'eviction', 'token', 'scale', 'status'))}"
            )
        return Sent(method, target + self.query(), self.headers("application/json"), self.encoded(obj))

    def patch(self) -> Sent:
        obj, resource = self.object()
        content = self.pick.choice(PATCHES)
        name = self.name_of(obj)
        if content == PATCHES[0]:
            body = json.dumps([self.operation() for _ in range(self.pick.randrange(5))]).encode()
        else:
            if self.pick.random() < 0.6:
                obj = {key: obj[key] for key in ("apiVersion", "kind") if key in obj} | self.part(obj)
            for _ in range(self.pick.choice((0, 1, 1, 3))):
                self.pick.choice((self.mutate, self.direct))(obj)
            body = self.encoded(obj)
        target = f"{self.collection(resource)}/{name}" + self.pick.choice(("", "", "", "/status", "/scale"))
        query = self.query()
        if content == PATCHES[3] and self.pick.random() < 0.8:
            query = f"{query or '?'}&fieldManager=fuzz&force={self.pick.choice(('true', 'false'))}"
        return Sent("PATCH", target + query, self.headers(content), body)

    def read(self) -> Sent:
        resource = self.pick.choice(self.resources)
        target = self.collection(resource)
        if self.pick.random() < 0.4:
            target += "/" + self.pick.choice(NAMES) + self.pick.choice(("", "", "/status", "/log", "/exec", "/scale"))
        method = self.pick.choices(("GET", "DELETE", "HEAD"), (8, 3, 1))[0]
        body = self.encoded(self.delete_options()) if method == "DELETE" and self.pick.random() < 0.6 else b""
        return Sent(method, target + self.query(likely=True), self.headers("application/json"), body)

    def anything(self) -> Sent:
        method = self.pick.choice(
            ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "CONNECT", "FOO", "get")
        )
        body = self.pick.choice(
            (b"", self.pick.choice(WHOLE_BODIES), self.pick.randbytes(self.pick.randrange(200)), self.protobuf())
        )
        return Sent(method, self.path() + self.query(), self.headers(self.pick.choice(CONTENT)), body)

    def whole_body(self, body: bytes) -> Sent:
        resource = self.by_kind["v1", self.pick.choice(("ConfigMap", "Pod"))]
        method = self.pick.choice(("POST", "PUT", "PATCH", "DELETE"))
        target = self.collection(resource) + ("" if method == "POST" else "/fuzz-a")
        content = self.pick.choice(PATCHES if method == "PATCH" else CONTENT[4:7])
        return Sent(method, f"{target}?fieldManager=fuzz", self.headers(content), body)

    # Its parts.

    def object(self) -> tuple[dict[str, Any], Resource]:
        while True:
            obj = copy.deepcopy(self.pick.choice(SAMPLES if self.pick.random() < 0.7 else FULL))
            resource = self.by_kind.get((obj.get("apiVersion", ""), obj.get("kind", "")))
            if resource is not None:
                break
        metadata = obj.setdefault("metadata", {})
        if resource.kind != "CustomResourceDefinition" and not resource.kind.startswith("APIService"):
            metadata["name"] = self.pick.choice(NAMES)
        for noise in (
            "namespace",
            "uid",
            "resourceVersion",
            "ownerReferences",
            "finalizers",
            "managedFields",
            "deletionTimestamp",
            "selfLink",
            "creationTimestamp",
        ):
            if self.pick.random() < 0.9:
                metadata.pop(noise, None)
        return obj, resource

    def name_of(self, obj: dict[str, Any]) -> str:
        metadata = obj.get("metadata")
        name = metadata.get("name") if isinstance(metadata, dict) else None
        return quote(name, safe="", errors="replace")[:2000] if isinstance(name, str) and name else "fuzz-a"

    def collection(self, resource: Resource) -> str:
        return resource.collection(self.pick.choice(NAMESPACES))

    def part(self, obj: dict[str, Any]) -> dict[str, Any]:
        keys = [key for key in obj if key not in ("apiVersion", "kind")]
        return {key: obj[key] for key in keys if self.pick.random() < 0.5}

    def positions(self, value: Any) -> list[tuple[Any, Any]]:
        found: list[tuple[Any, Any]] = []
        waiting = [value]
        while waiting:
            node = waiting.pop()
            inside = (
                list(node.items())
                if isinstance(node, dict)
                else list(enumerate(node))
                if isinstance(node, list)
                else []
            )
            found += [(node, key) for key, _ in inside]
            waiting += [child for _, child in inside]
        return found

    def mutate(self, obj: dict[str, Any]) -> None:
        """Another value, another key, one more or one less, somewhere."""
        places = self.positions(obj)
        if not places:
            return
        node, key = self.pick.choice(places)
        match self.pick.randrange(6):
            case 0 | 1 | 2:
                node[key] = copy.deepcopy(self.pick.choice(ODD))
            case 3:
                del node[key]
            case 4 if isinstance(node, dict):
                node[self.pick.choice(ODD_TEXT)] = node.pop(key)
            case 4:
                node.append(copy.deepcopy(node[key]))
            case 5:
                other, at = self.pick.choice(places)
                node[key] = (
                    json.loads(json.dumps(other[at]))
                    if at in other or isinstance(other, list) and at < len(other)
                    else None
                )

    def direct(self, obj: dict[str, Any]) -> None:
        """A directive of a strategic merge patch, somewhere."""
        nodes = [obj, *(node[key] for node, key in self.positions(obj) if isinstance(node[key], dict))]
        key, value = self.pick.choice(DIRECTIVES)
        self.pick.choice(nodes)[key] = copy.deepcopy(value)

    def operation(self) -> Any:
        if self.pick.random() < 0.1:
            return self.pick.choice(ODD)
        found: dict[str, Any] = {"op": self.pick.choice(("add", "remove", "replace", "move", "copy", "test", "x", 1))}
        for key in ("path", "from"):
            if self.pick.random() < 0.9:
                found[key] = (
                    self.pick.choice((*POINTERS, 1, None)) if self.pick.random() < 0.1 else self.pick.choice(POINTERS)
                )
        if self.pick.random() < 0.8:
            found["value"] = self.pick.choice(ODD)
        return found

    def delete_options(self) -> dict[str, Any]:
        options: dict[str, Any] = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "gracePeriodSeconds": 0,
            "propagationPolicy": "Background",
            "preconditions": {"uid": "x", "resourceVersion": "1"},
            "dryRun": ["All"],
            "orphanDependents": True,
        }
        options = {key: value for key, value in options.items() if self.pick.random() < 0.4}
        self.mutate(options)
        return options

    def encoded(self, obj: Any) -> bytes:
        """As JSON, now and then as YAML, now and then damaged."""
        body = json.dumps(obj).encode()
        match self.pick.randrange(20):
            case 0:
                at = self.pick.randrange(len(body) + 1)
                return body[:at] + self.pick.randbytes(self.pick.randrange(4)) + body[at + self.pick.randrange(4) :]
            case 1:
                return yaml.safe_dump(json.loads(body)).encode("utf-8", "replace")
        return body

    def protobuf(self) -> bytes:
        body = bytearray(self.pick.choice(PROTOBUF))
        for _ in range(self.pick.randrange(6)):
            at = self.pick.randrange(len(body))
            match self.pick.randrange(4):
                case 0:
                    body[at] = self.pick.randrange(256)
                case 1:
                    del body[at : at + self.pick.randrange(1, 20)]
                case 2:
                    body[at:at] = self.pick.randbytes(self.pick.randrange(1, 8))
                case 3:
                    body[at:at] = body[: self.pick.randrange(200)]
            body = body or bytearray(b"k8s\x00")
        return bytes(body)

    def protobuf_write(self) -> Sent:
        """A damaged protobuf body, where an object of its kind belongs."""
        body = self.protobuf()
        kind = next((key for key in self.by_kind if key[1].encode() in body[:80]), ("v1", "Pod"))
        resource = self.by_kind[kind]
        headers = self.headers("application/vnd.kubernetes.protobuf")
        if self.pick.random() < 0.3:
            return Sent("PUT", f"{self.collection(resource)}/Name-1", headers, body)
        return Sent("POST", self.collection(resource), headers, body)

    def headers(self, content: str) -> dict[str, str]:
        found = {"Content-Type": content}
        if self.pick.random() < 0.3:
            found["Accept"] = self.pick.choice(ACCEPT)
        if self.pick.random() < 0.05:
            found |= self.pick.choice(
                (
                    {"If-None-Match": "*"},
                    {"User-Agent": "\xe4" * 200},
                    {"Impersonate-User": "x"},
                    {"Range": "bytes=0-1"},
                    {"Content-Encoding": "gzip"},
                )
            )
        return found

    def query(self, *, likely: bool = False) -> str:
        if self.pick.random() > (0.8 if likely else 0.3):
            return ""
        names = self.pick.choices(list(PARAMETERS), k=self.pick.randrange(1, 5))
        pairs = [f"{quote(name)}={quote(self.pick.choice(PARAMETERS[name]))}" for name in names]
        return "?" + "&".join(pairs)

    def path(self) -> str:
        resource = self.pick.choice(self.resources)
        parts = [*self.collection(resource).split("/")[1:], self.pick.choice(NAMES)]
        for _ in range(self.pick.randrange(3)):
            raw = (
                "%",
                "%zz",
                "%ff",
                "%ed%a0%80",
                "%00",
                "%2f",
                "%2e%2e",
                "..",
                "",
                "\\",
                "?",
                "#",
                "%0d%0a",
                "*",
                "api",
                "apis",
                "v1",
                "version",
                "openapi",
                "v2",
                "readyz",
            )
            odd = self.pick.choice((quote(self.pick.choice(ODD_TEXT)), self.pick.choice(raw)))
            at = self.pick.randrange(len(parts) + 1)
            parts[at : at + self.pick.randrange(2)] = [odd]
        return "/" + "/".join(parts[: self.pick.randrange(1, len(parts) + 1)])


# Sending them.


class Wire:
    """Raw HTTP/1.1 over one TLS connection at a time: an ordinary client would refuse to send half of this."""

    def __init__(self, handle: ClusterHandle) -> None:
        host, _, port = handle.url.removeprefix("https://").rpartition(":")
        self.address = (host, int(port))
        self.token = handle.token
        self.context = ssl.create_default_context(cafile=handle.ca_file)
        self.connection: ssl.SSLSocket | None = None

    def send(self, sent: Sent) -> Answer:
        """Raises TimeoutError for a server that hangs."""
        fresh = self.connection is None
        try:
            return self.exchange(sent)
        except (ConnectionError, http.client.BadStatusLine, ssl.SSLError):
            self.close()
            if fresh:
                raise
        return self.exchange(sent)

    def exchange(self, sent: Sent) -> Answer:
        connection = self.open()
        connection.sendall(self.head(sent, len(sent.body)) + sent.body)
        answer = http.client.HTTPResponse(connection, method=sent.method)
        answer.begin()
        if answer.chunked and "watch" in sent.target:
            self.close()  # a watch: that it began is enough
            return Answer(answer.status, "", b"")
        body = answer.read()
        if answer.will_close:
            self.close()
        return Answer(answer.status, answer.headers.get("content-type", ""), body)

    def head(self, sent: Sent, length: int) -> bytes:
        lines = [f"{sent.method} {sent.target} HTTP/1.1", "Host: localhost", f"Authorization: Bearer {self.token}"]
        lines += [f"{name}: {value}" for name, value in sent.headers.items() if value]
        lines.append(f"Content-Length: {length}")
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")

    def open(self) -> ssl.SSLSocket:
        if self.connection is None:
            plain = socket.create_connection(self.address, timeout=PATIENCE)
            self.connection = self.context.wrap_socket(plain, server_hostname=self.address[0])
        return self.connection

    def close(self) -> None:
        if self.connection is not None:
            self.connection.close()
            self.connection = None

    def raw(self, data: bytes) -> bytes:
        """Send bytes that may be no HTTP at all and hang up; what came back until then."""
        self.close()
        connection = self.open()
        with contextlib.suppress(OSError):
            connection.sendall(data)
            connection.settimeout(0.3)
            return connection.recv(65536)
        self.close()
        return b""


# Judging the answers.


def judge(sent: Sent, answer: Answer) -> None:
    assert answer.status < 500 or answer.status in GOOD, f"{answer.status} {answer.body[:2000]!r} to\n{sent}"
    if answer.status >= 400 and sent.method != "HEAD" and answer.type.startswith("application/json"):
        found = json.loads(answer.body)
        assert found["kind"] == "Status" and found["code"] == answer.status, f"{found} to\n{sent}"
        assert found["message"] and found["reason"], f"{found} to\n{sent}"


class Errors(logging.Handler):
    """What the server itself calls an error."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.found.append(self.format(record))


class Target:
    def __init__(self, handle: ClusterHandle, errors: Errors) -> None:
        self.wire = Wire(handle)
        self.errors = errors
        self.resources = list(self.discover())

    def discover(self) -> Iterator[Resource]:
        groups = self.json("/apis")["groups"]
        roots = ["/api/v1", *(f"/apis/{version['groupVersion']}" for group in groups for version in group["versions"])]
        for root in roots:
            for found in self.json(root)["resources"]:
                yield Resource(root, found["name"], found["kind"], found["namespaced"], tuple(found["verbs"]))

    def json(self, path: str, accept: str = "application/json") -> Any:
        answer = self.wire.send(Sent("GET", path, {"Accept": accept}))
        assert answer.status == 200, f"{answer.status} {answer.body[:1000]!r} to GET {path}"
        return json.loads(answer.body)

    def hit(self, sent: Sent) -> None:
        try:
            judge(sent, self.wire.send(sent))
        except TimeoutError as error:
            raise AssertionError(f"no answer within {PATIENCE} s to\n{sent}") from error

    def is_well(self) -> None:
        """It answers, has logged no error, and everything stored can be read in every form."""
        assert self.wire.send(Sent("GET", "/readyz")).body == b"ok"
        assert not self.errors.found, self.errors.found[0]
        for resource in self.resources:
            if "list" not in resource.verbs:
                continue
            path = f"{resource.root}/{resource.plural}"
            items = self.json(path)["items"]
            assert len(self.json(path, TABLE)["rows"]) == len(items)
            for item in items[:3]:
                metadata = item["metadata"]
                where = resource.collection(metadata.get("namespace", ""))
                assert self.json(f"{where}/{quote(metadata['name'], safe='')}")["metadata"]["uid"] == metadata["uid"]

    def clear(self) -> None:
        """Take out what the examples stored, so that the next ones start small."""
        for resource in self.resources:
            if "deletecollection" in resource.verbs and resource.plural not in ("namespaces", "nodes"):
                for namespace in NAMESPACES if resource.namespaced else ("",):
                    if resource.kind in (
                        "ClusterRole",
                        "ClusterRoleBinding",
                        "PriorityClass",
                        "Service",
                        "ServiceAccount",
                        "Lease",
                    ):
                        continue
                    self.hit(Sent("DELETE", f"{resource.collection(namespace)}?gracePeriodSeconds=0"))


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    errors = Errors()
    logging.getLogger("seatrial").addHandler(errors)
    logging.getLogger("uvicorn").addHandler(errors)
    with BackgroundCluster(tmp_path_factory.mktemp("fuzz")) as handle:
        found = Target(handle, errors)
        found.hit(Sent("POST", "/api/v1/namespaces", {}, b'{"metadata":{"name":"fuzz"}}'))
        yield found
        found.wire.close()
    logging.getLogger("seatrial").removeHandler(errors)
    logging.getLogger("uvicorn").removeHandler(errors)


def spray(target: Target, seed: int, count: int = 25) -> None:
    maker = Maker(Pick(seed), target.resources)
    for _ in range(count):
        target.hit(maker.request())
    assert target.wire.send(Sent("GET", "/readyz")).body == b"ok"
    assert not target.errors.found, target.errors.found[0]


@given(seed=st.integers(0, 2**32))
@settings(max_examples=60, deadline=None, phases=PHASES)
def test_mutated_requests(target: Target, seed: int) -> None:
    spray(target, seed)


def test_everything_stored_so_far_can_be_read(target: Target) -> None:
    target.is_well()
    target.clear()


@given(seed=st.integers(0, 2**32))
@settings(max_examples=15, deadline=None, phases=PHASES)
def test_mutated_protobuf(target: Target, seed: int) -> None:
    maker = Maker(Pick(seed), target.resources)
    for _ in range(20):
        target.hit(maker.protobuf_write())


@pytest.mark.parametrize("number", range(len(WHOLE_BODIES)))
def test_bodies_that_are_bad_as_a_whole(target: Target, number: int) -> None:
    maker = Maker(Pick(number), target.resources)
    for _ in range(6):
        target.hit(maker.whole_body(WHOLE_BODIES[number]))


RAW = (
    *(
        b"\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"\x16\x03\x01",
        b"\x00" * 1000,
        b"GET /" + b"a" * 300_000,
    ),
    b"GET /version HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
    b"GET /version HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabc",
    b"POST /api/v1/namespaces HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n{",
    b"POST /api/v1/namespaces HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}{}{}{}",
    b"POST /api/v1/namespaces HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"POST /api/v1/namespaces HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
    b"POST /api/v1/namespaces HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 9999999999\r\n\r\n",
    b"GET /api/v1/pods?watch=1 HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    b"GET /version HTTP/1.1\r\n" + b"X: y\r\n" * 5000 + b"\r\n",
)


@pytest.mark.parametrize("number", range(len(RAW)))
def test_what_is_hardly_http(target: Target, number: int) -> None:
    said = target.wire.raw(RAW[number])
    assert b" 500 " not in said.partition(b"\r\n")[0]
    target.wire.close()
    assert target.wire.send(Sent("GET", "/readyz")).body == b"ok"


def test_it_is_well_after_all_that(target: Target) -> None:
    target.is_well()


@pytest.mark.slow
@pytest.mark.timeout(1500)
@pytest.mark.parametrize("start", range(8))
def test_mutated_requests_for_longer(target: Target, start: int) -> None:
    for number in range(100):
        spray(target, start * 1_000_003 + number)
    target.is_well()
    target.clear()
