"""A small API, served on a loopback port, that keeps to its three descriptions — or has the bugs it is told to have."""

from __future__ import annotations

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qsl, unquote, urlsplit

HERE = Path(__file__).parent
DESCRIPTIONS = {kind: HERE / kind for kind in ("openapi31.yaml", "openapi30.yaml", "swagger2.json")}
CREDENTIALS = {"key": "the-right-key", "token": "the-right-token"}
STATUSES = ("available", "reserved", "sold")
BUGS = {
    "500 at the greatest quantity": "a boundary crashes it",
    "500 at a malformed body": "an error that nobody handles",
    "500 at an id that is no number": "an error that nobody handles",
    "required field not required": "accepts what is invalid",
    "nested required field not required": "accepts what is invalid",
    "200 instead of 201": "another status than described",
    "price as text": "a body against its schema",
    "no id in the list": "a required field missing in the answer",
    "no authentication": "the credential is not looked at",
    "any credential will do": "the credential is not compared",
    "token not compared": "the credential is not compared",
    "limit 100 refused": "an off-by-one error",
    "limit 101 accepted": "an off-by-one error",
    "name of 40 refused": "an off-by-one error",
    "name of 1 accepted": "a length unchecked",
    "long name accepted": "a length unchecked",
    "quantity of any type": "a type unchecked",
    "status of any value": "an enumeration unchecked in the body",
    "status filter of any value": "an enumeration unchecked in the query",
    "sku of any form": "a pattern unchecked in the body",
    "group of any form": "a pattern unchecked in a header",
    "extra property accepted": "what is not described is accepted",
    "price 0 accepted": "an exclusive bound taken as inclusive",
    "same tag twice": "uniqueness unchecked",
    "too many tags": "a count unchecked",
    "null note refused": "null refused where it is allowed",
    "HTML instead of JSON": "another content type than described",
    "health is down": "a valid request fails",
    "refusal in another form": "an error's body against its schema",
}


