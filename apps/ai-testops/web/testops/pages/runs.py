"""A run while it goes on and afterwards, and its results."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from testops import runs
from testops.errors import Refusal
from testops.models import Result, Run
from testops.pages.forms import ResultFilterForm

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse

PAGE = 50


@require_safe
def run(request: HttpRequest, pk: int) -> HttpResponse:
    found = _run(pk)
    runs.count([found])
    filters = ResultFilterForm(request.GET, found.groups.all())
    results = filters.apply(found.results.select_related("case").defer("request", "response"))
    context = {
        "run": found,
        "pass_rate": runs.pass_rate(found.counts),
        "groups": found.groups.all(),
        "filters": filters,
        "results": Paginator(results, PAGE).get_page(request.GET.get("page")),
    }
    return render(request, "testops/run.html", context)


def _run(pk: int) -> Run:
    return get_object_or_404(
        Run.objects.select_related("specification__project", "created_by").defer("specification__document"), pk=pk
    )


@require_safe
@never_cache
def progress(request: HttpRequest, pk: int) -> JsonResponse:
    """What progress.js asks for while the run goes on."""
    found = get_object_or_404(Run, pk=pk)
    runs.count([found])
    settled = found.status != Run.Status.RUNNING and found.analysed
    return JsonResponse({"status": found.status, "total": found.total, "settled": settled, "counts": found.counts})


@require_POST
def cancel(request: HttpRequest, pk: int) -> HttpResponse:
    try:
        runs.cancel(get_object_or_404(Run, pk=pk))
    except Refusal as refusal:
        messages.error(request, f"Not cancelled: {refusal.message}.")
    return redirect("run", pk)


@require_safe
def result(request: HttpRequest, pk: int) -> HttpResponse:
    found = get_object_or_404(
        Result.objects.select_related("case", "group", "run__specification__project").defer(
            "run__specification__document"
        ),
        pk=pk,
    )
    return render(request, "testops/result.html", {"result": found, "case": found.case})
