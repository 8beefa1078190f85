"""`seatrial up | status | down | env`: what an instance promises its user, and what it says when it cannot."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    # The fixtures' own class; its module is a conftest, which nothing imports at run time.
    Instance = Any
    NewInstance = Callable[..., Instance]
    Eventually = Callable[..., Any]

SEATRIAL = str(Path(sys.executable).parent / "seatrial")


def signature(directory: Path) -> dict[str, bytes]:
    """The database and its log, byte by byte; an empty log says nothing."""
    files = (directory / "cluster.db", directory / "cluster.db-wal")
    return {path.name: path.read_bytes() for path in files if path.exists() and path.stat().st_size}


def is_alive(pid: int) -> bool:
    """A process that has ended may wait for its parent to look (a zombie: no command line)."""
    try:
        return bool(Path(f"/proc/{pid}/cmdline").read_bytes())
    except OSError:
        return False


# The way it is meant to go.


def test_up_returns_when_the_api_is_ready(instance: Instance) -> None:
    instance.up()
    assert instance.api("GET", "/readyz") == (200, "ok")


def test_status_tells_everything_a_script_needs(instance: Instance) -> None:
    instance.up()
    state = instance.status(0)
    assert (state["running"], state["healthy"], state["runtime"]) == (True, True, "simulated")
    assert state["urls"]["api"].startswith("https://127.0.0.1:")
    assert state["kubeconfig"] == str(instance.directory / "kubeconfig")
    assert state["adminTokenFile"] == str(instance.directory / "admin-token")
    cluster = state["components"]["cluster"]
    assert (cluster["state"], cluster["restarts"], cluster["reason"]) == ("running", 0, "")
    os.kill(cluster["pid"], 0)
    text = instance.run("status").stdout
    assert state["urls"]["api"] in text and "Healthy:" in text


def test_status_of_nothing_is_1(instance: Instance) -> None:
    state = instance.status(1)
    assert (state["running"], state["healthy"], state["components"]) == (False, False, {})
    assert "no instance is running" in instance.run("status").stderr


def test_data_credentials_and_address_survive_down_and_up(instance: Instance) -> None:
    instance.up()
    assert instance.put_config_map("kept", {"a": "1"}) == 201
    before = instance.status()["urls"]["api"]
    credentials = [(instance.directory / name).read_bytes() for name in ("kubeconfig", "admin-token", "pki/ca.crt")]
    instance.down()
    done = instance.run("up", "--detach")
    assert done.returncode == 0, done.stderr
    assert instance.config_maps()["kept"] == {"a": "1"}
    assert instance.status()["urls"]["api"] == before
    assert credentials == [
        (instance.directory / name).read_bytes() for name in ("kubeconfig", "admin-token", "pki/ca.crt")
    ]


def test_two_instances_run_side_by_side(new_instance: NewInstance) -> None:
    one, two = new_instance("one"), new_instance("two")
    starting = [
        subprocess.Popen(
            [SEATRIAL, "up", "--detach", "--data-dir", str(each.directory)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        for each in (one, two)
    ]
    for process in starting:
        _, said = process.communicate(timeout=60)
        assert process.returncode == 0, said
    assert one.put_config_map("of-one", {}) == 201
    assert "of-one" in one.config_maps() and "of-one" not in two.config_maps()
    assert one.status()["urls"] != two.status()["urls"]
    one.down()
    two.status(0)


def test_env_lets_plain_kubectl_in(instance: Instance) -> None:
    assert "seatrial up" in instance.run("env").stderr
    instance.up()
    kubectl = Path(sys.executable).parent / "kubectl"
    script = f'eval "$({SEATRIAL} env --data-dir {instance.directory})" && {kubectl} auth whoami -o json'
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["status"]["userInfo"]["username"] == "kubernetes-admin"


def test_env_waits_for_what_is_still_coming_up(instance: Instance, tmp_path: Path) -> None:
    instance.up()
    pick = "import json, sys; print(json.load(sys.stdin)['git']['url'])"
    script = f"""set -e
        eval "$({SEATRIAL} env --data-dir {instance.directory})"
        url=$({SEATRIAL} status -o json | {sys.executable} -c "{pick}")new.git
        git init -q -b main work && cd work
        git -c user.name=a -c user.email=a@b commit -q --allow-empty -m "a start"
        git push -q "$url" main
        git ls-remote "$url" refs/heads/main"""
    done = subprocess.run(["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("\trefs/heads/main\n")


def test_down_with_delete_leaves_nothing(instance: Instance) -> None:
    instance.up()
    said = instance.run("down", "--delete")
    assert (said.returncode, said.stdout.splitlines()[-1]) == (0, f"deleted {instance.directory}")
    assert not instance.directory.exists()
    again = instance.run("down", "--delete")
    assert (again.returncode, again.stderr) == (0, "")


def test_what_is_no_instance_is_not_deleted(new_instance: NewInstance, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "lock").touch()
    refused = new_instance(directory=tmp_path / "mine").run("down", "--delete")
    assert refused.returncode == 1
    assert "does not look like an instance's" in refused.stderr
    assert (tmp_path / "mine" / "lock").exists()


def test_the_data_directory_may_come_from_the_environment(instance: Instance) -> None:
    environment = {**os.environ, "SEATRIAL_DATA_DIR": str(instance.directory)}
    done = subprocess.run(
        [SEATRIAL, "up", "--detach", "--api-port", "0"], env=environment, capture_output=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    instance.status(0)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_in_the_foreground_it_ends_with_its_signal(
    instance: Instance, left_running: Callable[[Path], list[str]], number: signal.Signals
) -> None:
    command = [SEATRIAL, "up", "--api-port", "0", "--data-dir", str(instance.directory)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    with process:
        assert process.stdout is not None
        assert "https://127.0.0.1:" in process.stdout.readline()
        instance.status(0)
        process.send_signal(number)
        assert process.wait(30) == 0
    assert instance.status(1)["running"] is False
    assert not left_running(instance.directory)


def test_few_open_files_by_default_are_no_limit(instance: Instance) -> None:
    """Each watch is a connection; a shell's soft limit of 1024 is used up by a few dozen controllers."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(256, hard), hard))
    try:
        instance.up()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    limits = Path(f"/proc/{instance.cluster()}/limits").read_text()
    line = next(line for line in limits.splitlines() if line.startswith("Max open files"))
    assert int(line.split()[3]) == min(hard if hard != resource.RLIM_INFINITY else 65_536, 65_536)


