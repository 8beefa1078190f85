"""What lists can be narrowed down by. Each field's source is the lookup it becomes; an unknown value is a 400."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema
from rest_framework import serializers

from testops.models import Kind, Result, Run

LARGEST_ID = 2**63 - 1


def identity(source: str | None = None) -> serializers.IntegerField:
    return serializers.IntegerField(required=False, min_value=1, max_value=LARGEST_ID, source=source)


class SpecificationFilter(serializers.Serializer):
    project = identity()


class CaseFilter(serializers.Serializer):
    specification = identity()
    kind = serializers.ChoiceField(choices=Kind.choices, required=False)
    operation = serializers.CharField(required=False)
    active = serializers.BooleanField(required=False)


class RunFilter(serializers.Serializer):
    project = identity("specification__project")
    specification = identity()
    status = serializers.ChoiceField(choices=Run.Status.choices, required=False)


class ResultFilter(serializers.Serializer):
    run = identity()
    case = identity()
    group = identity()
    outcome = serializers.ChoiceField(choices=Result.Outcome.choices, required=False)
    kind = serializers.ChoiceField(choices=Kind.choices, required=False, source="case__kind")


class GroupFilter(serializers.Serializer):
    run = identity()


class Filtered:
    """A list view whose query parameters `filter_class` describes."""

    filter_class: type[serializers.Serializer]

    def filter_queryset(self, queryset):
        if self.action != "list":
            return queryset
        # As a dict: of an HTML form a missing checkbox would mean false.
        given = self.filter_class(data=self.request.query_params.dict())
        given.is_valid(raise_exception=True)
        return queryset.filter(**given.validated_data)


def listed_by(filter_class: type[serializers.Serializer]):
    """The class decorator that makes a view filter, and says so in the schema."""

    def decorate(view):
        view.filter_class = filter_class
        view.list = extend_schema(parameters=[filter_class])(view.list)
        return view

    return decorate
