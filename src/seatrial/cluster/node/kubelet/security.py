"""From the securityContext of a pod and its container to what the runtime is told (pure)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from seatrial.base.errors import Terminal
from seatrial.cluster.node.runtime.types import Security

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from seatrial.cluster.node.kubelet.users import User
    from seatrial.kube.model.objects import Object

DEFAULT_CAPABILITIES = (
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "NET_RAW",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
)
"""Those of containerd and Docker."""


class ConfigError(Terminal):
    """The container cannot be made as its pod and image are."""

    reason = "CreateContainerConfigError"


def security(
    pod: Object,
    container: Object,
    image_user: str,
    find: Callable[[str], User],
    *,
    available: frozenset[str],
    profiles: Path,
) -> tuple[Security, User]:
    """`find` looks a user up in the image; `available`: every capability the node can give; `profiles`: where
    `localhostProfile` names lie. Raises ConfigError, NoSuchUser.
    """
    shared, own = pod["spec"].get("securityContext") or {}, container.get("securityContext") or {}
    user = find(_user(shared, own, image_user))
    if _setting(shared, own, "runAsNonRoot"):
        _check_non_root(container, user, image_user)
    group = _setting(shared, own, "runAsGroup")
    privileged = bool(own.get("privileged"))
    capabilities = _capabilities(own.get("capabilities") or {}, available)
    escalates = own.get("allowPrivilegeEscalation", True) or privileged or "CAP_SYS_ADMIN" in capabilities
    return Security(
        uid=user.uid,
        gid=user.gid if group is None else int(group),
        groups=_groups(shared, user),
        capabilities=tuple(sorted(available)) if privileged else capabilities,
        privileged=privileged,
        read_only_root=bool(own.get("readOnlyRootFilesystem")),
        no_new_privileges=not escalates,
        seccomp="Unconfined" if privileged else _seccomp(_setting(shared, own, "seccompProfile"), profiles),
        unmasked_proc=own.get("procMount") == "Unmasked",
    ), user


def _setting(shared: Mapping[str, Any], own: Mapping[str, Any], name: str) -> Any:
    """The container's word goes before the pod's."""
    return own[name] if own.get(name) is not None else shared.get(name)


def _user(shared: Mapping[str, Any], own: Mapping[str, Any], image_user: str) -> str:
    number = _setting(shared, own, "runAsUser")
    return str(number) if number is not None else image_user


def _check_non_root(container: Object, user: User, image_user: str) -> None:
    if user.uid == 0:
        raise ConfigError(
            f"container {container['name']} has runAsNonRoot and would run as root: set securityContext.runAsUser to "
            "another user, or give the image one"
        )
    if not user.is_numeric:
        raise ConfigError(
            f"container {container['name']} has runAsNonRoot and image has non-numeric user ({image_user}), cannot "
            "verify user is non-root: set securityContext.runAsUser"
        )


def _groups(shared: Mapping[str, Any], user: User) -> tuple[int, ...]:
    """KEP-3619: with the policy Strict the groups of the image do not count."""
    groups = list(shared.get("supplementalGroups") or [])
    if shared.get("fsGroup") is not None:
        groups.append(shared["fsGroup"])
    if shared.get("supplementalGroupsPolicy") != "Strict":
        groups += user.groups
    return tuple(dict.fromkeys(groups))


def _capabilities(wished: Mapping[str, Any], available: frozenset[str]) -> tuple[str, ...]:
    """Dropping wins over adding; adding wins over dropping ALL."""
    added, dropped = (set(map(_plain, wished.get(key) or [])) for key in ("add", "drop"))
    kept = set(available) if "ALL" in added else {f"CAP_{name}" for name in DEFAULT_CAPABILITIES}
    if "ALL" in dropped:
        kept = set()
    return tuple(sorted((kept | _prefixed(added - {"ALL"})) - _prefixed(dropped)))


def _prefixed(names: set[str]) -> set[str]:
    return {f"CAP_{name}" for name in names}


def _plain(name: str) -> str:
    return name.upper().removeprefix("CAP_")


def _seccomp(profile: Mapping[str, Any] | None, profiles: Path) -> str:
    kind = (profile or {}).get("type", "RuntimeDefault")
    if kind == "Localhost":
        name = (profile or {}).get("localhostProfile") or ""
        path = profiles / name
        if not name or ".." in path.parts or name.startswith("/") or not path.is_file():
            raise ConfigError(f"seccompProfile.localhostProfile {name!r}: no such file below {profiles}")
        return str(path)
    return str(kind)