def test_secrets_are_for_the_owner_alone(instance: Instance) -> None:
    instance.up()
    assert instance.directory.stat().st_mode & 0o777 == 0o700
    assert (instance.directory / "pki").stat().st_mode & 0o777 == 0o700
    secret = ("kubeconfig", "admin-token", "cluster.db", "cluster.db-wal", "state.json", "seatrial.log", "lock")
    keys = (path.relative_to(instance.directory) for path in (instance.directory / "pki").glob("*.key"))
    for name in (*secret, *keys):
        assert (instance.directory / name).stat().st_mode & 0o777 == 0o600, name


def test_down_leaves_no_process(instance: Instance, left_running: Callable[[Path], list[str]]) -> None:
    instance.up()
    pids = (instance.supervisor(), instance.cluster())
    instance.down()
    assert not any(map(is_alive, pids))
    assert not left_running(instance.directory)
    assert instance.run("down").returncode == 0  # and again: nothing to do


def test_a_program_beside_the_user_is_not_taken_for_ours(instance: Instance, tmp_path: Path) -> None:
    (tmp_path / "orjson.py").write_text("raise SystemExit('the wrong orjson')")
    command = [SEATRIAL, "up", "--detach", "--api-port", "0", "--data-dir", str(instance.directory)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


# Killed.


def test_a_killed_cluster_comes_back_with_its_data(instance: Instance, eventually: Eventually) -> None:
    instance.up()
    assert instance.put_config_map("kept", {}) == 201
    supervisor, killed = instance.supervisor(), instance.cluster()
    os.kill(killed, signal.SIGKILL)
    log = instance.directory / "seatrial.log"
    eventually(lambda: "was ended by SIGKILL" in log.read_text(), "said in the log")
    state = eventually(
        lambda: (s := instance.status())["healthy"] and s["components"]["cluster"]["restarts"] and s, "it is back"
    )
    assert state["pid"] == supervisor
    assert state["components"]["cluster"]["restarts"] == 1 and state["components"]["cluster"]["pid"] != killed
    assert "kept" in instance.config_maps()


def test_a_cluster_that_hangs_is_not_healthy(instance: Instance) -> None:
    instance.up()
    cluster = instance.cluster()
    os.kill(cluster, signal.SIGSTOP)
    try:
        state = instance.status(20)
        assert "does not answer" in state["components"]["cluster"]["reason"]
    finally:
        os.kill(cluster, signal.SIGCONT)
    instance.status(0)


def test_nothing_outlives_a_killed_supervisor(instance: Instance, eventually: Eventually) -> None:
    instance.up()
    assert instance.put_config_map("kept", {}) == 201
    cluster = instance.cluster()
    os.kill(instance.supervisor(), signal.SIGKILL)
    instance.run("up", "--detach")  # at once: it waits for the old process to let go
    instance.status(0)
    assert not is_alive(cluster)
    assert "kept" in instance.config_maps()


def test_down_ends_what_a_killed_supervisor_left(instance: Instance) -> None:
    instance.up()
    cluster = instance.cluster()
    os.kill(cluster, signal.SIGSTOP)  # so that it cannot end by itself
    os.kill(instance.supervisor(), signal.SIGKILL)
    asked = f"until grep -q '^ShdPnd:.*[4-7c-f]...$' /proc/{cluster}/status; do sleep 0.05; done"  # SIGTERM waits
    resumed = subprocess.Popen(["bash", "-c", f"{asked}; kill -CONT {cluster}"])
    done = instance.run("down")
    resumed.wait(10)
    assert done.returncode == 0 and "stopped" in done.stdout
    assert not is_alive(cluster)


def test_everything_killed_and_up_again(instance: Instance) -> None:
    instance.up()
    assert instance.put_config_map("kept", {"a": "1"}) == 201
    for pid in (instance.supervisor(), instance.cluster()):
        os.kill(pid, signal.SIGKILL)
    instance.up()
    assert instance.config_maps()["kept"] == {"a": "1"}


def test_down_spares_a_stranger_with_the_old_number(instance: Instance) -> None:
    instance.up()
    instance.down()
    with subprocess.Popen(["sleep", "60"]) as stranger:
        try:
            for name in ("lock", "cluster.db.lock"):
                (instance.directory / name).write_text(f"{stranger.pid}\n")
            (instance.directory / "state.json").write_text(json.dumps({"pid": stranger.pid, "components": {}}))
            assert "no instance is running" in instance.run("down").stdout
            instance.status(1)
            assert stranger.poll() is None
            instance.up()
        finally:
            stranger.kill()


# What it says when it cannot.


def test_a_port_in_use_is_named(new_instance: NewInstance) -> None:
    instance = new_instance()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = instance.fails_up("--api-port", str(port))
        assert f"127.0.0.1:{port}" in said and "in use" in said and "--api-port" in said
    instance.up("--api-port", str(port))


def test_a_second_up_names_the_first(instance: Instance) -> None:
    instance.up()
    said = instance.fails_up()
    assert f"pid {instance.supervisor()}" in said and "seatrial down" in said
    instance.status(0)


def test_a_locked_database_is_named(instance: Instance) -> None:
    instance.up()
    instance.down()
    holder = f"import fcntl, sys; f = open({str(instance.directory / 'cluster.db.lock')!r}, 'r+')"
    holder += "; fcntl.flock(f, fcntl.LOCK_EX); print('held', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", holder], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None and other.stdout.readline() == "held\n"
        said = instance.fails_up()
        assert "cluster.db" in said and "in use by another process" in said
        other.communicate("")
    instance.up()


