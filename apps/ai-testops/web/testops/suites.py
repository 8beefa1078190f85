"""The test cases of a specification: generated, and kept under their keys."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import transaction

import generation
from config import metrics
from specifications.document import InvalidSpecification
from testops.errors import Refusal
from testops.imports import unstorable
from testops.models import Specification, TestCase

if TYPE_CHECKING:
    from generation import Case

BATCH = 1000


@dataclass(frozen=True)
class Outcome:
    generator: str
    created: int
    known: int
    notes: list[str] = field(default_factory=list)


def generate(specification: Specification, *, generator: str, seed: int) -> Outcome:
    """A case that was there keeps its row, its history and whether it is active."""
    try:
        made = generation.generate(specification.document, seed=seed, generator=generator)
    except InvalidSpecification as error:
        raise Refusal("specification", str(error)) from error
    cases, notes = _storable(made.cases)
    created, left_out = _store(specification, cases, made.generator, seed)
    if left_out:
        notes.append(
            f"{left_out} cases were left out: a specification keeps at most {settings.MAX_CASES_PER_SPECIFICATION}"
        )
    for kind, count in Counter(case.kind for case in created).items():
        metrics.CASES.labels(made.generator, kind).inc(count)
    return Outcome(made.generator, len(created), len(cases) - len(created) - left_out, [*made.notes, *notes])


def _storable(cases: list[Case]) -> tuple[list[Case], list[str]]:
    kept = [case for case in cases if unstorable([case.path, case.body, case.headers, case.expectation]) is None]
    lost = len(cases) - len(kept)
    return kept, [f"{lost} cases were left out: they hold what the database cannot keep"] if lost else []


def _store(specification: Specification, cases: list[Case], generator: str, seed: int) -> tuple[list[Case], int]:
    """The cases that are new, and how many found no room."""
    with transaction.atomic():
        # Two people who press the button at once take turns.
        Specification.objects.select_for_update().only("pk").get(pk=specification.pk)
        known = set(specification.cases.values_list("key", flat=True))
        new = [case for case in cases if case.key not in known]
        room = max(0, settings.MAX_CASES_PER_SPECIFICATION - len(known))
        TestCase.objects.bulk_create(
            [_row(specification, case, generator, seed) for case in new[:room]], batch_size=BATCH
        )
    return new[:room], len(new) - len(new[:room])


def _row(specification: Specification, case: Case, generator: str, seed: int) -> TestCase:
    return TestCase(specification=specification, generator=generator, seed=seed, **vars(case))
