"""`seatrial image build | push | bootstrap | scan`: images made here, for the instance's registry or another one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from seatrial.base.clock import SystemClock
from seatrial.base.errors import SeatrialError, Terminal
from seatrial.base.files import write_atomic
from seatrial.cli.instance import data_dir
from seatrial.pipeline.images import names, recipe, tool
from seatrial.pipeline.images.bootstrap import Bootstrap
from seatrial.pipeline.images.build import Builder, Order, OtherBuilder
from seatrial.pipeline.images.buildah import PROGRAM, Buildah
from seatrial.pipeline.images.push import Pusher
from seatrial.pipeline.images.scan import report
from seatrial.pipeline.images.scan.scanner import Scanner

if TYPE_CHECKING:
    from collections.abc import Sequence

    from seatrial.pipeline.images.names import Registry
    from seatrial.supervisor.instance import Instance

UNCHECKED = 2
_OTHERS = ("podman", "docker")


def cache_directory() -> Path:
    return Path(os.environ.get("SEATRIAL_CACHE") or "~/.cache/seatrial").expanduser().absolute()


def registry_of(instance: Instance) -> Registry | None:
    """SEATRIAL_REGISTRY; without it that of the instance, when it runs."""
    if address := os.environ.get("SEATRIAL_REGISTRY"):
        auth = os.environ.get("REGISTRY_AUTH_FILE")
        return names.Registry(address, Path(auth) if auth else None)
    try:
        running = instance.holder() is not None
    except SeatrialError:
        return None
    told = instance.read_state().get("registry") if running else None
    if not told:
        return None
    return names.Registry(told["url"].partition("://")[2].rstrip("/"), Path(told["authFile"]))


@click.command()
@data_dir
@click.option("-t", "--tag", "tags", multiple=True, metavar="NAME[:TAG]", help="What to call it.")
@click.option("-f", "--file", type=click.Path(path_type=Path), help="The Dockerfile (default CONTEXT/Dockerfile).")
@click.option(
    "--build-arg", "arguments", multiple=True, metavar="NAME[=VALUE]", help="Without a value: the variable's."
)
@click.option("--target", default="", metavar="STAGE", help="The stage to build.")
@click.option("--label", "labels", multiple=True, metavar="NAME=VALUE")
@click.option("--no-cache", is_flag=True, help="Run every step again.")
@click.option("--push", "pushed", is_flag=True, help="Push it under each of its names.")
@click.option("--iidfile", type=click.Path(path_type=Path), help="Write the image's id there.")
@click.option("--digestfile", type=click.Path(path_type=Path), help="Write the digest that was pushed there (buildah).")
@click.argument("context", type=click.Path(path_type=Path))
def build(
    instance: Instance,
    tags: tuple[str, ...],
    file: Path | None,
    arguments: tuple[str, ...],
    target: str,
    labels: tuple[str, ...],
    no_cache: bool,
    pushed: bool,
    iidfile: Path | None,
    digestfile: Path | None,
    context: Path,
) -> None:
    """Build an image from a Dockerfile, with buildah (else docker or podman).

    Names of docker.io mean the instance's registry, under the same path.
    """
    if pushed and not tags:
        raise click.UsageError("--push needs a name: -t NAME[:TAG]")
    if digestfile is not None and not pushed:
        raise click.UsageError("--digestfile needs --push: there is no digest of what is not pushed")
    order = Order(
        context, tuple(str(names.parse(tag)) for tag in tags), file, _arguments(arguments), labels, target, no_cache
    )
    registry = registry_of(instance)
    if tool.find(PROGRAM, os.environ) is None:
        other = OtherBuilder(_other(), os.environ, registry)
        image_id = other.build(order)
        for tag in order.tags if pushed else ():
            click.echo(f"pushed {other.push(names.parse(tag))}")
    else:
        buildah = Buildah(cache_directory(), os.environ)
        image_id = Builder(buildah, cache_directory(), registry).build(order)
        if pushed:
            digests = _push(Pusher(buildah, registry), order.tags, all_tags=False)
            if digestfile is not None:
                write_atomic(digestfile.absolute(), digests[0])
    if iidfile is not None:
        write_atomic(iidfile.absolute(), image_id)
    click.echo(image_id)


@click.command()
@data_dir
@click.option("--all-tags", is_flag=True, help="Every tag of NAME that is here.")
@click.argument("name")
def push(instance: Instance, name: str, all_tags: bool) -> None:
    """Push an image that was built here to its registry."""
    registry = registry_of(instance)
    if tool.find(PROGRAM, os.environ) is None:
        if all_tags:
            raise Terminal(f"--all-tags needs {PROGRAM}: `apt install {PROGRAM}`, or push tag by tag")
        click.echo(f"pushed {OtherBuilder(_other(), os.environ, registry).push(names.parse(name))}")
        return
    _push(Pusher(Buildah(cache_directory(), os.environ), registry), [name], all_tags=all_tags)


def _push(pusher: Pusher, wanted: Sequence[str], *, all_tags: bool) -> list[str]:
    """Their digests."""
    digests = []
    for name in wanted:
        for done in pusher.push(name, all_tags=all_tags):
            click.echo(f"pushed {done.to} {done.digest}")
            digests.append(done.digest)
    return digests


def _other() -> str:
    for program in _OTHERS:
        if found := tool.find(program, os.environ):
            return found
    raise Terminal("there is nothing to build images with: expected buildah, podman or docker (`apt install buildah`)")


def _arguments(given: tuple[str, ...]) -> dict[str, str]:
    """As docker has it: a name alone takes the variable's value, and is left out where there is none."""
    found = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not name:
            raise click.BadParameter(f"{text!r}: expected NAME or NAME=VALUE", param_hint="--build-arg")
        if equals or name in os.environ:
            found[name] = value if equals else os.environ[name]
    return found