def test_a_file_in_the_place_of_the_directory(new_instance: NewInstance, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    said = new_instance(directory=tmp_path / "file").fails_up()
    assert "not a directory" in said and str(tmp_path / "file") in said
    said = new_instance(directory=tmp_path / "file" / "below").fails_up()
    assert "not a directory" in said
    assert (tmp_path / "file").read_text() == "mine"


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Mount a tmpfs with options; gone at the end."""
    made: list[Path] = []

    def make(options: str) -> Path:
        place = tmp_path / f"disk{len(made)}"
        place.mkdir()
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "seatrial-test", str(place)],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            pytest.skip(f"cannot mount a tmpfs (needs root): {done.stderr.strip()}")
        made.append(place)
        return place

    yield make
    for place in made:
        subprocess.run(["umount", "-l", str(place)], check=True)


def fill(disk: Path, keep: int = 0) -> Path:
    """Take all space of a disk but `keep` bytes."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))
    if keep:
        os.truncate(filler, filler.stat().st_size - keep)
    return filler


def test_a_directory_that_cannot_be_written(new_instance: NewInstance, tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere: see the read-only disk")
    (tmp_path / "closed").mkdir(mode=0o500)
    said = new_instance(directory=tmp_path / "closed" / "instance").fails_up()
    assert "Permission denied" in said and "--data-dir" in said


def test_a_disk_that_is_read_only(mount: Callable[[str], Path], new_instance: NewInstance) -> None:
    disk = mount("size=16m")
    instance = new_instance(directory=disk / "instance")
    instance.up()
    assert instance.put_config_map("kept", {}) == 201
    instance.down()
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    said = instance.fails_up()
    assert "Read-only file system" in said and str(instance.directory) in said
    subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
    instance.up()
    assert "kept" in instance.config_maps()


def test_a_disk_that_is_full_at_the_start(mount: Callable[[str], Path], new_instance: NewInstance) -> None:
    disk = mount("size=16m")
    instance = new_instance(directory=disk / "instance")
    filler = fill(disk)
    said = instance.fails_up()
    assert "full" in said and str(instance.directory) in said
    filler.unlink()
    instance.up()
    assert instance.put_config_map("kept", {"a": "1"}) == 201
    instance.down()
    fill(disk)
    assert "full" in instance.fails_up()
    filler.unlink()
    instance.up()
    assert instance.config_maps()["kept"] == {"a": "1"}


def test_a_disk_that_fills_up_leaves_reads_and_loses_nothing(
    mount: Callable[[str], Path], new_instance: NewInstance, eventually: Eventually
) -> None:
    disk = mount("size=32m")
    instance = new_instance(directory=disk / "instance")
    instance.up()
    acknowledged = {f"before-{n}": {"text": "x" * 1000} for n in range(3)}
    for name, data in acknowledged.items():
        assert instance.put_config_map(name, data) == 201
    filler = fill(disk)
    refused, answer = 0, None
    for n in range(60):
        data = {"text": "y" * 100_000}
        obj = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"during-{n}"}, "data": data}
        code, answer = instance.api("POST", "/api/v1/namespaces/default/configmaps", obj)
        if code == 201:
            acknowledged[f"during-{n}"] = data
        else:
            refused += 1
            assert code == 500 and "the disk is full" in answer["message"], answer
            if refused == 3:
                break
    assert refused == 3, "the disk never filled up"
    assert wanted(instance.config_maps()) == acknowledged
    state = instance.status(20)
    assert "the disk is full" in state["components"]["cluster"]["reason"]
    assert instance.api("GET", "/readyz")[0] == 500
    assert instance.api("GET", "/livez")[0] == 500
    filler.unlink()
    eventually(lambda: instance.status()["healthy"], "it recovers by itself when there is space")
    assert wanted(instance.config_maps()) == acknowledged
    assert instance.put_config_map("after", {}) == 201


