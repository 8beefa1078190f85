"""`seatrial image build | push | bootstrap | scan`: images made here, for the instance's registry or another one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from seatrial.base.errors import SeatrialError, Terminal
from seatrial.base.files import write_atomic
from seatrial.cli.instance import data_dir
from seatrial.pipeline.images import names, recipe, tool
from seatrial.pipeline.images.bootstrap import Bootstrap
from seatrial.pipeline.images.build import Builder, Order, OtherBuilder
from seatrial.pipeline.images.buildah import PROGRAM, Buildah
from seatrial.pipeline.images.push import Pusher

if TYPE_CHECKING:
    from collections.abc import Sequence

    from seatrial.pipeline.images.names import Registry
    from seatrial.supervisor.instance import Instance

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
    context: Path,
) -> None:
    """Build an image from a Dockerfile, with buildah (else docker or podman).

    Names of docker.io mean the instance's registry, under the same path.
    """
    if pushed and not tags:
        raise click.UsageError("--push needs a name: -t NAME[:TAG]")
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
            _push(Pusher(buildah, registry), order.tags, all_tags=False)
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


def _push(pusher: Pusher, wanted: Sequence[str], *, all_tags: bool) -> None:
    for name in wanted:
        for done in pusher.push(name, all_tags=all_tags):
            click.echo(f"pushed {done.to} {done.digest}")


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


COMMANDS = (build, push, bootstrap)
