"""The dashboard, and projects with what belongs to them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib import messages
from django.db.models import Count, Max
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_safe

from testops import imports, projects, runs
from testops.errors import Refusal
from testops.models import Project, Run, Specification, TestCase
from testops.pages.forms import ImportForm, ProjectForm

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse

SHOWN = 10
with_form = require_http_methods(["GET", "HEAD", "POST"])


def latest(queryset) -> list[Run]:
    """The last runs, with their counts and pass rates."""
    found = list(queryset.select_related("specification__project").defer("specification__document")[:SHOWN])
    runs.count(found)
    for run in found:
        run.pass_rate = runs.pass_rate(run.counts)
    return found


@require_safe
def dashboard(request: HttpRequest) -> HttpResponse:
    recent = latest(Run.objects.all())
    together = {name: sum(run.counts[name] for run in recent) for name in ("passed", "done")}
    flaky = TestCase.objects.filter(flakiness__gt=0).order_by("-flakiness", "id")
    context = {
        "projects": Project.objects.annotate(
            specification_count=Count("specifications", distinct=True), last_run=Max("specifications__runs__created_at")
        ),
        "runs": recent,
        "pass_rate": runs.pass_rate(together),
        "flaky": flaky.select_related("specification__project").defer("specification__document")[:SHOWN],
    }
    return render(request, "testops/dashboard.html", context)


@require_safe
def project(request: HttpRequest, pk: int) -> HttpResponse:
    found = get_object_or_404(Project, pk=pk)
    context = {
        "project": found,
        "credential_names": projects.credential_names(found),
        "specifications": found.specifications.defer("document").annotate(case_count=Count("cases")),
        "runs": latest(Run.objects.filter(specification__project=found)),
    }
    return render(request, "testops/project.html", context)


@with_form
def new_project(request: HttpRequest) -> HttpResponse:
    form = ProjectForm(request.POST or None, instance=Project(created_by=request.user))
    if form.is_valid():
        return redirect("project", form.save().pk)
    return _form(request, form, "New project", "Save")


@with_form
def edit_project(request: HttpRequest, pk: int) -> HttpResponse:
    found = get_object_or_404(Project, pk=pk)
    name = found.name  # the form writes into `found` before it is known to be right
    form = ProjectForm(request.POST or None, instance=found)
    if form.is_valid():
        form.save()
        return redirect("project", pk)
    return _form(request, form, f"Change {name}", "Save", project=Project(pk=pk, name=name))


@with_form
def delete_project(request: HttpRequest, pk: int) -> HttpResponse:
    found = get_object_or_404(Project, pk=pk)
    if request.method == "POST":
        runs.delete(found, Run.objects.filter(specification__project=found))
        messages.success(request, f"{found.name} was deleted.")
        return redirect("dashboard")
    return render(request, "testops/delete.html", {"thing": found, "back": "project", "pk": pk})


@with_form
def import_specification(request: HttpRequest, pk: int) -> HttpResponse:
    found = get_object_or_404(Project, pk=pk)
    form = ImportForm(request.POST, request.FILES) if request.method == "POST" else ImportForm()
    if form.is_valid():
        given = form.cleaned_data
        try:
            if given["file"]:
                specification, new = imports.from_file(found, given["file"])
            else:
                specification, new = imports.from_url(found, given["url"])
        except Refusal as refusal:
            form.add_error(refusal.field, refusal.message)
        else:
            messages.success(request, "Imported." if new else "The project has had this very description before.")
            return redirect("specification", specification.pk)
    return _form(request, form, f"Import an API description into {found.name}", "Import", project=found)


@with_form
def delete_specification(request: HttpRequest, pk: int) -> HttpResponse:
    found = get_object_or_404(Specification.objects.defer("document"), pk=pk)
    if request.method == "POST":
        runs.delete(found, Run.objects.filter(specification=found))
        messages.success(request, f"{found} was deleted.")
        return redirect("project", found.project_id)
    return render(request, "testops/delete.html", {"thing": found, "back": "specification", "pk": pk})


def _form(request: HttpRequest, form, title: str, verb: str, **context) -> HttpResponse:
    status = 400 if form.is_bound else 200  # a form that is shown again was not right
    context |= {"form": form, "title": title, "verb": verb}
    return render(request, "testops/form.html", context, status=status)