def wanted(found: dict[str, dict[str, str]]) -> dict[str, dict[str, str]]:
    return {name: data for name, data in found.items() if name.startswith(("before", "during"))}


def test_a_damaged_database_is_left_alone(instance: Instance) -> None:
    instance.up()
    instance.down()
    path = instance.directory / "cluster.db"
    whole = path.read_bytes()
    path.write_bytes(whole[:4096] + b"\xff" * 4096 + whole[8192:])
    before = signature(instance.directory)
    said = instance.fails_up()
    assert str(path) in said and "damaged" in said and "Nothing was changed" in said
    assert signature(instance.directory) == before
    path.write_bytes(whole)
    instance.up()


def test_a_database_of_a_newer_version_is_left_alone(instance: Instance) -> None:
    instance.up()
    instance.down()
    path = instance.directory / "cluster.db"
    with sqlite3.connect(path) as sql:
        sql.execute("PRAGMA user_version=99")
    sql.close()
    before = signature(instance.directory)
    said = instance.fails_up()
    assert "newer version" in said and "Upgrade" in said
    assert signature(instance.directory) == before


@pytest.mark.parametrize("name", ["ca.crt", "ca.key", "sa.key"])
@pytest.mark.parametrize("content", [None, b"", b"\x80not a key"])
def test_damaged_keys_are_named_and_kept(new_instance: NewInstance, name: str, content: bytes | None) -> None:
    instance = new_instance(directory=copy_of_a_started_instance(new_instance))
    path = instance.directory / "pki" / name
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    before = {each.name: each.read_bytes() for each in path.parent.iterdir()}
    assert str(path) in instance.fails_up()
    assert {each.name: each.read_bytes() for each in path.parent.iterdir()} == before


