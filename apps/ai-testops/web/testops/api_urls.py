from django.urls import include, path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView
from rest_framework.routers import SimpleRouter

from testops.api import signin, views

router = SimpleRouter(trailing_slash=False, use_regex_path=False)
router.register("projects", views.ProjectViewSet)
router.register("specifications", views.SpecificationViewSet)
router.register("cases", views.CaseViewSet)
router.register("runs", views.RunViewSet)
router.register("results", views.ResultViewSet)
router.register("groups", views.FailureGroupViewSet)
for _, view, _ in router.registry:
    view.lookup_value_converter = "int"

urlpatterns = [
    path("v1/sign-in", signin.SignIn.as_view(), name="api-sign-in"),
    path("v1/sign-out", signin.SignOut.as_view(), name="api-sign-out"),
    path("v1/", include(router.urls)),
    path("schema/", SpectacularAPIView.as_view(), name="schema"),
    path("docs/", SpectacularSwaggerSplitView.as_view(), name="docs"),
]
