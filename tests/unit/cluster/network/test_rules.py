"""The least change between two states of a table, and the rules of a Service."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from seatrial.cluster.network.addresses import AddressPool
from seatrial.cluster.network.backends import Backend, choose
from seatrial.cluster.network.nft import Nft, RulesRefused
from seatrial.cluster.network.rules import Element, Fragment, Table
from seatrial.cluster.network.services import compile_service

if TYPE_CHECKING:
    from seatrial.kube.model.objects import Object


class _Nft:
    """Keeps what it is told, and refuses what holds a word."""

    def __init__(self, refuses: str = "") -> None:
        self.told: list[str] = []
        self._refuses = refuses

    async def run(self, commands: str) -> str:
        if self._refuses and self._refuses in commands:
            raise RulesRefused("no")
        self.told.append(commands)
        return ""


def _table(nft: _Nft) -> Table:
    return Table(cast("Nft", nft), "t", "")


def _fragment(chain: str, *elements: str) -> Fragment:
    return Fragment(chains={chain: ("accept",)}, elements=frozenset(Element("s", item) for item in elements))


async def test_only_what_differs_is_sent() -> None:
    nft = _Nft()
    table = _table(nft)
    await table.apply({"a": _fragment("ca", "1", "2")})
    await table.apply({"a": _fragment("ca", "2", "3")})
    assert nft.told[-1] == "delete element ip t s { 1 }\nadd element ip t s { 3 }"


async def test_nothing_is_sent_when_nothing_differs() -> None:
    nft = _Nft()
    table = _table(nft)
    await table.apply({"a": _fragment("ca", "1")})
    await table.apply({"a": _fragment("ca", "1")})
    assert len(nft.told) == 1


async def test_an_element_stays_as_long_as_one_fragment_has_it() -> None:
    nft = _Nft()
    table = _table(nft)
    await table.apply({"a": _fragment("ca", "1"), "b": _fragment("cb", "1")})
    await table.apply({"a": None})
    assert "delete element" not in nft.told[-1]
    await table.apply({"b": None})
    assert "delete element ip t s { 1 }" in nft.told[-1]


async def test_a_chain_is_freed_after_what_uses_it() -> None:
    nft = _Nft()
    table = _table(nft)
    await table.apply({"a": _fragment("ca", "1")})
    await table.apply({"a": None})
    lines = nft.told[-1].splitlines()
    assert lines == ["flush chain ip t ca", "delete element ip t s { 1 }", "delete chain ip t ca"]


async def test_one_refused_fragment_does_not_keep_the_others_out() -> None:
    nft = _Nft(refuses="bad")
    await _table(nft).apply({"x": _fragment("bad"), "y": _fragment("good")})
    assert any("add chain ip t good" in told for told in nft.told)


def _slice(*endpoints: dict[str, Any]) -> Object:
    return {
        "addressType": "IPv4",
        "endpoints": list(endpoints),
        "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
    }


def _endpoint(address: str, **conditions: bool) -> dict[str, Any]:
    return {"addresses": [address], "conditions": conditions}


def test_ready_endpoints_are_chosen() -> None:
    slices = [_slice(_endpoint("10.244.0.2", ready=True), _endpoint("10.244.0.3", ready=False)), _slice()]
    assert choose(slices, "http", "TCP") == [Backend("10.244.0.2", 8080)]
    assert choose(slices, "other", "TCP") == []


def test_unknown_readiness_counts_as_ready() -> None:
    assert choose([_slice({"addresses": ["10.244.0.2"]})], "http", "TCP") == [Backend("10.244.0.2", 8080)]


def test_terminating_ones_serve_when_none_is_ready() -> None:
    draining = _endpoint("10.244.0.2", ready=False, serving=True, terminating=True)
    assert choose([_slice(draining)], "http", "TCP") == [Backend("10.244.0.2", 8080)]
    assert choose([_slice(draining, _endpoint("10.244.0.3", ready=True))], "http", "TCP") == [
        Backend("10.244.0.3", 8080)
    ]


def _service(**spec: Any) -> Object:
    port = {"name": "http", "port": 80, "protocol": "TCP", "nodePort": 30000}
    return {
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"clusterIP": "10.96.1.1", "ports": [port], **spec},
    }


def test_headless_services_and_those_of_the_node_itself_have_no_rules() -> None:
    slices = [_slice(_endpoint("10.244.0.2", ready=True))]
    for spec in ({"clusterIP": "None"}, {"clusterIP": "10.96.0.1"}, {"type": "ExternalName", "clusterIP": ""}):
        assert compile_service(_service(**spec), slices).fragment == Fragment()


def _rules(service: Object) -> tuple[str, ...]:
    slices = [_slice(_endpoint("10.0.0.1"), _endpoint("10.0.0.2"))]
    chains = compile_service(service, slices).fragment.chains
    return next(rules for rules in chains.values() if any("numgen" in rule for rule in rules))


def test_what_the_random_pick_loses_goes_to_the_first_backend() -> None:
    """The kernel empties the map of a rule that is being replaced before the last packet has left it."""
    pick, rest = _rules(_service())
    assert "numgen" in pick
    assert rest == "meta l4proto tcp dnat ip to 10.0.0.1:8080"
    *_, pick, rest = _rules(_service(sessionAffinity="ClientIP"))
    assert pick.endswith("}")
    assert f"0 : {rest}" in pick


def test_local_traffic_policy_keeps_to_our_node() -> None:
    here, there = _endpoint("10.244.0.2", ready=True), _endpoint("10.244.0.3", ready=True)
    slices = [_slice({**here, "nodeName": "n1"}, {**there, "nodeName": "n2"})]
    chains = compile_service(_service(internalTrafficPolicy="Local"), slices, "n1").fragment.chains
    inside = next(rules for name, rules in chains.items() if name.startswith("svc_"))
    assert "10.244.0.2" in inside[0]
    assert "10.244.0.3" not in inside[0]


def test_an_address_is_reused_late() -> None:
    pool = AddressPool()
    assert pool.of("a") == "10.244.0.2" == pool.of("a")
    pool.avoid("other", "10.244.0.3")
    pool.release("a")
    assert pool.of("b") == "10.244.0.4"
