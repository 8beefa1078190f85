"""Application and AppProject as resources of an API server: their definitions, and how they get there.

`bootstrap` comes before anything else of the engine: the definitions, the control namespace, the project `default`.
All of it may be done again at any time, and changes nothing then.
"""

from __future__ import annotations

import asyncio
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

import orjson

from seatrial.gitops.api import names
from seatrial.kube.model import resources
from seatrial.kube.model.resources import Resource
from seatrial.kube.model.status import StatusError

if TYPE_CHECKING:
    from seatrial.kube.client.client import Client
    from seatrial.kube.model.objects import Object

APPLICATIONS = Resource(
    names.GROUP, names.VERSION, "Application", "applications", namespaced=True,
    singular="application", short_names=("app", "apps"),
)  # fmt: skip
PROJECTS = Resource(
    names.GROUP, names.VERSION, "AppProject", "appprojects", namespaced=True,
    singular="appproject", short_names=("appproj", "appprojs"),
)  # fmt: skip

_MANAGER = "seatrial-install"
_DEFINITIONS = resources.for_kind("apiextensions.k8s.io/v1", "CustomResourceDefinition")
_NAMESPACES = resources.for_kind("v1", "Namespace")


@cache
def definitions() -> tuple[Object, ...]:
    """The CustomResourceDefinitions; `tools/generate_argo_definitions.py` makes them."""
    data = files("seatrial.gitops.api").joinpath("data")
    return tuple(orjson.loads(data.joinpath(f"{kind}.json").read_bytes()) for kind in ("application", "appproject"))


async def install(client: Client) -> None:
    """Write both definitions (taking over the fields of an older installation). Raises StatusError."""
    await asyncio.gather(
        *(client.apply(_DEFINITIONS, made, force=True, field_manager=_MANAGER) for made in definitions())
    )


async def bootstrap(client: Client, namespace: str = names.CONTROL_NAMESPACE) -> None:
    """Definitions, the control namespace and its project `default`. Raises StatusError."""
    control: Object = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
    await asyncio.gather(install(client), _create(client, _NAMESPACES, control))
    await _create(client, PROJECTS, default_project(namespace))


def default_project(namespace: str = names.CONTROL_NAMESPACE) -> Object:
    """What Argo CD starts with: everything is allowed."""
    return {
        "apiVersion": names.API_VERSION,
        "kind": "AppProject",
        "metadata": {"name": names.DEFAULT_PROJECT, "namespace": namespace},
        "spec": {
            "sourceRepos": ["*"],
            "destinations": [{"namespace": "*", "server": "*"}],
            "clusterResourceWhitelist": [{"group": "*", "kind": "*"}],
        },
    }


async def _create(client: Client, resource: Resource, obj: Object) -> None:
    """What is there already is its owner's: left as it is."""
    try:
        await client.create(resource, obj)
    except StatusError as error:
        if error.reason != "AlreadyExists":
            raise