@click.command()
@data_dir
@click.argument("wanted", nargs=-1, metavar="[NAME]...")
def bootstrap(instance: Instance, wanted: tuple[str, ...]) -> None:
    """Make base images out of the Debian archive, once; push them to the instance's registry.

    Python, PostgreSQL and a Kafka-compatible broker, for machines that docker.io does not reach.
    """
    recipes = [recipe.find(name) for name in wanted] or recipe.ALL
    maker = Bootstrap(cache_directory(), os.environ, lambda line: click.echo(line, err=True))
    registry = registry_of(instance)
    for one in recipes:
        if registry is None:
            click.echo(f"{one.name} {maker.archive(one)}")
        else:
            pushed = maker.push(one, registry)
            click.echo(f"{one.name} {'pushed to' if pushed else 'is in'} {registry.address}")


@click.command()
@data_dir
@click.argument("name", required=False, metavar="[NAME]")
@click.option("--archive", type=click.Path(path_type=Path), help="A docker-archive or oci-archive instead of NAME.")
@click.option("--rootfs", type=click.Path(path_type=Path), help="A directory with a root file system instead of NAME.")
@click.option(
    "--severity", default=",".join(report.SEVERITIES), callback=lambda _c, _p, value: _severities(value),
    metavar="LIST", help="Only these, such as HIGH,CRITICAL.",
)  # fmt: skip
@click.option("--ignore-unfixed", is_flag=True, help="Leave out what has no fixed version.")
@click.option("--exit-code", "code", type=click.IntRange(0, 255), default=0, help="Exit code when there are findings.")
@click.option("--format", "form", type=click.Choice(["table", "json", "sarif"]), default="table", show_default=True)
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Write the report there.")
@click.option("--allow-unchecked", is_flag=True, help="Let pass what there is nothing to compare with.")
def scan(
    instance: Instance,
    name: str | None,
    archive: Path | None,
    rootfs: Path | None,
    severity: tuple[str, ...],
    ignore_unfixed: bool,
    code: int,
    form: str,
    output: Path | None,
    allow_unchecked: bool,
) -> int:
    """Compare what is in an image with what is known: by trivy where it is here, else by what Debian and PyPI publish.

    Exit code 2: there was nothing to compare with, which is no clean result.
    """
    if sum(given is not None for given in (name, archive, rootfs)) != 1:
        raise click.UsageError("name one of: an image, --archive FILE, --rootfs DIRECTORY")
    scanner = Scanner(cache_directory(), os.environ, registry_of(instance) if name else None, SystemClock())
    if name:
        found = scanner.image(name)
    else:
        found = scanner.archive(archive) if archive else scanner.directory(rootfs or Path())
    found.keep(severity, only_fixed=ignore_unfixed)
    text = report.shown(found, form)
    if output is not None:
        write_atomic(output.absolute(), text)
    else:
        click.echo(text, nl=False)
    return _verdict(found, code, allow_unchecked)


def _verdict(found: report.Report, code: int, allow_unchecked: bool) -> int:
    for line in found.unchecked:
        click.echo(f"not checked: {line}", err=True)
    if not found.sources and not allow_unchecked:
        click.echo(f"error: {found.artifact}: nothing to compare with (--allow-unchecked lets it pass)", err=True)
        return UNCHECKED
    return code if found.findings else 0


def _severities(text: str) -> tuple[str, ...]:
    asked = tuple(word.strip().upper() for word in text.split(",") if word.strip())
    if not asked or (unknown := [word for word in asked if word not in report.SEVERITIES]):
        wrong = ", ".join(unknown) if asked else "nothing"
        raise click.BadParameter(f"{wrong}: expected some of {','.join(report.SEVERITIES)}")
    return asked


COMMANDS = (build, push, bootstrap, scan)
