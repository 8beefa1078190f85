"""Whatever is sent to the API server, it answers in time, never with an internal error, and stays well."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode, urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from seatrial.testing.background import BackgroundCluster

if TYPE_CHECKING:
    from collections.abc import Iterator

    from seatrial.testing.background import ClusterHandle

SECONDS = 10.0
"""The longest a single answer may take: a hang fails here."""
HONEST = frozenset({501, 504})
"""Not built, and "that resourceVersion lies in the future": said on purpose."""

fuzzing = settings(
    max_examples=600,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large],
)


class Fuzzed:
    """One kept-alive connection to a cluster, opened anew when the server closed it."""

    def __init__(self, handle: ClusterHandle) -> None:
        self.handle = handle
        self._address = urlsplit(handle.url)
        self._context = ssl.create_default_context(cafile=str(handle.ca_file))
        self._connection: http.client.HTTPSConnection | None = None

    def ask(self, method: str, target: str, body: bytes = b"", **headers: str) -> tuple[int, bytes]:
        if self._connection is None:
            self._connection = http.client.HTTPSConnection(self._address.netloc, timeout=SECONDS, context=self._context)
        sent = {"Authorization": f"Bearer {self.handle.token}", **{k.replace("_", "-"): v for k, v in headers.items()}}
        try:
            self._connection.request(method, target, body=body or None, headers=sent)
            answer = self._connection.getresponse()
            data = answer.read()
        except (http.client.HTTPException, ConnectionError, ssl.SSLError):
            self.close()
            return 0, b""  # refused below HTTP: the connection was cut
        if answer.will_close:
            self.close()
        return answer.status, data

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def raw(self, sent: bytes) -> bytes:
        """Bytes as they are, on a connection of their own; what comes back until the server closes or waits."""
        with (
            socket.create_connection((self._address.hostname, self._address.port), timeout=SECONDS) as plain,
            self._context.wrap_socket(plain, server_hostname=self._address.hostname) as tls,
        ):
            tls.sendall(sent)
            tls.settimeout(0.3)
            try:
                return tls.recv(65536)
            except (TimeoutError, ConnectionError):
                return b""

    def check(self, status: int, data: bytes) -> None:
        assert status < 500 or status in HONEST, (status, data[:2000])

    def is_well(self) -> bool:
        return self.ask("GET", "/readyz") == (200, b"ok")


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fuzzed]:
    with BackgroundCluster(tmp_path_factory.mktemp("fuzz")) as handle:
        client = Fuzzed(handle)
        created = client.ask(
            "POST",
            "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
            json.dumps(DEFINITION).encode(),
            Content_Type="application/json",
        )
        assert created[0] == 201, created
        yield client
        assert client.is_well()
        client.close()


CONTAINER: dict[str, Any] = {
    "name": "web",
    "image": "nginx",
    "ports": [{"containerPort": 80, "protocol": "TCP"}],
    "env": [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "k"}}}],
    "resources": {"requests": {"cpu": "100m"}, "limits": {"memory": "1Gi"}},
    "livenessProbe": {"httpGet": {"path": "/", "port": 80}},
    "volumeMounts": [{"name": "v", "mountPath": "/v"}],
}
POD_SPEC: dict[str, Any] = {
    "containers": [CONTAINER],
    "volumes": [{"name": "v", "emptyDir": {"sizeLimit": "1Mi"}}],
    "tolerations": [{"key": "a", "operator": "Exists", "effect": "NoSchedule"}],
    "affinity": {
        "podAntiAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": [
                {"topologyKey": "zone", "labelSelector": {"matchExpressions": [{"key": "a", "operator": "Exists"}]}}
            ]
        }
    },
}
TEMPLATE = {"metadata": {"labels": {"app": "web"}}, "spec": POD_SPEC}
SELECTOR = {"matchLabels": {"app": "web"}}
SCHEMA = {
    "type": "object",
    "properties": {
        "spec": {
            "type": "object",
            "properties": {
                "size": {"type": "integer", "minimum": 1, "default": 3},
                "name": {"type": "string", "pattern": "^[a-z]+$"},
                "list": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
            },
        },
        "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
    },
}
DEFINITION: dict[str, Any] = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "boats.fuzz.example.com"},
    "spec": {
        "group": "fuzz.example.com",
        "scope": "Namespaced",
        "names": {"plural": "boats", "kind": "Boat"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {"openAPIV3Schema": SCHEMA},
                "subresources": {
                    "status": {},
                    "scale": {"specReplicasPath": ".spec.size", "statusReplicasPath": ".status.n"},
                },
                "additionalPrinterColumns": [{"name": "Size", "type": "integer", "jsonPath": ".spec.size"}],
            }
        ],
    },
}


def _object(api_version: str, kind: str, **fields: Any) -> dict[str, Any]:
    metadata = {"name": "fuzz", "labels": {"a": "b"}, "annotations": {"c": "d"}, "finalizers": ["example.com/f"]}
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **fields}


NAMESPACED = "/namespaces/default"
SEEDS: list[tuple[str, dict[str, Any]]] = [
    (f"/api/v1{NAMESPACED}/pods", _object("v1", "Pod", spec=POD_SPEC)),
    (f"/api/v1{NAMESPACED}/configmaps", _object("v1", "ConfigMap", data={"a": "b"}, binaryData={"x": "AAA="})),
    (f"/api/v1{NAMESPACED}/secrets", _object("v1", "Secret", stringData={"a": "b"}, type="Opaque")),
    (
        f"/api/v1{NAMESPACED}/services",
        _object("v1", "Service", spec={"selector": {"a": "b"}, "type": "NodePort", "ports": [{"port": 80}]}),
    ),
    (
        f"/apis/apps/v1{NAMESPACED}/deployments",
        _object("apps/v1", "Deployment", spec={"replicas": 1, "selector": SELECTOR, "template": TEMPLATE}),
    ),
    (
        f"/apis/apps/v1{NAMESPACED}/statefulsets",
        _object("apps/v1", "StatefulSet", spec={"serviceName": "s", "selector": SELECTOR, "template": TEMPLATE}),
    ),
    (
        f"/apis/batch/v1{NAMESPACED}/cronjobs",
        _object(
            "batch/v1",
            "CronJob",
            spec={
                "schedule": "*/5 * * * *",
                "timeZone": "Europe/Berlin",
                "jobTemplate": {"spec": {"template": {"spec": {**POD_SPEC, "restartPolicy": "Never"}}}},
            },
        ),
    ),
    (
        f"/apis/autoscaling/v1{NAMESPACED}/horizontalpodautoscalers",
        _object(
            "autoscaling/v1",
            "HorizontalPodAutoscaler",
            spec={"maxReplicas": 3, "scaleTargetRef": {"kind": "Deployment", "name": "x", "apiVersion": "apps/v1"}},
        ),
    ),
    (
        f"/apis/networking.k8s.io/v1{NAMESPACED}/ingresses",
        _object("networking.k8s.io/v1", "Ingress", spec={"rules": [{"host": "a.b", "http": {"paths": []}}]}),
    ),
    (
        f"/apis/rbac.authorization.k8s.io/v1{NAMESPACED}/rolebindings",
        _object(
            "rbac.authorization.k8s.io/v1",
            "RoleBinding",
            roleRef={"kind": "ClusterRole", "name": "view", "apiGroup": "rbac.authorization.k8s.io"},
            subjects=[{"kind": "User", "name": "u", "apiGroup": "rbac.authorization.k8s.io"}],
        ),
    ),
    (
        f"/apis/policy/v1{NAMESPACED}/poddisruptionbudgets",
        _object("policy/v1", "PodDisruptionBudget", spec={"minAvailable": "50%", "selector": SELECTOR}),
    ),
    ("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", {**DEFINITION, "metadata": {"name": "x.y"}}),
    (
        f"/apis/fuzz.example.com/v1{NAMESPACED}/boats",
        _object("fuzz.example.com/v1", "Boat", spec={"size": 2, "name": "a", "list": ["x"]}, status={"n": 1}),
    ),
    (
        "/apis/authorization.k8s.io/v1/subjectaccessreviews",
        _object(
            "authorization.k8s.io/v1",
            "SubjectAccessReview",
            spec={"user": "u", "resourceAttributes": {"verb": "get", "resource": "pods"}},
        ),
    ),
    (
        f"/api/v1{NAMESPACED}/serviceaccounts/default/token",
        {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 600}},
    ),
]

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(min_value=-(2**70), max_value=2**70),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=8),
    st.sampled_from(["", "a" * 300, "\x00", "../..", "100%", "-1", "1e999", "Infinity", "2020-01-01T00:00:00Z", "💥"]),
)
anything = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
)


def _places(value: Any, here: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield here
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from _places(inner, (*here, key))


def _with(value: Any, place: tuple[Any, ...], new: Any) -> Any:
    if not place:
        return new
    copied = dict(value) if isinstance(value, dict) else list(value)
    copied[place[0]] = _with(value[place[0]], place[1:], new)
    return copied


@st.composite
def mutated(draw: st.DrawFn) -> tuple[str, Any]:
    """A valid object with one to three values replaced by anything."""
    path, obj = draw(st.sampled_from(SEEDS))
    for _ in range(draw(st.integers(1, 3))):
        places = list(_places(obj))
        obj = _with(obj, draw(st.sampled_from(places)), draw(anything))
        if not isinstance(obj, dict | list):
            break
    return path, obj


@fuzzing
@given(mutated(), st.sampled_from(["", "Ignore", "Warn", "Strict"]))
def test_a_value_of_any_type_in_any_place_is_stored_or_refused(
    fuzzed: Fuzzed, seed: tuple[str, Any], validation: str
) -> None:
    path, obj = seed
    body = json.dumps(obj).encode("utf-8", "surrogatepass")
    query = urlencode({"fieldValidation": validation, "dryRun": "All"})
    fuzzed.check(*fuzzed.ask("POST", f"{path}?{query}", body, Content_Type="application/json"))


PATCHES = {
    "application/json-patch+json": st.lists(
        st.fixed_dictionaries(
            {
                "op": st.sampled_from(["add", "remove", "replace", "move", "copy", "test", "x"]),
                "path": st.text("/~01-ametdspc", max_size=12),
            },
            optional={"value": anything, "from": st.text("/ametd", max_size=8)},
        ),
        max_size=4,
    )
    | anything,
    "application/merge-patch+json": anything,
    "application/strategic-merge-patch+json": st.dictionaries(
        st.sampled_from(
            [
                "$patch",
                "$retainKeys",
                "$setElementOrder/x",
                "$deleteFromPrimitiveList/finalizers",
                "metadata",
                "spec",
                "data",
            ]
        ),
        anything,
        max_size=4,
    ),
    "application/apply-patch+yaml": st.fixed_dictionaries(
        {
            "apiVersion": st.just("v1"),
            "kind": st.just("ConfigMap"),
            "metadata": anything | st.just({"name": "patched"}),
        },
        optional={"data": anything, "x": anything},
    ),
}


@fuzzing
@given(st.sampled_from(sorted(PATCHES)).flatmap(lambda kind: st.tuples(st.just(kind), PATCHES[kind])), st.booleans())
def test_any_patch_is_applied_or_refused(fuzzed: Fuzzed, patch: tuple[str, Any], force: bool) -> None:
    path = f"/api/v1{NAMESPACED}/configmaps"
    seed = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "patched"}, "data": {"a": "b"}}
    fuzzed.ask("POST", path, json.dumps(seed).encode(), Content_Type="application/json")
    query = urlencode({"fieldManager": "fuzz", **({"force": "true"} if force else {})})
    kind, document = patch
    body = json.dumps(document).encode("utf-8", "surrogatepass")
    fuzzed.check(*fuzzed.ask("PATCH", f"{path}/patched?{query}", body, Content_Type=kind))


NAMES = ["api", "apis", "v1", "apps", "namespaces", "default", "pods", "boats", "fuzz.example.com", "status", "scale"]
segments = st.sampled_from(
    [*NAMES, "log", "exec", "eviction", "binding", "openapi", "v2", "..", ".", "%", ""]
) | st.text(max_size=6)
PARAMETERS = [
    *("limit", "continue", "resourceVersion", "resourceVersionMatch", "sendInitialEvents", "labelSelector"),
    *("fieldSelector", "allowWatchBookmarks", "fieldManager", "force", "dryRun", "gracePeriodSeconds", "pretty"),
    *("propagationPolicy", "orphanDependents", "fieldValidation", "includeObject", "as", "watch", "timeout"),
]
values = st.sampled_from(
    ["", "0", "1", "-1", "true", "false", "All", "a=b", "a in (b", "!", "9" * 30, "NotOlderThan", "Exact"]
)
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
ACCEPTS = [
    "",
    "*/*",
    "application/json",
    TABLE,
    "application/yaml",
    "x/y",
    "application/vnd.kubernetes.protobuf",
    ";;;q",
]


@fuzzing
@given(
    st.sampled_from(["GET", "HEAD", "PUT", "POST", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"]),
    st.lists(segments, max_size=8),
    st.lists(st.tuples(st.sampled_from(PARAMETERS), values | st.text(max_size=10)), max_size=4),
    st.sampled_from(ACCEPTS),
    st.sampled_from(
        ["", "application/json", "application/yaml", "application/vnd.kubernetes.protobuf", "text/plain", "x"]
    ),
    st.binary(max_size=60) | st.binary(max_size=60).map(lambda rest: b"k8s\x00" + rest),
)
def test_any_request_line_and_header_is_answered(
    fuzzed: Fuzzed,
    method: str,
    path: list[str],
    query: list[tuple[str, str]],
    accept: str,
    content_type: str,
    body: bytes,
) -> None:
    target = "/" + "/".join(quote(part.encode("utf-8", "surrogatepass"), safe="%.") for part in path)
    pairs = [(key, value.encode("utf-8", "surrogatepass")) for key, value in [*query, ("timeoutSeconds", "1")]]
    sent = b"" if method in ("GET", "HEAD") else body
    headers = {"Accept": accept, "Content_Type": content_type, "User_Agent": "fuzz"}
    fuzzed.check(*fuzzed.ask(method, f"{target}?{urlencode(pairs)}", sent, **headers))


@pytest.mark.parametrize("content_type", ["application/json", "application/yaml", "application/apply-patch+yaml"])
@pytest.mark.parametrize("bomb", ["nested lists", "nested objects", "aliases", "long number", "many keys"])
def test_a_bomb_is_refused_in_time(fuzzed: Fuzzed, content_type: str, bomb: str) -> None:
    head = b'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"bomb"},"data":'
    lines = [b"a0: &a0 [x,x,x,x,x,x,x,x,x]"]
    lines += [f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 9)}]".encode() for n in range(1, 12)]
    bodies = {
        "nested lists": head + b"[" * 100_000 + b"]" * 100_000 + b"}",
        "nested objects": head + b'{"a":' * 100_000 + b"1" + b"}" * 100_001,
        "aliases": b"\n".join(lines),
        "long number": head + b"9" * 200_000 + b"}",
        "many keys": head + b"{" + b",".join(b'"k%d":1' % n for n in range(100_000)) + b"}}",
    }
    path = f"/api/v1{NAMESPACED}/configmaps"
    if content_type.startswith("application/apply"):
        answer = fuzzed.ask("PATCH", f"{path}/bomb?fieldManager=x", bodies[bomb], Content_Type=content_type)
    else:
        answer = fuzzed.ask("POST", path, bodies[bomb], Content_Type=content_type)
    fuzzed.check(*answer)
    assert 400 <= answer[0] < 500 or answer[0] == 0, answer
    assert fuzzed.is_well()


@fuzzing
@given(
    st.binary(min_size=1, max_size=200)
    | st.binary(max_size=80).map(lambda rest: b"POST /api/v1/pods HTTP/1.1\r\n" + rest)
)
def test_bytes_that_are_no_request_do_no_harm(fuzzed: Fuzzed, sent: bytes) -> None:
    answered = fuzzed.raw(sent + b"\r\n\r\n")
    assert b" 500 " not in answered.partition(b"\r\n")[0]
