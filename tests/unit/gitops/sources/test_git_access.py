"""Private repositories: HTTPS with a password and an authority, SSH with a key; and where no secret may be seen."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from seatrial.base.clock import ManualClock
from seatrial.gitops.api.repositories import Credential
from seatrial.gitops.api.source import Source
from seatrial.gitops.sources.files import SourceFailed, SourceRefused
from seatrial.gitops.sources.repositories import Repositories
from seatrial.gitops.sources.trust import Trust

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import Authority, GitServer, Upstream

_CANARY = "hunter2"


def _repositories(tmp_path: Path, authority: Authority, **credential: object) -> Repositories:
    found = Credential("https://127.0.0.1", **credential) if credential else None  # type: ignore[arg-type]
    trust = Trust(authorities={"127.0.0.1": authority.certificate})
    return Repositories(tmp_path / "data", ManualClock(), lambda _url: found, trust=lambda: trust)


async def test_https_with_a_password_and_an_authority(
    upstream: Upstream, git_server: GitServer, authority: Authority, tmp_path: Path
) -> None:
    repositories = _repositories(tmp_path, authority, username="robot", password=_CANARY)
    source = Source(f"{git_server.url}/upstream/.git")
    files = await repositories.open(source, await repositories.resolve(source))
    assert files.revision == upstream.sha()
    assert files.read("README") == b"hello"
    await repositories.close()
    for path in (tmp_path / "data").rglob("*"):
        assert path.is_dir() or _CANARY.encode() not in path.read_bytes()


async def test_a_password_in_the_url_works_and_is_not_shown(
    upstream: Upstream, git_server: GitServer, authority: Authority, tmp_path: Path
) -> None:
    repositories = _repositories(tmp_path, authority)
    url = git_server.url.replace("https://", f"https://robot:{_CANARY}@")
    files = await repositories.open(
        Source(f"{url}/upstream/.git"), await repositories.resolve(Source(f"{url}/upstream/.git"))
    )
    assert _CANARY not in files.origin
    git_server.login = "robot:changed"
    with pytest.raises(SourceFailed) as error:
        await repositories.resolve(Source(f"{url}/other.git"))
    assert _CANARY not in error.value.message + error.value.detail
    await repositories.close()


async def test_a_wrong_password_says_what_to_do(
    git_server: GitServer, authority: Authority, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    repositories = _repositories(tmp_path, authority, username="robot", password="wrong-canary")
    with pytest.raises(SourceFailed, match="username and password") as error:
        await repositories.resolve(Source(f"{git_server.url}/upstream/.git"))
    assert "wrong-canary" not in str(error.value) + error.value.detail + caplog.text
    await repositories.close()


async def test_an_unknown_authority_is_not_believed_unless_told_so(
    upstream: Upstream, git_server: GitServer, authority: Authority, tmp_path: Path
) -> None:
    source = Source(f"{git_server.url}/upstream/.git")
    strict = Repositories(tmp_path / "a", ManualClock())
    with pytest.raises(SourceFailed, match="argocd-tls-certs-cm"):
        await strict.resolve(source)
    lax = Credential(git_server.url, username="robot", password=_CANARY, insecure=True)
    trusting = Repositories(tmp_path / "b", ManualClock(), lambda _url: lax)
    assert await trusting.resolve(source) == upstream.sha()
    await strict.close()
    await trusting.close()


async def test_no_argument_and_no_variable_holds_a_secret(
    upstream: Upstream, git_server: GitServer, authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every process that git starts is asked, through a stand-in of git's own HTTP helper."""
    seen = tmp_path / "seen"
    helper = subprocess.run(["git", "--exec-path"], capture_output=True, check=True, text=True).stdout.strip()
    directory = tmp_path / "exec"
    shutil.copytree(helper, directory, symlinks=True)
    (directory / "git-remote-https").unlink()
    (directory / "git-remote-https").write_text(
        f'#!/bin/sh\n(env; echo "$@"; cat /proc/$PPID/cmdline) >> {seen}\nexec {helper}/git-remote-https "$@"\n'
    )
    (directory / "git-remote-https").chmod(0o755)
    credential = Credential("", username="robot", password=_CANARY, proxy="")
    trust = Trust(authorities={"127.0.0.1": authority.certificate})
    repositories = Repositories(
        tmp_path / "data", ManualClock(), lambda _url: credential, trust=lambda: trust,
        environment={"GIT_EXEC_PATH": str(directory)},
    )  # fmt: skip
    source = Source(f"{git_server.url}/upstream/.git")
    await repositories.open(source, await repositories.resolve(source))
    await repositories.close()
    assert "GIT_CONFIG_GLOBAL" in seen.read_text()
    assert _CANARY not in seen.read_text(errors="replace")


