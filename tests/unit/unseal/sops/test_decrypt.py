"""Files that sops 3.13 encrypted (data/) decrypt to what `sops decrypt` prints; changed ones do not decrypt at all."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import orjson
import pyrage
import pytest

from seatrial.unseal.sops.decrypt import decrypt
from seatrial.unseal.sops.errors import SopsFailed

DATA = Path(__file__).parent / "data"
KEY = (DATA / "age.agekey").read_text().strip()
SECRET = {
    "password": "hunter2-canary",
    "number": 42,
    "float": 1.5,
    "big": 1e21,
    "small": 0.000001,
    "flag": True,
    "off": "no",
    "empty": "",
    "nothing": None,
    "octal": 493,
    "date": "2026-01-02T00:00:00Z",
    "multi": "line one\nline two\n",
    "list": ["a", {"b": "c", "d": 7}],
    "ünïcode": "ß → 日本",
}


def read(name: str) -> bytes:
    return (DATA / name).read_bytes()


def documents(name: str) -> list[Any]:
    return [orjson.loads(part) for part in decrypt(read(name), name, [KEY]).split(b"\n---\n")]


@pytest.mark.parametrize("name", ["all.yaml", "regex.yaml", "maconly.yaml", "suffix.yaml"])
def test_each_way_to_choose_what_is_encrypted(name: str) -> None:
    secret, config_map = documents(name)
    assert secret["stringData"] == SECRET
    assert secret["metadata"] == {"name": "x", "annotations": {"count": "5", "note_unencrypted": "hi"}}
    assert config_map == {"kind": "ConfigMap", "data": {"k": "v"}}


def test_plain_values_keep_their_types_and_count_for_the_checksum() -> None:
    (found,) = documents("plain_values.yaml")
    assert (found["secret_enc"], found["ds"], found["t"], found["n"], found["s"]) == (
        "canary",
        "2026-01-02",
        "yes",
        None,
        "1.50",
    )
    assert found["z"] == [1, 2, {"a": "b"}]


def test_json_dotenv_and_anything_else() -> None:
    assert documents("a.json")[0]["deep"] == {"er": {"value": "canary"}}
    assert decrypt(read("a.env"), "a.env", [KEY]) == b"A=1\nB=two words\nMULTI=a\\nb\n"
    assert decrypt(read("binary"), "binary", [KEY]) == b"binary \x00\x01\x02 canary"


@pytest.mark.parametrize("data", [b"", b"a: 1\n", b"sops: are fun\n", b"\x00\xff", b"text: ENC[AES256_GCM,\n"])
def test_other_files_are_left_as_they_are(data: bytes) -> None:
    assert decrypt(data, "x.yaml", [KEY]) == data


def test_a_file_for_somebody_else_names_its_recipient() -> None:
    stranger = str(pyrage.x25519.Identity.generate())
    with pytest.raises(SopsFailed, match=r"all.yaml: the file is encrypted for age1eq9.*none of the 1 age keys"):
        decrypt(read("all.yaml"), "all.yaml", [stranger])
    with pytest.raises(SopsFailed, match="none of the 0 age keys"):
        decrypt(read("all.yaml"), "all.yaml", [])


def test_a_changed_plain_value_is_found() -> None:
    with pytest.raises(SopsFailed, match="checksum"):
        decrypt(read("plain_values.yaml").replace(b"neg: -3", b"neg: -4"), "x.yaml", [KEY])


def test_a_removed_value_is_found() -> None:
    with pytest.raises(SopsFailed, match="checksum"):
        decrypt(re.sub(rb"\n    number: .*", b"", read("regex.yaml")), "x.yaml", [KEY])


def test_a_value_that_was_moved_does_not_decrypt() -> None:
    moved = read("regex.yaml").replace(b"    password:", b"    other:")
    with pytest.raises(SopsFailed, match="stringData:other: the value does not decrypt"):
        decrypt(moved, "x.yaml", [KEY])


def test_plaintext_where_ciphertext_belongs_is_refused() -> None:
    swapped = re.sub(rb"password: .*", b"password: injected", read("regex.yaml"))
    with pytest.raises(SopsFailed, match="stringData:password: the value is not encrypted"):
        decrypt(swapped, "x.yaml", [KEY])


@pytest.mark.parametrize("field", [b"mac", b"lastmodified"])
def test_a_file_without_its_checksum_is_refused(field: bytes) -> None:
    with pytest.raises(SopsFailed, match="nothing shows that the file is whole"):
        decrypt(re.sub(rb"\n    " + field + rb": .*", b"", read("all.yaml")), "x.yaml", [KEY])


def test_keys_other_than_age_are_named() -> None:
    data = read("all.yaml").replace(b"    age:", b"    kms:")
    with pytest.raises(SopsFailed, match="by kms: only age recipients are supported"):
        decrypt(data, "x.yaml", [KEY])


def test_no_error_tells_a_value() -> None:
    for broken in (b"]", b"sops: [", read("all.yaml")[:-200], read("all.yaml").replace(b"iv:", b"vi:")):
        with pytest.raises(SopsFailed) as failed:
            decrypt(b"x: ENC[AES256_GCM,\nsops:\n" + broken, "x.yaml", [KEY])
        assert "canary" not in str(failed.value) and KEY not in str(failed.value)


def test_a_bomb_of_aliases_is_refused() -> None:
    levels = [b"a0: &a0 [x,x,x,x,x,x,x,x,x,x]"]
    levels += [b"a%d: &a%d [%s]" % (n, n, b",".join([b"*a%d" % (n - 1)] * 10)) for n in range(1, 12)]
    data = b"\n".join(levels) + b"\nsops:\n  mac: ENC[AES256_GCM,\n"
    with pytest.raises(SopsFailed, match="more than 100000 values"):
        decrypt(data, "x.yaml", [KEY])
