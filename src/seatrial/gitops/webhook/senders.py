"""Senders: how each Git server signs and words a push. Pure: headers and bytes in, pushes out.

A sender whose secret is not configured is believed unsigned, as in Argo CD: an event only makes us look, and what is
found is what Git says. With a secret, an event without the right signature is refused.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import parse_qs

import orjson

from seatrial.gitops.webhook.push import (
    Push,
    WebhookRefused,
    WebhookUnproven,
    changed_files,
    commit_id,
    full_ref,
    mapping,
    texts,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from seatrial.gitops.api.settings import WebhookSecrets

LARGEST_PAYLOAD = 50 << 20


class Sender(Protocol):
    name: str

    def is_from(self, headers: Mapping[str, str]) -> bool: ...

    def prove(self, headers: Mapping[str, str], body: bytes, secrets: WebhookSecrets) -> None:
        """Raises WebhookUnproven."""

    def pushes(self, headers: Mapping[str, str], payload: Mapping[str, Any]) -> tuple[Push, ...]:
        """None of them for an event of another kind. Raises WebhookRefused."""


def parse(headers: Mapping[str, str], body: bytes, secrets: WebhookSecrets) -> tuple[Push, ...]:
    """What was pushed; nothing for a ping or an event of another kind. Raises WebhookRefused, WebhookUnproven."""
    lowered = {name.lower(): value for name, value in headers.items()}
    if len(body) > LARGEST_PAYLOAD:
        raise WebhookRefused(f"the payload is larger than {LARGEST_PAYLOAD >> 20} MiB")
    sender = next((one for one in SENDERS if one.is_from(lowered)), None)
    if sender is None:
        raise WebhookRefused("unknown sender: expected an event of GitHub, GitLab, Gitea, Forgejo, Gogs or Bitbucket")
    sender.prove(lowered, body, secrets)  # before anything of the body is believed, or even parsed
    return sender.pushes(lowered, _payload(lowered, body))


def _payload(headers: Mapping[str, str], body: bytes) -> Mapping[str, Any]:
    if headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        try:
            body = parse_qs(body.decode(), max_num_fields=10)["payload"][0].encode()
        except (UnicodeDecodeError, ValueError, KeyError):
            raise WebhookRefused("the payload: expected a form with the field `payload`") from None
    try:
        loaded = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise WebhookRefused("the payload: expected JSON") from None
    return mapping(loaded, "(all of it)")


def _check_signature(name: str, secret: str, body: bytes, given: str) -> None:
    """HMAC-SHA-256 in hex, in constant time."""
    expected = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    if not hmac.compare_digest(expected.encode(), given.strip().lower().encode(errors="surrogateescape")):
        raise WebhookUnproven(f"{name}: the signature is missing or wrong: give the webhook the configured secret")


class _GitHub:
    name = "GitHub"

    def is_from(self, headers: Mapping[str, str]) -> bool:
        return "x-github-event" in headers

    def prove(self, headers: Mapping[str, str], body: bytes, secrets: WebhookSecrets) -> None:
        if secrets.github:
            given = headers.get("x-hub-signature-256", "")
            _check_signature(self.name, secrets.github, body, given.removeprefix("sha256="))

    def pushes(self, headers: Mapping[str, str], payload: Mapping[str, Any]) -> tuple[Push, ...]:
        return (_classic(payload),) if headers["x-github-event"] == "push" else ()


class _Gitea:
    """Gitea, Forgejo and Gogs. They send GitHub's headers too, so they are looked for first."""

    name = "Gitea"
    _EVENTS = ("x-forgejo-event", "x-gitea-event", "x-gogs-event")
    _SIGNATURES = ("x-forgejo-signature", "x-gitea-signature", "x-gogs-signature")

    def is_from(self, headers: Mapping[str, str]) -> bool:
        return any(name in headers for name in self._EVENTS)

    def prove(self, headers: Mapping[str, str], body: bytes, secrets: WebhookSecrets) -> None:
        if secrets.gitea:
            given = next((headers[name] for name in self._SIGNATURES if name in headers), "")
            _check_signature(self.name, secrets.gitea, body, given)

    def pushes(self, headers: Mapping[str, str], payload: Mapping[str, Any]) -> tuple[Push, ...]:
        event = next(headers[name] for name in self._EVENTS if name in headers)
        return (_classic(payload),) if event == "push" else ()


