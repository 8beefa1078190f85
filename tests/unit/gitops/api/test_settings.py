"""The settings of argocd-cm."""

from __future__ import annotations

from seatrial.gitops.api.settings import Settings


def of(key: str, value: str) -> Settings:
    return Settings.of({"data": {key: value}})


def test_without_a_config_map_everything_has_its_default() -> None:
    found = Settings.of(None)
    assert (found.reconciliation_seconds, found.problems, found.ignore_status_of) == (180.0, (), "all")


def test_durations() -> None:
    assert of("timeout.reconciliation", "60s").reconciliation_seconds == 60
    assert of("timeout.reconciliation", "0").reconciliation_seconds == 0


def test_a_health_script_of_a_kind_and_of_a_glob() -> None:
    found = Settings.of(
        {
            "data": {
                "resource.customizations.health.example.com_Widget": "return 1",
                "resource.customizations.health.*.example.com_*": "return 2",
                "resource.customizations.useOpenLibs.example.com_Widget": "true",
                "resource.customizations.health.Pod": "return 3",
            }
        }
    )
    widget = found.health_script("example.com", "Widget")
    assert widget is not None
    assert (widget.source, widget.open_libraries) == ("return 1", True)
    other = found.health_script("x.example.com", "Gadget")
    assert other is not None
    assert other.source == "return 2"
    pod = found.health_script("", "Pod")
    assert pod is not None
    assert pod.source == "return 3"
    assert found.health_script("apps", "Deployment") is None


def test_ignored_differences() -> None:
    rule = "jsonPointers: [/spec/replicas]\njqPathExpressions: ['.spec.x']\nmanagedFieldsManagers: [hpa]\n"
    assert of("resource.customizations.ignoreDifferences.apps_Deployment", rule).ignore_differences == (
        {
            "group": "apps",
            "kind": "Deployment",
            "jsonPointers": ["/spec/replicas"],
            "jqPathExpressions": [".spec.x"],
            "managedFieldsManagers": ["hpa"],
        },
    )
    everything = of("resource.customizations.ignoreDifferences.all", "jsonPointers: [/metadata/x]").ignore_differences
    assert (everything[0]["group"], everything[0]["kind"]) == ("*", "*")


def test_the_older_form_of_customizations() -> None:
    found = of(
        "resource.customizations",
        "apps/Deployment:\n  ignoreDifferences: |\n    jsonPointers: [/spec/replicas]\n  health.lua: return 1\n",
    )
    assert found.ignore_differences[0]["jsonPointers"] == ["/spec/replicas"]
    assert found.health["apps/Deployment"].source == "return 1"


def test_known_types() -> None:
    found = of("resource.customizations.knownTypeFields.e.com_W", "- {field: spec.cpu, type: core/Quantity}")
    assert found.known_type_fields == {"e.com/W": (("spec.cpu", "core/Quantity"),)}


def test_exclusions_win_over_inclusions() -> None:
    found = Settings.of(
        {
            "data": {
                "resource.exclusions": "- apiGroups: ['*.example.com']\n  kinds: [Noise]\n  clusters: ['*']\n",
                "resource.inclusions": "- apiGroups: ['a.example.com', apps]\n  kinds: ['*']\n",
            }
        }
    )
    assert found.is_excluded("a.example.com", "Noise", "https://a")
    assert not found.is_excluded("a.example.com", "Signal", "https://a")
    assert found.is_excluded("batch", "Job", "https://a")


def test_what_cannot_be_read_keeps_its_default_and_is_told() -> None:
    found = Settings.of(
        {
            "data": {
                "timeout.reconciliation": "soon",
                "resource.exclusions": "{",
                "resource.customizations.ignoreDifferences.apps_Deployment": "[]",
                "resource.customizations.magic.apps_Deployment": "x",
                "resource.customizations.health": "x",
                "resource.compareoptions": "ignoreResourceStatusField: sometimes",
                "application.resourceTrackingMethod": "label",
            }
        }
    )
    assert found.reconciliation_seconds == 180
    assert len(found.problems) == 7
    assert all(problem.startswith("argocd-cm: ") for problem in found.problems)


def test_compare_options() -> None:
    found = of("resource.compareoptions", "ignoreResourceStatusField: crd\nignoreAggregatedRoles: true\n")
    assert (found.ignore_status_of, found.ignore_aggregated_roles) == ("crd", True)