class Refused(Exception):
    def __init__(self, status: int, detail: str) -> None:
        self.status, self.detail = status, detail


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # an answer in one piece: in two, the second waits for the client's acknowledgement of the first
    bugs: ClassVar[frozenset[str]] = frozenset()

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        self._serve()

    do_POST = do_DELETE = do_PUT = do_GET  # noqa: N815

    def _serve(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        self.body = self.rfile.read(length)
        url = urlsplit(self.path)
        self.query = dict(parse_qsl(url.query, keep_blank_values=True))
        try:
            status, value = self._route(url.path.removeprefix("/v1"))
        except Refused as refused:
            field = "message" if "refusal in another form" in self.bugs else "detail"
            status, value = refused.status, {field: refused.detail}
        except Exception:
            status, value = 500, {"detail": "internal error"}
        self._answer(status, value)

    def _answer(self, status: int, value: Any) -> None:
        content = b"" if value is None else json.dumps(value).encode()
        kind = "text/html" if "HTML instead of JSON" in self.bugs and status == 200 else "application/json"
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        if content:
            self.send_header("Content-Type", kind)
        self.end_headers()
        self.wfile.write(content)

    def _route(self, path: str) -> tuple[int, Any]:
        parts = [unquote(part) for part in path.strip("/").split("/")]
        match self.command, parts:
            case "GET", ["health"]:
                return (503 if "health is down" in self.bugs else 200), {"status": "ok"}
            case "GET", ["items"]:
                return self._list()
            case "POST", ["items"]:
                return self._create()
            case "GET", ["items", name]:
                return self._get(name)
            case "DELETE", ["drafts", name]:
                self._check_token()
                if len(name) > 30:
                    raise Refused(404, "no draft has a name as long")
                raise Refused(404, "no such draft")
        raise Refused(404, "no such path")

    def _item(self) -> dict[str, Any]:
        price = "9.50" if "price as text" in self.bugs else 9.5
        return {"id": 1, "name": "lamp", "sku": "LMP-0001", "price": price, "status": "available"}

    def _list(self) -> tuple[int, Any]:
        limit = self.query.get("limit", "20")
        highest = 99 if "limit 100 refused" in self.bugs else 101 if "limit 101 accepted" in self.bugs else 100
        if not re.fullmatch(r"-?\d+", limit) or not 1 <= int(limit) <= highest:
            raise Refused(400, "limit: 1 to 100")
        status = self.query.get("status", "sold")
        if status not in STATUSES and "status filter of any value" not in self.bugs:
            raise Refused(400, "status: unknown")
        group = self.headers.get("X-Request-Group", "some")
        if not re.fullmatch("[a-z]{2,8}", group) and "group of any form" not in self.bugs:
            raise Refused(400, "X-Request-Group: two to eight letters")
        item = self._item()
        if "no id in the list" in self.bugs:
            del item["id"]
        return 200, [item]

    def _get(self, name: str) -> tuple[int, Any]:
        if "500 at an id that is no number" not in self.bugs and not re.fullmatch(r"-?\d+", name):
            raise Refused(400, "id: a number")
        if int(name) < 1:
            raise Refused(400, "id: at least 1")
        if int(name) != 1:
            raise Refused(404, "no such item")
        return 200, self._item()

    def _check_token(self) -> None:
        given = self.headers.get("Authorization", "")
        if given != f"Bearer {CREDENTIALS['token']}" and not (given and "token not compared" in self.bugs):
            raise Refused(401, "a token is needed")

    def _create(self) -> tuple[int, Any]:
        key = self.headers.get("X-Api-Key")
        accepted = key == CREDENTIALS["key"] or (key and "any credential will do" in self.bugs)
        if not accepted and "no authentication" not in self.bugs:
            raise Refused(401, "a key is needed")
        try:
            new = json.loads(self.body)
        except ValueError:
            if "500 at a malformed body" in self.bugs:
                raise
            raise Refused(400, "not JSON") from None
        if not isinstance(new, dict):
            raise Refused(400, "an object was expected")
        Checker(new, self.bugs).check()
        status = 200 if "200 instead of 201" in self.bugs else 201
        return status, {"id": 2, "name": str(new["name"]), "price": 9.5}


class Checker:
    """Is it a NewItem?"""

    def __init__(self, new: dict[str, Any], bugs: frozenset[str]) -> None:
        self._new, self._bugs = new, bugs

    def check(self) -> None:
        known = {"name", "sku", "price", "quantity", "status", "tags", "note", "size"}
        self._need(not self._new.keys() - known or "extra property accepted" in self._bugs, "unknown property")
        self._need("name" in self._new and "price" in self._new, "name and price are required")
        self._need("sku" in self._new or "required field not required" in self._bugs, "sku is required")
        for name, value in self._new.items():
            if name in known:
                getattr(self, f"_{name}")(value)

    def _need(self, condition: bool, detail: str) -> None:
        if not condition:
            raise Refused(400, detail)

    def _name(self, value: Any) -> None:
        self._need(isinstance(value, str), "name: text")
        least = 1 if "name of 1 accepted" in self._bugs else 2
        most = 39 if "name of 40 refused" in self._bugs else 10**9 if "long name accepted" in self._bugs else 40
        self._need(least <= len(value) <= most, "name: 2 to 40 characters")

    def _sku(self, value: Any) -> None:
        self._need(isinstance(value, str), "sku: text")
        fits = re.fullmatch(r"[A-Z]{3}-[0-9]{4}", value) or "sku of any form" in self._bugs
        self._need(bool(fits), "sku: like ABC-1234")

    def _price(self, value: Any) -> None:
        self._need(isinstance(value, (int, float)) and not isinstance(value, bool), "price: a number")
        enough = value > 0 or (value == 0 and "price 0 accepted" in self._bugs)
        self._need(enough and value <= 10000, "price: above 0, at most 10000")

    def _quantity(self, value: Any) -> None:
        if "quantity of any type" in self._bugs and not isinstance(value, int):
            return
        self._need(isinstance(value, int) and not isinstance(value, bool), "quantity: an integer")
        self._need(0 <= value <= 1000, "quantity: 0 to 1000")
        if value == 1000 and "500 at the greatest quantity" in self._bugs:
            raise ZeroDivisionError

    def _status(self, value: Any) -> None:
        known = isinstance(value, str) and (value in STATUSES or "status of any value" in self._bugs)
        self._need(known, "status: unknown")

    def _tags(self, value: Any) -> None:
        self._need(isinstance(value, list), "tags: a list")
        self._need(all(isinstance(tag, str) and 1 <= len(tag) <= 10 for tag in value), "tags: 1 to 10 characters each")
        self._need(len(value) <= 4 or "too many tags" in self._bugs, "tags: at most 4")
        self._need(len(set(value)) == len(value) or "same tag twice" in self._bugs, "tags: all different")

    def _note(self, value: Any) -> None:
        if value is None and "null note refused" not in self._bugs and "no null" not in self._bugs:
            return
        self._need(isinstance(value, str) and len(value) <= 200, "note: text of at most 200 characters")

    def _size(self, value: Any) -> None:
        self._need(isinstance(value, dict) and not value.keys() - {"width", "height"}, "size: width and height")
        self._need("width" in value or "nested required field not required" in self._bugs, "size: width is required")
        for number in value.values():
            whole = isinstance(number, int) and not isinstance(number, bool)
            self._need(whole and number >= 1, "size: integers above 0")


class SampleApi:
    """`with SampleApi({"a bug"}) as api: api.url`"""

    def __init__(self, bugs: set[str] | None = None) -> None:
        if unknown := (bugs or set()) - BUGS.keys() - {"no null"}:
            raise ValueError(f"there is no bug {unknown}")
        handler = type("Handler", (_Handler,), {"bugs": frozenset(bugs or ())})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1"

    def __enter__(self) -> SampleApi:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