_started: list[Path] = []


@pytest.fixture(scope="module", autouse=True)
def _forget_started() -> Iterator[None]:
    yield
    for path in _started:
        shutil.rmtree(path.parent)
    _started.clear()


def copy_of_a_started_instance(new_instance: NewInstance) -> Path:
    """Of one that ran once: starting anew for each case would take its time."""
    import tempfile

    if not _started:
        _started.append(Path(tempfile.mkdtemp()) / "instance")
        first = new_instance(directory=_started[0])
        first.up()
        first.down()
    copy = Path(tempfile.mkdtemp(dir=_started[0].parent)) / "instance"
    shutil.copytree(_started[0], copy)
    return copy


def test_a_damaged_serving_certificate_is_made_anew(instance: Instance) -> None:
    instance.up()
    instance.down()
    (instance.directory / "pki" / "serving.key").write_bytes(b"rubbish")
    (instance.directory / "pki" / "serving.crt").unlink()
    instance.up()
    instance.status(0)


def test_an_unusable_kubeconfig_is_replaced_and_kept(instance: Instance) -> None:
    instance.up()
    instance.down()
    (instance.directory / "kubeconfig").write_bytes(b"\x80 rubbish")
    (instance.directory / "admin-token").write_bytes(b"\x80")
    instance.up()
    assert (instance.directory / "kubeconfig.old").read_bytes() == b"\x80 rubbish"
    assert instance.api("GET", "/readyz") == (200, "ok")


def test_what_the_user_adds_to_the_kubeconfig_stays(instance: Instance) -> None:
    instance.up()
    instance.down()
    path = instance.directory / "kubeconfig"
    path.write_text(path.read_text().replace("namespace: default", "namespace: shop"))
    done = instance.run("up", "--detach")
    assert done.returncode == 0, done.stderr
    assert "namespace: shop" in path.read_text()


def test_where_containers_cannot_run_oci_says_why_and_auto_simulates(instance: Instance, tmp_path: Path) -> None:
    """Here for want of an OCI runtime in the search path."""
    environment = {**os.environ, "PATH": str(tmp_path), "SEATRIAL_RUNTIME": "oci"}
    command = [SEATRIAL, "up", "--detach", "--api-port", "0", "--data-dir", str(instance.directory)]
    refused = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert refused.returncode == 1
    assert "install crun" in refused.stderr and "--runtime simulated" in refused.stderr
    environment["SEATRIAL_RUNTIME"] = "auto"
    started = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert started.returncode == 0, started.stderr
    assert started.stderr.count("\n") == 1 and "Pods are simulated: there is no OCI runtime" in started.stderr
    assert instance.status()["runtime"] == "simulated"  # but not healthy: there is no git in the search path either


@pytest.mark.parametrize(
    "arguments",
    [("up", "--api-port", "70000"), ("up", "--nonsense"), ("sail",), ("status", "-o", "xml"), ("down", "x")],
)
def test_wrong_usage_is_2(arguments: tuple[str, ...]) -> None:
    done = subprocess.run([SEATRIAL, *arguments], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "Usage:" in done.stderr and "Error:" in done.stderr and "Traceback" not in done.stderr
