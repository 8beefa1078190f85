"""`seatrial image list | pull | load | rm`: the images of one instance's node. What makes images: `imaging.py`."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
import orjson

from seatrial.base.clock import SystemClock, parse_time, rfc3339
from seatrial.base.errors import SeatrialError
from seatrial.cli import imaging
from seatrial.cli.instance import data_dir
from seatrial.cluster.node.images import credentials, digest, reference
from seatrial.cluster.node.images.endpoint import Registries
from seatrial.cluster.node.images.platform import Platform
from seatrial.cluster.node.images.store import ImageStore

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from seatrial.cluster.node.images.index import Image
    from seatrial.cluster.node.images.layers import Layer
    from seatrial.cluster.node.images.store import Loaded
    from seatrial.supervisor.instance import Instance

_NONE = "<none>"
_UNITS = ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"))
_AGES = ((2 * 365 * 86400, 365 * 86400, "years"), (2 * 86400, 86400, "days"), (2 * 3600, 3600, "hours"))

_T = TypeVar("_T")


@click.group()
def image() -> None:
    """Build, push and scan container images; list, pull, load and remove those of the node."""


for _command in imaging.COMMANDS:
    image.add_command(_command)


output = click.option(
    "-o", "--output", type=click.Choice(["table", "wide", "json", "yaml", "name"]), default="table", show_default=True
)
platform_option = click.option(
    "--platform", "wanted", metavar="OS/ARCH[/VARIANT]", callback=lambda _c, _p, value: _platform(value),
    help="Another platform than this machine's.",
)  # fmt: skip


@image.command("list")
@data_dir
@click.argument("name", required=False)
@click.option("-q", "--quiet", is_flag=True, help="Only ids.")
@click.option("--no-trunc", is_flag=True, help="Whole ids.")
@output
def list_(instance: Instance, name: str | None, quiet: bool, no_trunc: bool, output: str) -> None:
    """Show the images here; with NAME those of one repository, or one tag or digest of it."""
    store = _store(instance)
    images = sorted(store.images(), key=lambda image: (image.name, image.id))
    if name is not None:
        images = [image for image in images if _is_called(image, name)]
    if quiet or output == "name":
        for image in images:
            click.echo(_shown_id(image, no_trunc) if quiet else _familiar(image.name))
    elif output in ("json", "yaml"):
        _echo_document({"images": [_document(store, image) for image in images]}, output)
    else:
        _echo_table(_rows(store, images, wide=output == "wide", no_trunc=no_trunc))


@image.command()
@data_dir
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option(
    "--authfile",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    envvar="REGISTRY_AUTH_FILE",
    help="Credentials, as `docker login` writes them (also REGISTRY_AUTH_FILE).",
)
@click.option(
    "--plain-http", multiple=True, metavar="HOST[:PORT]", help="A registry without TLS (loopback needs no mention)."
)
@click.option("--mirror", multiple=True, metavar="REGISTRY=URL", help="Ask URL before REGISTRY.")
@platform_option
@click.option("-q", "--quiet", is_flag=True, help="Only the ids.")
def pull(
    instance: Instance,
    names: tuple[str, ...],
    authfile: Path | None,
    plain_http: tuple[str, ...],
    mirror: tuple[str, ...],
    wanted: Platform | None,
    quiet: bool,
) -> None:
    """Fetch images from their registries: by tag, or by digest (NAME@sha256:...)."""
    references = [reference.parse(name) for name in names]
    keyring = credentials.from_docker_config(authfile.read_bytes(), str(authfile)) if authfile else None
    registries = Registries(frozenset(plain_http), _mirrors(mirror))

    async def pull_all(store: ImageStore) -> None:
        for name in references:
            pulled = await store.pull(name, keyring, None if quiet else _say_progress)
            if quiet:
                click.echo(pulled.image.id)
            else:
                size = _size(pulled.transferred)
                click.echo(f"{name.familiar}: {digest.short(pulled.image.id)}, {size} transferred")

    _run(_store(instance, registries, wanted), pull_all)


@image.command()
@data_dir
@click.argument("archive", metavar="ARCHIVE|DIRECTORY|-")
@click.option("--name", help="The name of the image, where the archive does not say it.")
@platform_option
def load(instance: Instance, archive: str, name: str | None, wanted: Platform | None) -> None:
    """Take in what `docker save` or `skopeo copy` wrote: a docker-archive, an oci-archive, an OCI layout."""
    given = reference.parse(name) if name else None

    async def load_one(store: ImageStore) -> list[Loaded]:
        if archive != "-":
            return await store.load(Path(archive), given)
        with tempfile.NamedTemporaryFile(dir=instance.directory) as copy:
            await asyncio.to_thread(_copy_input, copy.name)
            return await store.load(Path(copy.name), given)

    for loaded in _run(_store(instance, None, wanted), load_one):
        names = [_familiar(name) for name in loaded.names]
        click.echo(f"loaded {', '.join(names) or loaded.image.id}")


@image.command()
@data_dir
@click.argument("names", nargs=-1, required=True, metavar="NAME|ID...")
def rm(instance: Instance, names: tuple[str, ...]) -> int:
    """Remove names; with its last name goes the image, unless a container uses it."""

    async def remove_all(store: ImageStore) -> int:
        failures = 0
        for name in names:
            try:
                removal = await store.remove(name)
            except SeatrialError as error:
                click.echo(f"error: {error.message}", err=True)
                failures = 1
                continue
            for gone in removal.names:
                click.echo(f"untagged {_familiar(gone)}")
            if removal.image:
                click.echo(f"deleted {removal.image}")
        return failures

    return _run(_store(instance), remove_all)


def _store(instance: Instance, registries: Registries | None = None, wanted: Platform | None = None) -> ImageStore:
    return ImageStore(instance.directory / "images", SystemClock(), registries=registries, wanted=wanted)


def _run(store: ImageStore, work: Callable[[ImageStore], Awaitable[_T]]) -> _T:
    async def opened() -> _T:
        async with store:
            return await work(store)

    return asyncio.run(opened())


def _copy_input(path: str) -> None:
    with open(path, "wb") as file:
        while chunk := sys.stdin.buffer.read(1024 * 1024):
            file.write(chunk)


def _platform(text: str | None) -> Platform | None:
    if text is None:
        return None
    parts = text.split("/")
    if len(parts) not in (2, 3) or not all(parts):
        raise click.BadParameter(f"{text!r}: expected OS/ARCH or OS/ARCH/VARIANT, such as linux/arm64")
    return Platform(*parts)


def _mirrors(given: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    mirrors: dict[str, tuple[str, ...]] = {}
    for text in given:
        registry, equals, url = text.partition("=")
        if not equals or not registry or not url.startswith(("http://", "https://")):
            raise click.BadParameter(f"{text!r}: expected REGISTRY=http(s)://HOST[:PORT]", param_hint="--mirror")
        mirrors[registry] = (*mirrors.get(registry, ()), url)
    return mirrors


def _say_progress(layer: Layer, phase: str) -> None:
    words = {"here": "is here already", "fetched": f"fetched, {_size(layer.size)}", "unpacked": "unpacked"}
    click.echo(f"{digest.short(layer.digest)}: {words[phase]}", err=True)


# Output


def _is_called(image: Image, name: str) -> bool:
    wanted = reference.parse(name)
    if wanted.digest:
        return wanted.pinned in image.digests
    if name.endswith(f":{wanted.tag}"):
        return wanted.tagged in image.tags
    return any(known.startswith((f"{wanted.name}:", f"{wanted.name}@")) for known in (*image.tags, *image.digests))


def _document(store: ImageStore, image: Image) -> dict[str, Any]:
    return {
        "id": image.id,
        "repoTags": list(image.tags),
        "repoDigests": list(image.digests),
        "size": image.size,
        "created": image.created,
        "os": image.os,
        "architecture": image.architecture,
        "pulled": rfc3339(image.pulled),
        "lastUsed": rfc3339(store.last_used(image)),
        "layers": [{"digest": layer.digest, "size": layer.size, "diffID": layer.diff_id} for layer in image.layers],
    }


def _echo_document(document: dict[str, Any], output: str) -> None:
    if output == "json":
        click.echo(orjson.dumps(document, option=orjson.OPT_INDENT_2))
    else:
        import yaml  # slow to import, and seldom needed

        click.echo(yaml.safe_dump(document, sort_keys=False), nl=False)


def _rows(store: ImageStore, images: list[Image], *, wide: bool, no_trunc: bool) -> list[list[str]]:
    heads = ["REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE"]
    if wide:
        heads += ["DIGEST", "PLATFORM", "LAYERS", "LAST USED"]
    rows = [heads]
    now = SystemClock().time()
    for image in images:
        more = _wide_columns(store, image, now) if wide else []
        names = image.tags or image.digests[:1] or (_NONE,)
        rows.extend([*_columns(image, name, now, no_trunc), *more] for name in names)
    return rows


def _columns(image: Image, name: str, now: float, no_trunc: bool) -> list[str]:
    repository, tag = _NONE, _NONE
    if name != _NONE:
        parsed = reference.parse(name)
        repository, tag = reference.familiar_name(parsed.name), parsed.tag or _NONE
    return [repository, tag, _shown_id(image, no_trunc), _ago(image.created, now), _size(image.size)]


def _wide_columns(store: ImageStore, image: Image, now: float) -> list[str]:
    pinned = image.digests[0].partition("@")[2] if image.digests else _NONE
    used = _age(now - store.last_used(image))
    return [pinned, f"{image.os}/{image.architecture}", str(len(image.layers)), used]


def _echo_table(rows: list[list[str]]) -> None:
    widths = [max(len(row[column]) for row in rows) + 3 for column in range(len(rows[0]))]
    for row in rows:
        click.echo("".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip())


def _shown_id(image: Image, no_trunc: bool) -> str:
    return image.id if no_trunc else digest.short(image.id)


def _familiar(name: str) -> str:
    return reference.familiar_name(name)


def _size(count: float) -> str:
    for factor, unit in _UNITS:
        if count >= factor:
            return f"{count / factor:.3g}{unit}"
    return f"{count:.0f}B"


def _ago(created: str, now: float) -> str:
    try:
        return _age(now - parse_time(created))
    except ValueError:
        return "N/A"


def _age(seconds: float) -> str:
    for least, unit, name in _AGES:
        if seconds >= least:
            return f"{seconds / unit:.0f} {name} ago"
    return f"{seconds / 60:.0f} minutes ago" if seconds >= 120 else f"{max(0.0, seconds):.0f} seconds ago"
