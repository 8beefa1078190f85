"""The tag in the values: the rest keeps every byte, a moved branch is no loss, nothing loops."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).resolve().parents[2] / "ci" / "bump_values.py"
VALUES = """\
# The chart's values.
image:
  web:
    repository: shop/web   # of the registry
    tag: "1"
  consumer: {repository: shop/consumer, tag: '1'}

other: [a,   b]  # as it is
"""

spec = importlib.util.spec_from_file_location("bump_values", PROGRAM)
bump_values = importlib.util.module_from_spec(spec)
spec.loader.exec_module(bump_values)


def git(directory, *arguments):
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "init.defaultBranch=main"]
    done = subprocess.run(["git", *identity, *arguments], cwd=directory, check=True, capture_output=True, text=True)
    return done.stdout.strip()


class Repository:
    def __init__(self, directory):
        self.origin, self.work = directory / "origin.git", directory / "work"
        git(directory, "init", "-q", "--bare", str(self.origin))
        git(directory, "clone", "-q", str(self.origin), str(self.work))
        self.commit("values.yaml", VALUES)

    def commit(self, name, text):
        (self.work / name).write_text(text)
        git(self.work, "add", "-A")
        git(self.work, "commit", "-qm", "change")
        git(self.work, "push", "-q", "origin", "HEAD:main")
        return git(self.work, "rev-parse", "HEAD")

    def bump(self, tag, *more):
        command = [sys.executable, str(PROGRAM), "--tag", tag, "--values", "values.yaml", *more]
        return subprocess.run(command, cwd=self.work, capture_output=True, text=True, timeout=60)

    def values(self):
        return git(self.origin, "show", "main:values.yaml") + "\n"

    def commits(self):
        return int(git(self.origin, "rev-list", "--count", "main"))


@pytest.fixture
def repository(tmp_path):
    return Repository(tmp_path)


def test_both_tags_change_and_nothing_else(repository):
    done = repository.bump("abc123")
    assert done.returncode == 0, done.stderr
    assert repository.values() == VALUES.replace('"1"', '"abc123"').replace("'1'", "'abc123'")
    assert "[skip ci]" in git(repository.origin, "log", "-1", "--format=%s", "main")


def test_the_same_tag_again_makes_no_commit(repository):
    repository.bump("abc123")
    before = repository.commits()
    done = repository.bump("abc123")
    assert (done.returncode, repository.commits()) == (0, before)
    assert "nothing to do" in done.stdout


def test_a_tag_that_looks_like_a_number_stays_text(repository):
    repository.commit("values.yaml", VALUES.replace('"1"', "one").replace("'1'", "one"))
    assert repository.bump("1234567e8").returncode == 0
    assert 'tag: "1234567e8"' in repository.values()


def test_an_older_commit_does_not_replace_a_newer_one(repository):
    older, newer = repository.commit("a", "1"), repository.commit("a", "2")
    repository.bump(newer)
    done = repository.bump(older)
    assert done.returncode == 0 and "is newer than" in done.stdout
    assert newer in repository.values() and older not in repository.values()


def test_a_branch_that_has_moved_is_taken_as_it_is_now(repository, tmp_path):
    """Somebody pushes between our look at the branch and our push: the first push is refused, the second goes."""
    other = tmp_path / "other"
    git(tmp_path, "clone", "-q", str(repository.origin), str(other))
    hook = repository.work / ".git" / "hooks" / "pre-push"
    hook.write_text(
        f"#!/bin/sh\ntest -e {tmp_path}/once && exit 0\ntouch {tmp_path}/once\ncd {other} && echo b > b\n"
        "git add b && git -c user.name=o -c user.email=o@e.org commit -qm theirs && git push -q origin HEAD:main\n"
    )
    hook.chmod(0o755)
    done = repository.bump("abc123")
    assert done.returncode == 0 and "has moved" in done.stdout
    assert "abc123" in repository.values() and git(repository.origin, "show", "main:b") == "b"


def test_values_without_the_key_are_an_error_that_names_it(repository):
    done = repository.bump("abc123", "--key", "image.other.tag")
    assert done.returncode == 1
    assert done.stderr == "error: the values have no image.other.tag\n"
    repository.commit("values.yaml", "image: [")
    done = repository.bump("abc123")
    assert done.returncode == 1 and "no YAML" in done.stderr and "Traceback" not in done.stderr


def test_a_tag_that_no_registry_takes_is_refused(repository):
    assert repository.bump("a b").returncode == 2


@pytest.mark.parametrize("value", ["1", "true", "1.5", "1e3", "null", "0123"])
def test_what_yaml_would_read_as_something_else_is_quoted(value):
    changed = bump_values.replaced("tag: x  # kept\n", "tag", value)
    assert bump_values.yaml.safe_load(changed) == {"tag": value}
    assert changed.endswith("  # kept\n")
