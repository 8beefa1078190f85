"""What is kept: projects, their API descriptions, the cases made of them, runs and results.

The consumer reads and writes some of these tables in SQL (consumer/testops_consumer/store.py): a change here is a
change there, and has to suit the consumers of the release before it as well.
"""

from __future__ import annotations

from django.conf import settings
from django.core.validators import RegexValidator
from django.db import models

from groundwork.credentials import CredentialBox

# Not Django's own URL check: names inside a cluster have no dots. No user name, query or fragment either.
BASE_URL = RegexValidator(r"^https?://[^\s/?#@]+(/[^\s?#]*)?$", "an http:// or https:// URL was expected")


class Kind(models.TextChoices):
    POSITIVE = "positive", "a valid request is served as described"
    BOUNDARY = "boundary", "a value at the edge of what is allowed is accepted"
    NEGATIVE = "negative", "an invalid request is refused"
    AUTHENTICATION = "authentication", "a request without valid credentials is refused"


class Project(models.Model):
    name = models.CharField(max_length=100, unique=True)
    base_url = models.CharField(max_length=500, validators=[BASE_URL], help_text="where the API under test listens")
    sealed_credentials = models.TextField(blank=True, default="", editable=False)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    @property
    def credentials(self) -> dict[str, str]:
        """Security scheme name -> secret."""
        return CredentialBox(settings.CREDENTIALS_KEY).open(self.sealed_credentials)

    @credentials.setter
    def credentials(self, value: dict[str, str]) -> None:
        self.sealed_credentials = CredentialBox(settings.CREDENTIALS_KEY).seal(value)


class Specification(models.Model):
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="specifications")
    title = models.CharField(max_length=200)
    version = models.CharField(max_length=100)
    format = models.CharField(max_length=30)
    origin = models.CharField(max_length=1000, help_text="the file or URL it came from")
    digest = models.CharField(max_length=64)
    document = models.JSONField(help_text="as OpenAPI 3.1, whatever it came as")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-created_at"]
        constraints = [models.UniqueConstraint(fields=["project", "digest"], name="specification_once_per_project")]

    def __str__(self) -> str:
        return f"{self.title} {self.version}"


class TestCase(models.Model):
    """One request and what must come back: data, never code."""

    __test__ = False  # pytest takes any class of this name for tests

    specification = models.ForeignKey(Specification, on_delete=models.CASCADE, related_name="cases")
    key = models.CharField(max_length=64, help_text="hash of the content: the same case made again is the same row")
    kind = models.CharField(max_length=20, choices=Kind.choices)
    operation = models.CharField(max_length=300)
    title = models.CharField(max_length=300)
    oracle = models.TextField(help_text="why the expectation holds, in a sentence")
    method = models.CharField(max_length=10)
    path = models.TextField(help_text="with the query, encoded, below the base URL")
    headers = models.JSONField(default=dict)
    body = models.TextField(null=True)
    authentication = models.JSONField(default=dict, help_text="which credential goes where; never the credential")
    expectation = models.JSONField()
    generator = models.CharField(max_length=20)
    seed = models.BigIntegerField()
    active = models.BooleanField(default=True)
    flakiness = models.FloatField(default=0.0, help_text="0 steady .. 1 a coin tossed at every run")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["id"]
        constraints = [models.UniqueConstraint(fields=["specification", "key"], name="case_once_per_specification")]

    def __str__(self) -> str:
        return f"{self.operation}: {self.title}"


class Run(models.Model):
    class Status(models.TextChoices):
        RUNNING = "running"
        FINISHED = "finished"
        CANCELLED = "cancelled"

    specification = models.ForeignKey(Specification, on_delete=models.CASCADE, related_name="runs")
    status = models.CharField(max_length=20, choices=Status.choices, default=Status.RUNNING)
    base_url = models.CharField(max_length=500, validators=[BASE_URL])
    note = models.TextField(blank=True, default="")
    total = models.PositiveIntegerField()
    analysed = models.BooleanField(default=False)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL)
    created_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-created_at"]
        indexes = [models.Index(fields=["status", "analysed"], name="run_unfinished")]

    def __str__(self) -> str:
        return f"run {self.pk} of {self.specification}"


class QueuedCase(models.Model):
    """A case that has no result yet. The consumer's relay sends it to the queue; storing its result deletes it.

    A row here is the truth and a message is only a reminder: what a broker loses is sent again.
    """

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="queue")
    case = models.ForeignKey(TestCase, on_delete=models.CASCADE, related_name="+")
    sent_at = models.DateTimeField(null=True)
    times_sent = models.PositiveIntegerField(default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["run", "case"], name="queued_once_per_run")]
        indexes = [models.Index(fields=["sent_at"], name="queued_sent_at")]


class FailureGroup(models.Model):
    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="groups")
    label = models.TextField()
    size = models.PositiveIntegerField()

    class Meta:
        ordering = ["-size"]


class Result(models.Model):
    class Outcome(models.TextChoices):
        PASSED = "passed"
        FAILED = "failed"
        ERROR = "error"

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="results")
    case = models.ForeignKey(TestCase, on_delete=models.CASCADE, related_name="results")
    outcome = models.CharField(max_length=10, choices=Outcome.choices)
    reason = models.TextField(blank=True, default="")
    status_code = models.IntegerField(null=True)
    duration_ms = models.FloatField()
    attempts = models.PositiveIntegerField()
    request = models.JSONField(help_text="what was sent, credentials masked")
    response = models.JSONField(help_text="what came back, cut to size")
    group = models.ForeignKey(FailureGroup, null=True, on_delete=models.SET_NULL, related_name="results")
    finished_at = models.DateTimeField()

    class Meta:
        ordering = ["id"]
        constraints = [models.UniqueConstraint(fields=["run", "case"], name="one_result_per_case_and_run")]
        indexes = [
            models.Index(fields=["run", "outcome"], name="result_outcome"),
            models.Index(fields=["case", "-finished_at"], name="result_history"),
        ]


class FailedSignIn(models.Model):
    """Kept for a minute (attempts.py), by the hash of the name."""

    name = models.CharField(max_length=64)
    at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["name", "at"], name="failed_sign_in")]