class _GitLab:
    name = "GitLab"

    def is_from(self, headers: Mapping[str, str]) -> bool:
        return "x-gitlab-event" in headers

    def prove(self, headers: Mapping[str, str], body: bytes, secrets: WebhookSecrets) -> None:
        """A plain token; both are hashed first, so that not even their lengths are compared in the open."""
        if not secrets.gitlab:
            return
        given, wanted = headers.get("x-gitlab-token", ""), secrets.gitlab
        if not hmac.compare_digest(
            hashlib.sha256(given.encode(errors="surrogateescape")).digest(), hashlib.sha256(wanted.encode()).digest()
        ):
            raise WebhookUnproven("GitLab: the token is missing or wrong: give the webhook the configured secret")

    def pushes(self, headers: Mapping[str, str], payload: Mapping[str, Any]) -> tuple[Push, ...]:
        kind = payload.get("object_kind") or payload.get("event_name")
        if kind not in ("push", "tag_push"):
            return ()
        project = mapping(payload.get("project"), "project")
        ref = full_ref(payload.get("ref"))
        names = ("web_url", "git_http_url", "git_ssh_url", "http_url", "ssh_url", "url")
        return (
            Push(
                urls=texts(*(project.get(name) for name in names)),
                ref=ref,
                before=commit_id(payload.get("before")),
                after=commit_id(payload.get("after")),
                touches_head=_is_default(ref, project.get("default_branch")),
                files=changed_files(payload) if kind == "push" else None,
            ),
        )


class _BitbucketServer:
    name = "Bitbucket Server"

    def is_from(self, headers: Mapping[str, str]) -> bool:
        return "x-event-key" in headers and "x-hook-uuid" not in headers

    def prove(self, headers: Mapping[str, str], body: bytes, secrets: WebhookSecrets) -> None:
        if secrets.bitbucket_server:
            given = headers.get("x-hub-signature", "")
            _check_signature(self.name, secrets.bitbucket_server, body, given.removeprefix("sha256="))

    def pushes(self, headers: Mapping[str, str], payload: Mapping[str, Any]) -> tuple[Push, ...]:
        if headers["x-event-key"] != "repo:refs_changed":
            return ()
        links = mapping(payload.get("repository"), "repository").get("links")
        clones = links.get("clone") if isinstance(links, dict) else None
        if not isinstance(clones, list):
            raise WebhookRefused("the payload's `repository.links.clone`: expected a list")
        urls = texts(*(clone.get("href") for clone in clones if isinstance(clone, dict)))
        return tuple(
            Push(
                urls=urls,
                ref=full_ref(mapping(change.get("ref"), "changes[].ref").get("id")),
                before=commit_id(change.get("fromHash")),
                after=commit_id(change.get("toHash")),
                touches_head=True,  # it does not say which branch is the default one
            )
            for change in _changes(payload.get("changes"))
        )


class _Bitbucket:
    name = "Bitbucket"

    def is_from(self, headers: Mapping[str, str]) -> bool:
        return "x-hook-uuid" in headers

    def prove(self, headers: Mapping[str, str], body: bytes, secrets: WebhookSecrets) -> None:
        """The webhook's own id is all that Argo CD's settings hold for it."""
        wanted = secrets.bitbucket_uuid
        if wanted and not hmac.compare_digest(_bare(headers["x-hook-uuid"]), _bare(wanted)):
            raise WebhookUnproven("Bitbucket: X-Hook-UUID is not the configured webhook's")

    def pushes(self, headers: Mapping[str, str], payload: Mapping[str, Any]) -> tuple[Push, ...]:
        if headers.get("x-event-key") != "repo:push":
            return ()
        repository = mapping(payload.get("repository"), "repository")
        links = mapping(repository.get("links"), "repository.links")
        page = mapping(links.get("html"), "repository.links.html").get("href")
        changes = _changes(mapping(payload.get("push"), "push").get("changes"))
        return tuple(push for change in changes if (push := self._push(change, texts(page))) is not None)

    def _push(self, change: Mapping[str, Any], urls: tuple[str, ...]) -> Push | None:
        new, old = change.get("new") or {}, change.get("old") or {}
        named = mapping(new or old, "push.changes[]")
        name = named.get("name")
        if not isinstance(name, str) or not name:
            return None
        kind = "tags" if named.get("type") in ("tag", "annotated_tag") else "heads"
        before, after = (mapping(one, "push.changes[]").get("target") or {} for one in (old, new))
        return Push(
            urls, f"refs/{kind}/{name}", commit_id(before.get("hash")), commit_id(after.get("hash")), touches_head=True
        )


SENDERS: tuple[Sender, ...] = (_Gitea(), _GitHub(), _GitLab(), _Bitbucket(), _BitbucketServer())


def _classic(payload: Mapping[str, Any]) -> Push:
    """GitHub's form, which Gitea, Forgejo and Gogs share."""
    repository = mapping(payload.get("repository"), "repository")
    ref = full_ref(payload.get("ref"))
    return Push(
        urls=texts(*(repository.get(name) for name in ("html_url", "clone_url", "ssh_url"))),
        ref=ref,
        before=commit_id(payload.get("before")),
        after=commit_id(payload.get("after")),
        touches_head=_is_default(ref, repository.get("default_branch")),
        files=changed_files(payload),
    )


def _is_default(ref: str, default: Any) -> bool:
    """In doubt it is."""
    return not isinstance(default, str) or not default or ref == f"refs/heads/{default}"


def _changes(value: Any) -> list[Mapping[str, Any]]:
    if not isinstance(value, list) or not all(isinstance(change, dict) for change in value):
        raise WebhookRefused("the payload's `changes`: expected a list of objects")
    return value


def _bare(uuid: str) -> bytes:
    return uuid.strip().strip("{}").lower().encode(errors="surrogateescape")
