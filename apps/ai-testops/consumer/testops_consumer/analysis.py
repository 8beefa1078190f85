"""Failures grouped by cause, and how steady each case is. Pure: data in, data out.

Two failures have one cause when they ended alike (outcome and status) and what they say reads alike, numbers and ids
aside: TF-IDF vectors of words and word pairs, joined bottom-up until the groups are too far apart.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import TYPE_CHECKING

from sklearn.cluster import AgglomerativeClustering
from sklearn.feature_extraction.text import TfidfVectorizer

if TYPE_CHECKING:
    from testops_consumer.store import Failure, Past

FARTHEST = 0.55  # cosine distance (average over pairs) up to which two groups are one
MOST_COMPARED = 800  # different texts; comparing is quadratic, the rarer ones beyond that stay by themselves
LONGEST_LABEL = 300
SHORTEST_HISTORY = 3

# What differs between failures of one cause, most specific first.
VARYING = (
    (re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", re.I), " <uuid> "),
    (re.compile(r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d)?\S*"), " <time> "),
    (re.compile(r"\b0x[0-9a-f]+\b", re.I), " <hex> "),
    (re.compile(r"\b(?=[0-9a-f]*\d)[0-9a-f]{12,}\b", re.I), " <hex> "),
    (re.compile(r"\d+(?:\.\d+)?"), " <n> "),
)
WORD = r"<\w+>|[^\W\d_]\w+"


@dataclass(frozen=True)
class Group:
    label: str
    results: list[int]


@dataclass(frozen=True)
class Analysis:
    groups: list[Group]
    flakiness: dict[int, float]


def analyse(failures: list[Failure], history: list[Past]) -> Analysis:
    return Analysis(group(failures), scores(history))


def group(failures: list[Failure]) -> list[Group]:
    """Largest first; every failure is in exactly one group."""
    alike: dict[tuple[str, int | None], list[Failure]] = defaultdict(list)
    for failure in failures:
        alike[failure.outcome, failure.status_code].append(failure)
    groups = [made for members in alike.values() for made in _by_text(members)]
    return sorted(groups, key=lambda made: (-len(made.results), made.results[0]))


def _by_text(failures: list[Failure]) -> list[Group]:
    texts: dict[str, list[Failure]] = defaultdict(list)
    for failure in failures:
        texts[signature(failure)].append(failure)
    frequent = sorted(texts, key=lambda text: (-len(texts[text]), text))
    clusters = _cluster(frequent[:MOST_COMPARED]) + [[text] for text in frequent[MOST_COMPARED:]]
    return [_group([failure for text in cluster for failure in texts[text]]) for cluster in clusters]


def signature(failure: Failure) -> str:
    text = f"{failure.reason} {failure.body}"
    for pattern, name in VARYING:
        text = pattern.sub(name, text)
    return " ".join(text.split()).lower()


def _cluster(texts: list[str]) -> list[list[str]]:
    if len(texts) < 2:
        return [texts] if texts else []
    words = TfidfVectorizer(token_pattern=WORD, ngram_range=(1, 2), sublinear_tf=True)
    try:
        vectors = words.fit_transform(texts).toarray()
    except ValueError:  # not a single word in any of them
        return [[text] for text in texts]
    empty = [index for index, vector in enumerate(vectors) if not vector.any()]
    vectors[empty] = 1 / vectors.shape[1] ** 0.5  # a text without words has no direction of its own
    joined = AgglomerativeClustering(
        n_clusters=None, distance_threshold=FARTHEST, metric="cosine", linkage="average"
    ).fit_predict(vectors)
    clusters: dict[int, list[str]] = defaultdict(list)
    for text, cluster in zip(texts, joined, strict=True):
        clusters[cluster].append(text)
    return list(clusters.values())


def _group(failures: list[Failure]) -> Group:
    """Labelled by the reason given most often, and where it happened."""
    reasons = Counter(failure.reason for failure in failures)
    reason = reasons.most_common(1)[0][0] or "no reason given"
    operations = Counter(failure.operation for failure in failures).most_common()
    where = operations[0][0] + (f" and {len(operations) - 1} more" if len(operations) > 1 else "")
    status = f" [{failures[0].status_code}]" if failures[0].status_code else ""
    return Group(f"{where}{status}: {reason}"[:LONGEST_LABEL], sorted(failure.result for failure in failures))


def scores(history: list[Past]) -> dict[int, float]:
    """Case -> 0 (steady) .. 1 (a coin tossed at every run); `history` is ordered by case and time."""
    return {
        case: _flakiness([past.outcome == "passed" for past in results])
        for case, results in groupby(history, key=lambda past: past.case)
    }


def _flakiness(passed: list[bool]) -> float:
    """Changes of the outcome against those of a coin. One change is none: something broke, or was repaired."""
    if len(passed) < SHORTEST_HISTORY:
        return 0.0
    changes = sum(before != after for before, after in pairwise(passed))
    return min(1.0, 2 * max(0, changes - 1) / (len(passed) - 2))
