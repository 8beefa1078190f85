"""Events as the servers send them: believed only with the right secret, and read into pushes."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
from typing import Any
from urllib.parse import urlencode

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seatrial.gitops.api.settings import WebhookSecrets
from seatrial.gitops.webhook import senders
from seatrial.gitops.webhook.push import Push, WebhookRefused, WebhookUnproven

_SECRETS = WebhookSecrets(
    github="gh", gitlab="gl", gitea="gt", bitbucket_uuid="{0b1c-2d}", bitbucket_server="bs"
)  # fmt: skip
_OLD, _NEW = "a" * 40, "b" * 40

_CLASSIC = {
    "ref": "refs/heads/main",
    "before": _OLD,
    "after": _NEW,
    "repository": {
        "html_url": "https://git.example.com/acme/shop",
        "clone_url": "https://git.example.com/acme/shop.git",
        "ssh_url": "git@git.example.com:acme/shop.git",
        "default_branch": "main",
    },
    "commits": [{"added": ["a.yaml"], "modified": ["b.yaml"], "removed": []}, {"added": [], "removed": ["c.yaml"]}],
}
_GITLAB = {
    "object_kind": "push",
    "ref": "refs/heads/side",
    "before": "0" * 40,
    "after": _NEW,
    "project": {
        "web_url": "https://gitlab.example.com/acme/shop",
        "git_http_url": "https://gitlab.example.com/acme/shop.git",
        "git_ssh_url": "git@gitlab.example.com:acme/shop.git",
        "default_branch": "main",
    },
    "commits": [{"added": [], "modified": ["x.yaml"], "removed": []}],
    "total_commits_count": 3,
}
_BITBUCKET = {
    "repository": {"links": {"html": {"href": "https://bitbucket.org/acme/shop"}}},
    "push": {
        "changes": [
            {"new": {"type": "branch", "name": "main", "target": {"hash": _NEW}}, "old": None},
            {"new": None, "old": {"type": "tag", "name": "v1", "target": {"hash": _OLD}}},
        ]
    },
}
_BITBUCKET_SERVER = {
    "repository": {
        "links": {
            "clone": [
                {"name": "http", "href": "https://bb.example.com/scm/acme/shop.git"},
                {"name": "ssh", "href": "ssh://git@bb.example.com:7999/acme/shop.git"},
            ]
        }
    },
    "changes": [
        {"ref": {"id": "refs/heads/main"}, "fromHash": _OLD, "toHash": _NEW},
        {"ref": {"id": "refs/tags/v2"}, "fromHash": "0" * 40, "toHash": _NEW},
    ],
}


def _hmac(secret: str, body: bytes) -> str:
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def _request(sender: str, payload: Any) -> tuple[dict[str, str], bytes]:
    body = orjson.dumps(payload)
    headers = {
        "github": {"X-GitHub-Event": "push", "X-Hub-Signature-256": f"sha256={_hmac('gh', body)}"},
        "gitea": {
            "X-Gitea-Event": "push", "X-Gogs-Event": "push", "X-GitHub-Event": "push",
            "X-Gitea-Signature": _hmac("gt", body),
        },
        "forgejo": {"X-Forgejo-Event": "push", "X-GitHub-Event": "push", "X-Forgejo-Signature": _hmac("gt", body)},
        "gogs": {"X-Gogs-Event": "push", "X-GitHub-Event": "push", "X-Gogs-Signature": _hmac("gt", body)},
        "gitlab": {"X-Gitlab-Event": "Push Hook", "X-Gitlab-Token": "gl"},
        "bitbucket": {"X-Event-Key": "repo:push", "X-Hook-UUID": "0B1C-2D"},
        "bitbucket-server": {
            "X-Event-Key": "repo:refs_changed", "X-Hub-Signature": f"sha256={_hmac('bs', body)}",
        },
    }[sender]  # fmt: skip
    return headers, body


_PAYLOADS: dict[str, dict[str, Any]] = {
    "github": _CLASSIC, "gitea": _CLASSIC, "forgejo": _CLASSIC, "gogs": _CLASSIC, "gitlab": _GITLAB,
    "bitbucket": _BITBUCKET, "bitbucket-server": _BITBUCKET_SERVER,
}  # fmt: skip


@pytest.mark.parametrize("sender", ["github", "gitea", "forgejo", "gogs"])
def test_the_form_of_github_is_read(sender: str) -> None:
    assert senders.parse(*_request(sender, _CLASSIC), _SECRETS) == (
        Push(
            urls=(
                "https://git.example.com/acme/shop",
                "https://git.example.com/acme/shop.git",
                "git@git.example.com:acme/shop.git",
            ),
            ref="refs/heads/main",
            before=_OLD,
            after=_NEW,
            touches_head=True,
            files=frozenset({"a.yaml", "b.yaml", "c.yaml"}),
        ),
    )


def test_gitlab_is_read_and_does_not_name_all_files() -> None:
    (push,) = senders.parse(*_request("gitlab", _GITLAB), _SECRETS)
    assert push.urls[0] == "https://gitlab.example.com/acme/shop"
    assert (push.ref, push.before, push.after) == ("refs/heads/side", "", _NEW)
    assert (push.touches_head, push.files) == (False, None)


def test_every_change_of_bitbucket_is_a_push() -> None:
    branch, tag = senders.parse(*_request("bitbucket", _BITBUCKET), _SECRETS)
    assert (branch.ref, branch.before, branch.after) == ("refs/heads/main", "", _NEW)
    assert (tag.ref, tag.before, tag.after) == ("refs/tags/v1", _OLD, "")


def test_every_change_of_bitbucket_server_is_a_push() -> None:
    branch, tag = senders.parse(*_request("bitbucket-server", _BITBUCKET_SERVER), _SECRETS)
    assert branch.urls == ("https://bb.example.com/scm/acme/shop.git", "ssh://git@bb.example.com:7999/acme/shop.git")
    assert (branch.ref, tag.ref, tag.before) == ("refs/heads/main", "refs/tags/v2", "")


@pytest.mark.parametrize("sender", sorted(_PAYLOADS))
def test_a_wrong_or_missing_secret_is_refused(sender: str) -> None:
    other = WebhookSecrets(github="x", gitlab="x", gitea="x", bitbucket_uuid="x", bitbucket_server="x")
    headers, body = _request(sender, _PAYLOADS[sender])
    with pytest.raises(WebhookUnproven):
        senders.parse(headers, body, other)
    unsigned = {name: value for name, value in headers.items() if "Signature" not in name and "Token" not in name}
    if unsigned != headers:
        with pytest.raises(WebhookUnproven):
            senders.parse(unsigned, body, _SECRETS)


@pytest.mark.parametrize("sender", sorted(_PAYLOADS))
def test_without_a_configured_secret_events_are_believed(sender: str) -> None:
    assert senders.parse(*_request(sender, _PAYLOADS[sender]), WebhookSecrets())


def test_a_changed_body_breaks_the_signature() -> None:
    headers, body = _request("github", _CLASSIC)
    with pytest.raises(WebhookUnproven):
        senders.parse(headers, body.replace(b"main", b"evil"), _SECRETS)


def test_a_secret_that_is_not_text_is_wrong_and_no_crash() -> None:
    headers, body = _request("gitlab", _GITLAB)
    with pytest.raises(WebhookUnproven):
        senders.parse({**headers, "X-Gitlab-Token": "\udcff"}, body, _SECRETS)


def test_a_form_is_read() -> None:
    body = urlencode({"payload": orjson.dumps(_CLASSIC).decode()}).encode()
    headers = {
        "X-GitHub-Event": "push",
        "X-Hub-Signature-256": f"sha256={_hmac('gh', body)}",
        "Content-Type": "application/x-www-form-urlencoded",
    }
    assert senders.parse(headers, body, _SECRETS)[0].ref == "refs/heads/main"


@pytest.mark.parametrize(
    "headers",
    [{"X-GitHub-Event": "ping"}, {"X-Event-Key": "diagnostics:ping"}, {"X-Gitea-Event": "issues"}],
)
def test_other_events_are_nothing(headers: dict[str, str]) -> None:
    assert senders.parse(headers, b"{}", WebhookSecrets()) == ()


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({}, b"{}"),
        ({"X-GitHub-Event": "push"}, b"not json"),
        ({"X-GitHub-Event": "push"}, b"[]"),
        ({"X-GitHub-Event": "push"}, b"{}"),
        ({"X-GitHub-Event": "push"}, b'{"repository": {}, "ref": 7}'),
        ({"X-Gitlab-Event": "Push Hook"}, b'{"object_kind": "push"}'),
        ({"X-Event-Key": "repo:push", "X-Hook-UUID": "1"}, b'{"repository": {"links": []}}'),
        ({"X-Event-Key": "repo:refs_changed"}, b'{"repository": {"links": 1}}'),
    ],
)
def test_malformed_events_are_refused(headers: dict[str, str], body: bytes) -> None:
    with pytest.raises(WebhookRefused):
        senders.parse(headers, body, WebhookSecrets())


_KEYS = st.sampled_from(
    ["ref", "repository", "project", "commits", "push", "changes", "new", "old", "links", "clone", "html", "added"]
)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=4),
    max_leaves=12,
)


@given(st.sampled_from(sorted(_PAYLOADS)), st.dictionaries(_KEYS, _JSON))
def test_any_payload_is_read_or_refused(sender: str, extra: dict[str, Any]) -> None:
    headers, body = _request(sender, {**_PAYLOADS[sender], **extra})
    with contextlib.suppress(WebhookRefused):
        senders.parse(headers, body, WebhookSecrets())
