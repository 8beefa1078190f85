"""Write the tag that CI has built into the chart's values, commit and push; the rest of the file keeps every byte.

    python ci/bump_values.py --tag COMMIT [--values FILE] [--key PATH]... [--branch main]

Where the branch has moved meanwhile, the change is made anew on top of it. A tag is a commit: one that is older than
what the values name already changes nothing. Exit code 0: pushed, or nothing to do; 1: it cannot be done; 2: usage.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from pathlib import Path

import yaml

TRIES = 5
KEYS = ("image.web.tag", "image.consumer.tag")
COMMIT = re.compile(r"[0-9a-f]{40}")
NUMBER = re.compile(r"[0-9][0-9_.]*([eE][-+]?[0-9]+)?|0[xob][0-9a-fA-F_]+")


class CannotBump(Exception):
    pass


def scalar(text: str, key: str) -> yaml.ScalarNode:
    """The node that a dotted key names. Raises CannotBump."""
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        raise CannotBump(f"the values are no YAML: {error}") from error
    for part in key.split("."):
        found = None
        if isinstance(node, yaml.MappingNode):
            found = next((value for name, value in node.value if name.value == part), None)
        if found is None:
            raise CannotBump(f"the values have no {key}")
        node = found
    if not isinstance(node, yaml.ScalarNode):
        raise CannotBump(f"{key} is no plain value")
    return node


def replaced(text: str, key: str, value: str) -> str:
    """The same text with another value for `key`: its quotes, comments and order stay."""
    node = scalar(text, key)
    start, end = node.start_mark.index, node.end_mark.index
    quote = node.style if node.style in ("'", '"') else '"' if looks_like_a_number(value) else ""
    return f"{text[:start]}{quote}{value}{quote}{text[end:]}"


def looks_like_a_number(value: str) -> bool:
    """A commit such as 1234567e89... must not become one: Helm's YAML reads more numbers than this one's."""
    return NUMBER.fullmatch(value) is not None or not isinstance(yaml.safe_load(value), str)


def git(*arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
    if check and done.returncode:
        raise CannotBump(f"git {' '.join(arguments)} failed: {done.stderr.strip()[:500]}")
    return done


def is_older(tag: str, present: str) -> bool:
    """Whether `present` names a commit that already contains `tag`."""
    if tag == present or not (COMMIT.fullmatch(tag) and COMMIT.fullmatch(present)):
        return False
    return git("merge-base", "--is-ancestor", tag, present, check=False).returncode == 0


def bump(values: Path, keys: tuple[str, ...], tag: str) -> bool:
    """Whether the file changed."""
    text = before = values.read_bytes().decode()
    for key in keys:
        present = scalar(text, key).value
        if present == tag:
            continue
        if is_older(tag, present):
            print(f"{key}: {present[:12]} is newer than {tag[:12]}, left alone")
            continue
        text = replaced(text, key, tag)
    if text == before:
        return False
    values.write_bytes(text.encode())
    return True


def promote(values: Path, keys: tuple[str, ...], tag: str, branch: str) -> None:
    for _ in range(TRIES):
        git("fetch", "--quiet", "origin", branch)
        git("checkout", "--quiet", "--force", "--detach", "FETCH_HEAD")
        if not bump(values, keys, tag):
            print("the values are as they should be: nothing to do")
            return
        git("add", "--", str(values))
        git("commit", "--quiet", "-m", f"Release {tag[:12]} [skip ci]")
        pushed = git("push", "--quiet", "origin", f"HEAD:refs/heads/{branch}", check=False)
        if pushed.returncode == 0:
            print(f"{values}: {tag}")
            return
        print(f"{branch} has moved, once more: {pushed.stderr.strip()[:200]}")
    raise CannotBump(f"{branch} moved {TRIES} times while its values were changed: run this again")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tag", required=True)
    parser.add_argument("--values", type=Path, default=Path("helm/ai-testops/values.yaml"))
    parser.add_argument("--key", action="append", dest="keys")
    parser.add_argument("--branch", default="main")
    options = parser.parse_args()
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}", options.tag):
        parser.error(f"--tag {options.tag!r} is no image tag")
    if not git("config", "user.email", check=False).stdout.strip():
        git("config", "user.name", "github-actions[bot]")
        git("config", "user.email", "41898282+github-actions[bot]@users.noreply.github.com")
    try:
        promote(options.values, tuple(options.keys or KEYS), options.tag, options.branch)
    except (CannotBump, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
