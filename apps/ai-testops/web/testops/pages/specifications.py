"""A specification with its cases: generate some, look at them, run them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.conf import settings
from django.contrib import messages
from django.core.paginator import Paginator
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST, require_safe

from testops import runs, suites
from testops.errors import Refusal
from testops.models import Run, Specification, TestCase
from testops.pages.forms import CaseFilterForm, GenerateForm, RunForm
from testops.pages.projects import latest

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse

PAGE = 50
SHOWN_NOTES = 10
SHOWN_RESULTS = 20


@require_safe
def specification(request: HttpRequest, pk: int) -> HttpResponse:
    found = _specification(pk)
    filters = CaseFilterForm(request.GET)
    context = {
        "specification": found,
        "active": found.cases.filter(active=True).count(),
        "filters": filters,
        "cases": Paginator(filters.apply(found.cases.all()), PAGE).get_page(request.GET.get("page")),
        "generate": GenerateForm(initial={"generator": settings.GENERATOR}),
        "start": RunForm(),
        "runs": latest(Run.objects.filter(specification=found)),
    }
    return render(request, "testops/specification.html", context)


def _specification(pk: int) -> Specification:
    return get_object_or_404(Specification.objects.select_related("project").defer("document"), pk=pk)


@require_POST
def generate(request: HttpRequest, pk: int) -> HttpResponse:
    found = _specification(pk)
    form = GenerateForm(request.POST)
    if not form.is_valid():
        _tell_errors(request, form)
        return redirect("specification", pk)
    try:
        outcome = suites.generate(found, **form.cleaned_data)
    except Refusal as refusal:
        messages.error(request, refusal.message)
        return redirect("specification", pk)
    messages.success(request, f"{outcome.created} new cases ({outcome.generator}); {outcome.known} were there already.")
    for note in outcome.notes[:SHOWN_NOTES]:
        messages.warning(request, note[:500])
    if len(outcome.notes) > SHOWN_NOTES:
        messages.warning(request, f"{len(outcome.notes) - SHOWN_NOTES} more notes")
    return redirect("specification", pk)


def _tell_errors(request: HttpRequest, form) -> None:
    for field, errors in form.errors.items():
        messages.error(request, f"{field}: {' '.join(errors)}")


@require_POST
def start(request: HttpRequest, pk: int) -> HttpResponse:
    found = _specification(pk)
    form = RunForm(request.POST)
    if not form.is_valid():
        _tell_errors(request, form)
        return redirect("specification", pk)
    try:
        run = runs.start(found, request.user, form.cleaned_data["note"])
    except Refusal as refusal:
        messages.error(request, f"Nothing to run: {refusal.message}.")
        return redirect("specification", pk)
    return redirect("run", run.pk)


@require_safe
def case(request: HttpRequest, pk: int) -> HttpResponse:
    found = get_object_or_404(
        TestCase.objects.select_related("specification__project").defer("specification__document"), pk=pk
    )
    results = found.results.select_related("run").defer("request", "response").order_by("-finished_at")
    return render(request, "testops/case.html", {"case": found, "results": results[:SHOWN_RESULTS]})


@require_POST
def activate(request: HttpRequest, pk: int) -> HttpResponse:
    found = get_object_or_404(TestCase, pk=pk)
    found.active = request.POST.get("active") == "true"
    found.save(update_fields=["active"])
    return redirect("case", pk)
