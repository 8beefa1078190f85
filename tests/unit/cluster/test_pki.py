from __future__ import annotations

import json
import ssl
import stat
import subprocess
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from seatrial.base.clock import ManualClock, SystemClock
from seatrial.base.errors import Terminal
from seatrial.cluster.pki import DAY, SERVING_DAYS, Authority

if TYPE_CHECKING:
    from pathlib import Path

NAMES = ["localhost", "127.0.0.1", "::1", "kubernetes.default.svc"]


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    authority = Authority.load_or_create(tmp_path / "pki", clock=SystemClock())
    authority.serving(NAMES)
    return authority


def server_context(authority: Authority) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(authority.ca_file))
    context.verify_mode = ssl.CERT_OPTIONAL
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    context.load_cert_chain(authority.serving_cert, authority.serving_key)
    return context


def client_context(authority: Authority, cert: Path | None = None, key: Path | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=authority.ca_pem.decode())
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    if cert is not None:
        context.load_cert_chain(cert, key)
    return context


def caller_seen_by_server(server_side: ssl.SSLContext, client_side: ssl.SSLContext, name: str) -> ssl.SSLObject:
    """A whole handshake in memory, with `name` expected by the client: the server's end. Raises as either end does."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = server_side.wrap_bio(to_server, to_client, server_side=True)
    client = client_side.wrap_bio(to_client, to_server, server_hostname=name)
    for _ in range(4):
        for end in (client, server):
            with suppress(ssl.SSLWantReadError):
                end.do_handshake()
    client.write(b"hello")
    assert server.read() == b"hello"
    return server


def save(directory: Path, pair: tuple[bytes, bytes]) -> tuple[Path, Path]:
    cert, key = directory / "client.crt", directory / "client.key"
    cert.write_bytes(pair[0])
    key.write_bytes(pair[1])
    return cert, key


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("name", NAMES)
def test_a_client_that_trusts_the_ca_accepts_the_server_by_each_name(authority: Authority, name: str) -> None:
    assert caller_seen_by_server(server_context(authority), client_context(authority), name).version()


def test_a_name_not_asked_for_is_not_served(authority: Authority) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        caller_seen_by_server(server_context(authority), client_context(authority), "example.com")


def test_a_client_certificate_tells_the_server_user_and_groups(authority: Authority, tmp_path: Path) -> None:
    cert, key = save(tmp_path, authority.client_certificate("jane", ["dev", "ops"], 7))
    server = caller_seen_by_server(server_context(authority), client_context(authority, cert, key), "localhost")
    peer = server.getpeercert()
    assert peer is not None
    assert peer["subject"] == (
        (("organizationName", "dev"),),
        (("organizationName", "ops"),),
        (("commonName", "jane"),),
    )


def test_a_client_certificate_of_another_authority_is_refused(authority: Authority, tmp_path: Path) -> None:
    stranger = Authority.load_or_create(tmp_path / "other", clock=SystemClock())
    cert, key = save(tmp_path, stranger.client_certificate("jane", ["system:masters"], 7))
    with pytest.raises(ssl.SSLCertVerificationError):
        caller_seen_by_server(server_context(authority), client_context(authority, cert, key), "localhost")


def test_the_serving_certificate_is_no_client_certificate(authority: Authority) -> None:
    client = client_context(authority, authority.serving_cert, authority.serving_key)
    with pytest.raises(ssl.SSLCertVerificationError):
        caller_seen_by_server(server_context(authority), client, "localhost")


def test_openssl_verifies_the_chain_strictly(authority: Authority) -> None:
    verify = ["openssl", "verify", "-x509_strict", "-CAfile", str(authority.ca_file), "-purpose", "sslserver"]
    subprocess.run([*verify, str(authority.serving_cert)], check=True, capture_output=True)


def test_keys_are_for_the_owner_only(authority: Authority) -> None:
    assert mode(authority.directory) == 0o700
    keys = sorted(authority.directory.glob("*.key"))
    assert [path.name for path in keys] == ["ca.key", "sa.key", "serving.key"]
    assert {mode(path) for path in keys} == {0o600}


def test_a_second_start_changes_nothing(authority: Authority) -> None:
    before = {path.name: path.read_bytes() for path in authority.directory.iterdir()}
    again = Authority.load_or_create(authority.directory, clock=SystemClock())
    again.serving(NAMES[:2])
    assert {path.name: path.read_bytes() for path in again.directory.iterdir()} == before
    assert (again.ca_pem, again.service_account_key) == (authority.ca_pem, authority.service_account_key)


def test_a_new_name_makes_a_new_serving_certificate_under_the_same_ca(authority: Authority) -> None:
    before = authority.serving_cert.read_bytes()
    authority.serving([*NAMES, "node.example"])
    assert authority.serving_cert.read_bytes() != before
    assert authority.ca_file.read_bytes() == authority.ca_pem


async def test_a_serving_certificate_about_to_expire_is_replaced(tmp_path: Path) -> None:
    clock = ManualClock()
    authority = Authority.load_or_create(tmp_path / "pki", clock=clock)
    authority.serving(NAMES)
    before = authority.serving_cert.read_bytes()
    await clock.advance((SERVING_DAYS - 60) * DAY)
    authority.serving(NAMES)
    assert authority.serving_cert.read_bytes() == before
    await clock.advance(40 * DAY)
    authority.serving(NAMES)
    assert authority.serving_cert.read_bytes() != before


@pytest.mark.parametrize("file", ["serving.crt", "serving.key", "serving.json"])
@pytest.mark.parametrize("damage", ["removed", "cut"])
def test_a_damaged_serving_certificate_is_made_again(authority: Authority, file: str, damage: str) -> None:
    path = authority.directory / file
    if damage == "removed":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:40])
    authority.serving(NAMES)
    server_context(authority)
    assert json.loads((authority.directory / "serving.json").read_bytes())["names"] == sorted(NAMES)


@pytest.mark.parametrize("file", ["ca.key", "ca.crt"])
def test_a_damaged_ca_is_an_error_and_never_replaced(authority: Authority, file: str) -> None:
    path = authority.directory / file
    path.write_bytes(b"")
    with pytest.raises(Terminal, match=r"ca\.(key|crt) is missing or empty: put it back") as error:
        Authority.load_or_create(authority.directory, clock=SystemClock())
    assert error.value.reason == "DamagedKeys"
    assert path.read_bytes() == b""


def test_a_ca_key_that_is_not_one_is_an_error_without_its_text(authority: Authority) -> None:
    (authority.directory / "ca.key").write_text("not a key, but a secret all the same")
    with pytest.raises(Terminal) as error:
        authority.client_certificate("jane", [], 1)
    assert "secret" not in f"{error.value!r} {error.value.detail}"


def test_a_start_cut_short_before_the_ca_certificate_begins_again(tmp_path: Path) -> None:
    (tmp_path / "ca.key").write_bytes(b"of a start that crashed")
    Authority.load_or_create(tmp_path, clock=SystemClock()).serving(NAMES)


def test_a_client_certificate_does_not_outlive_the_ca(authority: Authority) -> None:
    from cryptography import x509

    cert, _ = authority.client_certificate("jane", [], 100 * 365)
    ends = x509.load_pem_x509_certificate(cert).not_valid_after_utc
    assert ends == x509.load_pem_x509_certificate(authority.ca_pem).not_valid_after_utc


def test_repr_shows_no_key(authority: Authority) -> None:
    assert "PRIVATE" not in repr(authority)
