"""The resources below /api/v1/."""

from __future__ import annotations

from django.conf import settings
from django.db.models import Count
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.decorators import action
from rest_framework.mixins import (
    CreateModelMixin,
    DestroyModelMixin,
    ListModelMixin,
    RetrieveModelMixin,
    UpdateModelMixin,
)
from rest_framework.parsers import FormParser, JSONParser, MultiPartParser
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet, ModelViewSet

from testops import imports, runs, suites
from testops.api import filters
from testops.api.serializers import (
    CaseSerializer,
    FailureGroupSerializer,
    GenerateAnswer,
    GenerateRequest,
    ImportRequest,
    ProjectSerializer,
    ResultSerializer,
    ResultWithLogSerializer,
    RunSerializer,
    SpecificationSerializer,
)
from testops.models import FailureGroup, Project, Result, Run, Specification, TestCase

METHODS = ["get", "post", "patch", "delete", "head", "options"]


class ProjectViewSet(ModelViewSet):
    queryset = Project.objects.select_related("created_by")
    serializer_class = ProjectSerializer
    http_method_names = METHODS

    def perform_create(self, serializer) -> None:
        serializer.save(created_by=self.request.user)

    def perform_destroy(self, project: Project) -> None:
        runs.delete(project, Run.objects.filter(specification__project=project))


@filters.listed_by(filters.SpecificationFilter)
class SpecificationViewSet(filters.Filtered, ListModelMixin, RetrieveModelMixin, DestroyModelMixin, GenericViewSet):
    queryset = Specification.objects.defer("document").annotate(case_count=Count("cases"))
    serializer_class = SpecificationSerializer
    parser_classes = [JSONParser, MultiPartParser, FormParser]

    @extend_schema(request=ImportRequest, responses={201: SpecificationSerializer, 200: SpecificationSerializer})
    def create(self, request) -> Response:
        """Import an API description. 200: the project has had the very same one."""
        given = ImportRequest(data=request.data)
        given.is_valid(raise_exception=True)
        project = given.validated_data["project"]
        if "file" in given.validated_data:
            specification, new = imports.from_file(project, given.validated_data["file"])
        else:
            specification, new = imports.from_url(project, given.validated_data["url"])
        answer = self.get_serializer(self.get_queryset().get(pk=specification.pk))
        return Response(answer.data, status=status.HTTP_201_CREATED if new else status.HTTP_200_OK)

    @extend_schema(responses={200: OpenApiTypes.OBJECT})
    @action(detail=True)
    def document(self, request, pk: int) -> Response:
        """The description, as OpenAPI 3.1."""
        return Response(self.get_object().document)

    @extend_schema(request=GenerateRequest, responses={200: GenerateAnswer})
    @action(detail=True, methods=["post"])
    def generate(self, request, pk: int) -> Response:
        """Make test cases. The same seed makes the same ones, which are kept once."""
        given = GenerateRequest(data=request.data)
        given.is_valid(raise_exception=True)
        generator = given.validated_data.get("generator", settings.GENERATOR)
        outcome = suites.generate(self.get_object(), generator=generator, seed=given.validated_data["seed"])
        return Response(GenerateAnswer(outcome).data)

    def perform_destroy(self, specification: Specification) -> None:
        runs.delete(specification, Run.objects.filter(specification=specification))


@filters.listed_by(filters.CaseFilter)
class CaseViewSet(filters.Filtered, ListModelMixin, RetrieveModelMixin, UpdateModelMixin, GenericViewSet):
    """Made by the generators; of a case only `active` can be changed."""

    queryset = TestCase.objects.all()
    serializer_class = CaseSerializer
    http_method_names = METHODS


@filters.listed_by(filters.RunFilter)
class RunViewSet(filters.Filtered, CreateModelMixin, ListModelMixin, RetrieveModelMixin, GenericViewSet):
    queryset = Run.objects.select_related("created_by", "specification__project").defer("specification__document")
    serializer_class = RunSerializer

    def paginate_queryset(self, queryset):
        page = super().paginate_queryset(queryset)
        runs.count(page)
        return page

    def perform_create(self, serializer) -> None:
        """Execute the specification's active cases."""
        given = serializer.validated_data
        serializer.instance = runs.start(given["specification"], self.request.user, given.get("note", ""))

    @extend_schema(request=None, responses={200: RunSerializer})
    @action(detail=True, methods=["post"])
    def cancel(self, request, pk: int) -> Response:
        run = self.get_object()
        runs.cancel(run)
        return Response(self.get_serializer(run).data)


@filters.listed_by(filters.ResultFilter)
class ResultViewSet(filters.Filtered, ListModelMixin, RetrieveModelMixin, GenericViewSet):
    """A single one comes with its request and response."""

    queryset = Result.objects.select_related("case")

    def get_queryset(self):
        queryset = super().get_queryset()
        return queryset.defer("request", "response") if self.action == "list" else queryset

    def get_serializer_class(self):
        return ResultSerializer if self.action == "list" else ResultWithLogSerializer


@filters.listed_by(filters.GroupFilter)
class FailureGroupViewSet(filters.Filtered, ListModelMixin, RetrieveModelMixin, GenericViewSet):
    """Failures of one run that seem to have one cause."""

    queryset = FailureGroup.objects.all()
    serializer_class = FailureGroupSerializer
