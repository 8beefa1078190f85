"""What goes in and out of the API, as JSON."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from testops import projects, runs
from testops.models import FailureGroup, Project, Result, Run, Specification, TestCase

LARGEST_SEED = 2**63 - 1
GENERATORS = ["offline", "llm"]


class ProjectSerializer(serializers.ModelSerializer):
    credentials = serializers.DictField(
        child=serializers.CharField(max_length=projects.LONGEST_SECRET, trim_whitespace=False),
        write_only=True,
        required=False,
        help_text="security scheme name -> secret; replaces all stored ones; never shown again",
    )
    credential_names = serializers.SerializerMethodField(
        help_text="null: they were saved under another key and have to be given again"
    )
    created_by = serializers.CharField(source="created_by.username", read_only=True, default=None)

    class Meta:
        model = Project
        fields = ["id", "name", "base_url", "credentials", "credential_names", "created_by", "created_at"]

    @extend_schema_field(serializers.ListField(child=serializers.CharField(), allow_null=True))
    def get_credential_names(self, project: Project) -> list[str] | None:
        return projects.credential_names(project)

    def validate_credentials(self, value: dict[str, str]) -> dict[str, str]:
        projects.check_credentials(value)
        return value

    def validate(self, given: dict) -> dict:
        if self.instance and "base_url" in given:
            projects.check_move(self.instance, given["base_url"], given.get("credentials"))
        return given


class SpecificationSerializer(serializers.ModelSerializer):
    cases = serializers.IntegerField(source="case_count", read_only=True, default=0)

    class Meta:
        model = Specification
        fields = ["id", "project", "title", "version", "format", "origin", "digest", "cases", "created_at"]
        read_only_fields = fields


class ImportRequest(serializers.Serializer):
    project = serializers.PrimaryKeyRelatedField(queryset=Project.objects.all())
    file = serializers.FileField(required=False, help_text="OpenAPI 3.0, 3.1 or Swagger 2.0, JSON or YAML")
    url = serializers.CharField(max_length=1000, required=False, help_text="where to read it, instead of a file")

    def validate(self, given: dict) -> dict:
        if ("file" in given) == ("url" in given):
            raise serializers.ValidationError({"file": "either a file or a url was expected"})
        return given


class GenerateRequest(serializers.Serializer):
    generator = serializers.ChoiceField(choices=GENERATORS, required=False, help_text="default: the operator's choice")
    seed = serializers.IntegerField(min_value=0, max_value=LARGEST_SEED, default=0)


class GenerateAnswer(serializers.Serializer):
    generator = serializers.CharField(help_text="the one that made the cases: offline, if the language model failed")
    created = serializers.IntegerField()
    known = serializers.IntegerField(help_text="made again, and kept as they were")
    notes = serializers.ListField(child=serializers.CharField())


class CaseSerializer(serializers.ModelSerializer):
    class Meta:
        model = TestCase
        fields = [
            "id", "specification", "key", "kind", "operation", "title", "oracle", "method", "path", "headers", "body",
            "authentication", "expectation", "generator", "seed", "active", "flakiness", "created_at",
        ]  # fmt: skip
        read_only_fields = [name for name in fields if name != "active"]


class Counts(serializers.Serializer):
    passed = serializers.IntegerField()
    failed = serializers.IntegerField()
    error = serializers.IntegerField()
    done = serializers.IntegerField(help_text="the three together")
    waiting = serializers.IntegerField()


class RunSerializer(serializers.ModelSerializer):
    project = serializers.IntegerField(source="specification.project_id", read_only=True)
    counts = serializers.SerializerMethodField()
    created_by = serializers.CharField(source="created_by.username", read_only=True, default=None)

    class Meta:
        model = Run
        fields = [
            "id", "project", "specification", "status", "base_url", "note", "total", "counts", "analysed",
            "created_by", "created_at", "finished_at",
        ]  # fmt: skip
        read_only_fields = [name for name in fields if name not in {"specification", "note"}]
        extra_kwargs = {"note": {"max_length": 1000}}

    @extend_schema_field(Counts)
    def get_counts(self, run: Run) -> dict[str, int]:
        if not hasattr(run, "counts"):
            runs.count([run])
        return run.counts


class ResultSerializer(serializers.ModelSerializer):
    kind = serializers.CharField(source="case.kind")
    operation = serializers.CharField(source="case.operation")
    title = serializers.CharField(source="case.title")

    class Meta:
        model = Result
        fields = [
            "id", "run", "case", "kind", "operation", "title", "outcome", "reason", "status_code", "duration_ms",
            "attempts", "group", "finished_at",
        ]  # fmt: skip
        read_only_fields = fields


class ResultWithLogSerializer(ResultSerializer):
    oracle = serializers.CharField(source="case.oracle")
    expectation = serializers.JSONField(source="case.expectation")

    class Meta(ResultSerializer.Meta):
        fields = [*ResultSerializer.Meta.fields, "oracle", "expectation", "request", "response"]
        read_only_fields = fields


class FailureGroupSerializer(serializers.ModelSerializer):
    class Meta:
        model = FailureGroup
        fields = ["id", "run", "label", "size"]
        read_only_fields = fields