async def test_ssh_gets_the_key_and_the_known_hosts_and_nothing_else(upstream: Upstream, tmp_path: Path) -> None:
    """A stand-in for ssh: it reads the key as ssh does, with no inherited descriptor, and runs the command here."""
    key = ed25519.Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )
    ssh = tmp_path / "ssh"
    ssh.write_text(
        "#!/bin/bash\n"
        f'echo "$@" >> {tmp_path}/arguments\n'
        'for one in "$@"; do case "$one" in\n'
        f'  IdentityFile=*) stat -Lc %a "${{one#*=}}" >> {tmp_path}/mode;'
        f' ssh-keygen -y -f "${{one#*=}}" >> {tmp_path}/public || exit 9;;\n'
        f'  UserKnownHostsFile=*) cat "${{one#*=}}" >> {tmp_path}/hosts;;\n'
        'esac; last="$one"; done\n'
        'eval "$last"\n'
    )
    ssh.chmod(0o755)
    credential = Credential("", ssh_private_key=key.decode().replace("\n", "\r\n"))
    trust = Trust(known_hosts="example.com ssh-ed25519 AAAA\n")
    repositories = Repositories(tmp_path / "data", ManualClock(), lambda _url: credential, trust=lambda: trust)
    repositories.git.ssh = str(ssh)
    source = Source(f"git@example.com:{upstream.path}/.git")
    files = await repositories.open(source, await repositories.resolve(source))
    assert files.revision == upstream.sha()
    arguments = (tmp_path / "arguments").read_text()
    assert "StrictHostKeyChecking=yes" in arguments
    assert "BatchMode=yes" in arguments
    assert "PRIVATE KEY" not in arguments
    assert (tmp_path / "public").read_text().startswith("ssh-ed25519 ")
    assert set((tmp_path / "mode").read_text().split()) == {"600"}
    assert "example.com ssh-ed25519 AAAA" in (tmp_path / "hosts").read_text()
    assert not [path for path in (tmp_path / "data").rglob("*") if path.is_file() and b"PRIVATE" in path.read_bytes()]
    await repositories.close()


@pytest.mark.parametrize(
    "url",
    ["ext::sh -c id", "--upload-pack=id", "ssh://-oProxyCommand=id/x", "-oProxyCommand=id:x", "ftp://a/b", "a b", "",
     "https://", "git://example.com/a", "file://other/x", "relative/path", "https://exa mple.com/x", "x\n://y"],
)  # fmt: skip
async def test_other_transports_and_tricks_are_refused(tmp_path: Path, url: str) -> None:
    repositories = Repositories(tmp_path, ManualClock())
    with pytest.raises(SourceRefused):
        await repositories.resolve(Source(url))
    assert repositories.git.runs == 0


async def test_the_users_configuration_is_not_read(
    upstream: Upstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".gitconfig").write_text('[url "file:///nowhere"]\n\tinsteadOf = file://\n')
    sha = upstream.sha()
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GIT_DIR", "/nowhere")
    repositories = Repositories(tmp_path / "data", ManualClock())
    assert await repositories.resolve(Source(upstream.url)) == sha
    await repositories.close()


async def test_no_descriptor_is_left_open(upstream: Upstream, tmp_path: Path) -> None:
    repositories = Repositories(tmp_path / "data", ManualClock())
    await repositories.resolve(Source(upstream.url))
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        await repositories.resolve(Source(upstream.url), force=True)
    assert len(os.listdir("/proc/self/fd")) == before
    await repositories.close()
