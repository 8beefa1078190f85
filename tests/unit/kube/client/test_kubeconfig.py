"""Kubeconfig: files as kubectl reads them."""

from __future__ import annotations

import base64
import stat
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from seatrial.kube.client import kubeconfig
from seatrial.kube.client.connection import Connection
from seatrial.kube.client.kubeconfig import KubeconfigError, load

if TYPE_CHECKING:
    from pathlib import Path


def config(**changes: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "one",
        "contexts": [{"name": "one", "context": {"cluster": "c", "user": "u", "namespace": "shop"}}],
        "clusters": [{"name": "c", "cluster": {"server": "https://c:6443/"}}],
        "users": [{"name": "u", "user": {"token": "t"}}],
        **changes,
    }


def put(folder: Path, content: object, name: str = "config") -> Path:
    file = folder / name
    file.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return file


def test_the_current_context_is_what_is_loaded(tmp_path: Path) -> None:
    found = load(put(tmp_path, config()))
    assert found == Connection("https://c:6443", namespace="shop", token="t")


def test_another_context_can_be_named(tmp_path: Path) -> None:
    contexts = [*config()["contexts"], {"name": "two", "context": {"cluster": "c"}}]
    found = load(put(tmp_path, config(contexts=contexts)), "two")
    assert (found.namespace, found.token) == ("default", "")


def test_files_named_are_relative_to_the_kubeconfig(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("CA")
    (tmp_path / "user.crt").write_text("CRT")
    (tmp_path / "user.key").write_text("KEY")
    clusters = [{"name": "c", "cluster": {"server": "https://c", "certificate-authority": "ca.pem"}}]
    user = {"client-certificate": "user.crt", "client-key": str(tmp_path / "user.key"), "tokenFile": "token"}
    found = load(put(tmp_path, config(clusters=clusters, users=[{"name": "u", "user": user}])))
    assert (found.ca, found.certificate, found.key) == ("CA", "CRT", "KEY")
    assert found.token_file == tmp_path / "token"


def test_embedded_data_wins_over_a_file(tmp_path: Path) -> None:
    data = base64.b64encode(b"EMBEDDED").decode()
    cluster = {"server": "https://c", "certificate-authority": "nowhere", "certificate-authority-data": data}
    assert load(put(tmp_path, config(clusters=[{"name": "c", "cluster": cluster}]))).ca == "EMBEDDED"


def test_other_cluster_settings(tmp_path: Path) -> None:
    cluster = {
        "server": "https://c",
        "insecure-skip-tls-verify": True,
        "tls-server-name": "kubernetes",
        "proxy-url": "http://proxy:3128",
    }
    found = load(put(tmp_path, config(clusters=[{"name": "c", "cluster": cluster}])))
    assert (found.insecure, found.tls_server_name, found.proxy) == (True, "kubernetes", "http://proxy:3128")


def test_of_several_files_the_first_to_name_a_thing_wins(tmp_path: Path) -> None:
    first = put(tmp_path, {"users": [{"name": "u", "user": {"token": "mine"}}]}, "first")
    second = put(tmp_path, config(), "second")
    found = load(f"{first}:{tmp_path / 'missing'}:{second}")
    assert (found.server, found.token) == ("https://c:6443", "mine")


def test_an_exec_plugin_starts_with_the_given_environment_and_its_own(tmp_path: Path) -> None:
    plugin = {
        "apiVersion": "client.authentication.k8s.io/v1beta1",
        "command": "./login",
        "args": ["--quiet"],
        "env": [{"name": "WHO", "value": "alice"}],
    }
    file = put(tmp_path, config(users=[{"name": "u", "user": {"exec": plugin}}]))
    found = load(file, environment={"PATH": "/bin"}).exec
    assert found is not None
    assert (found.command, found.arguments) == (str(tmp_path / "login"), ("--quiet",))
    assert found.environment == {"PATH": "/bin", "WHO": "alice"}
    assert found.api_version == "client.authentication.k8s.io/v1beta1"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"current-context": ""}, "no current-context"),
        ({"current-context": "x"}, r'context "x" is not in the kubeconfig \(it has: one\)'),
        ({"clusters": []}, 'cluster "c" is not in the kubeconfig'),
        ({"users": []}, 'user "u" is not in the kubeconfig'),
        ({"clusters": [{"name": "c", "cluster": {}}]}, "has no `server`"),
        ({"users": [{"name": "u", "user": {"auth-provider": {"name": "gcp"}}}]}, "use `exec`"),
        ({"users": [{"name": "u", "user": {"exec": {"args": []}}}]}, "no `command`"),
        ({"users": [{"name": "u", "user": {"client-key-data": "%%"}}]}, "client-key-data is not base64"),
        ({"users": [{"name": "u", "user": {"client-key": "nowhere"}}]}, "nowhere: No such file"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(KubeconfigError, match=message):
        load(put(tmp_path, config(**changes)))


@pytest.mark.parametrize(("content", "message"), [("{", "is not YAML"), ("- 1", "is not a kubeconfig")])
def test_a_file_that_is_no_kubeconfig_is_named(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(KubeconfigError, match=message):
        load(put(tmp_path, content))


def test_no_file_at_all_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(KubeconfigError, match="no kubeconfig at"):
        load(tmp_path / "missing")


def test_what_is_written_loads_as_the_same_connection(tmp_path: Path) -> None:
    connection = Connection("https://127.0.0.1:6443", "shop", ca="CA", certificate="CRT", key="KEY", token="t")
    kubeconfig.write(tmp_path / "config", connection)
    assert load(tmp_path / "config") == connection
    assert stat.S_IMODE((tmp_path / "config").stat().st_mode) == 0o600


def test_in_cluster(tmp_path: Path) -> None:
    for name, content in (("namespace", "shop"), ("ca.crt", "CA"), ("token", "t")):
        (tmp_path / name).write_text(content)
    found = kubeconfig.in_cluster("10.96.0.1", "443", tmp_path)
    assert found == Connection("https://10.96.0.1:443", namespace="shop", ca="CA", token_file=tmp_path / "token")
    assert kubeconfig.in_cluster("fd00::1", 443, tmp_path).server == "https://[fd00::1]:443"


def test_outside_a_cluster_there_is_no_service_account(tmp_path: Path) -> None:
    with pytest.raises(KubeconfigError, match="outside a cluster use a kubeconfig"):
        kubeconfig.in_cluster("10.96.0.1", 443, tmp_path)


def test_secrets_are_not_in_the_repr() -> None:
    assert "t0p" not in repr(Connection("https://c", key="t0p", token="t0p"))
