"""What `act --json` prints, turned into jobs, steps, annotations, a summary and lines for the log.

One Progress is one attempt of a run. Everything that leaves it is masked.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson

from seatrial.base.clock import rfc3339
from seatrial.pipeline.api import names
from seatrial.pipeline.workflow.file import step_name
from seatrial.pipeline.workflow.mask import Masker, Stream

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from seatrial.base.clock import Clock
    from seatrial.pipeline.workflow.file import Job, Workflow

Record = dict[str, Any]
_LEVELS = {"error": "failure", "warning": "warning", "notice": "notice"}
_SET_UP, _COMPLETE = "Set up job", "Complete job"
_MOST_ANNOTATIONS = 100
_LONGEST_TEXT = 2000
_LONGEST_SUMMARY = 128 << 10
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
_EXIT = re.compile(r"exit status (\d+)")
_FORGIVEN = "Failed but continue next step"
_UNSUPPORTED = "Skipping unsupported platform"


@dataclass(slots=True)
class StepState:
    name: str
    key: str
    status: str = names.QUEUED
    conclusion: str = ""
    started: float = 0.0
    completed: float = 0.0
    forgiven: bool = False
    complained: bool = False
    """act said something against it, perhaps before it began."""


@dataclass(slots=True)
class JobState:
    name: str
    key: str
    job: Job | None = None
    steps: list[StepState] = field(default_factory=list)
    status: str = names.QUEUED
    conclusion: str = ""
    started: float = 0.0
    completed: float = 0.0
    began: float = 0.0
    """By the monotonic clock: for its timeout."""

    def step(self, key: str, name: str) -> StepState:
        found = next((step for step in self.steps if step.key == key), None)
        if found is None:
            found = StepState(name, key)
            self.steps.append(found)
        return found


class Progress:
    def __init__(self, workflow: Workflow, masker: Masker, clock: Clock, write: Callable[[str], None]) -> None:
        """`write` takes lines of the log: job, step, time and text, parted by tabs and a blank."""
        self._clock = clock
        self._masker = masker
        self._write = write
        self._streams: dict[tuple[str, str], Stream] = {}
        self._summaries: list[str] = []
        self._waiting = [JobState(job.name, job.key, job, _steps(job)) for job in workflow.jobs]
        """Of which act has said nothing yet."""
        self._begun: dict[str, JobState] = {}
        self._places = {job.key: place for place, job in enumerate(workflow.jobs)}
        self.annotations: list[Record] = []
        self.changes = 0
        self.stopped = False
        """act is being ended: what it says of results from now on is about that."""
        for job in workflow.jobs:
            for word in job.not_done:
                said = f"job '{job.key}': `{word}` is not done by this runner"
                self.annotate("warning", said, path=workflow.path, line=job.line)

    # reading

    @property
    def jobs(self) -> list[JobState]:
        """In the order of the workflow."""
        return sorted([*self._begun.values(), *self._waiting], key=lambda job: self._places.get(job.key, 0))

    def overdue(self) -> tuple[JobState, float] | None:
        """The running job that ends its time first, and the seconds it has left."""
        now = self._clock.monotonic()
        left = [
            (job.began + job.job.timeout - now, job)
            for job in self._begun.values()
            if job.status == names.IN_PROGRESS and job.job is not None
        ]
        if not left:
            return None
        seconds, job = min(left, key=lambda item: item[0])
        return job, seconds

    def failed(self) -> bool:
        """Whether a job did that counts."""
        return any(not _is_forgiven(job) for job in self._failed())

    def forgiven(self) -> bool:
        """Whether all that failed may fail (`continue-on-error` of a job), and something did."""
        return bool(self._failed()) and not self.failed()

    def _failed(self) -> list[JobState]:
        return [job for job in self._begun.values() if job.conclusion in (names.FAILURE, names.TIMED_OUT)]

    def to_status(self) -> Record:
        """Jobs, annotations and summary as the run's status has them."""
        made: Record = {"jobs": [_job_json(number, job) for number, job in enumerate(self.jobs, start=1)]}
        if self.annotations:
            made["annotations"] = list(self.annotations)
        if self._summaries:
            made["summary"] = "\n".join(self._summaries)[:_LONGEST_SUMMARY]
        return made

    # hearing

    def take(self, line: bytes) -> None:
        """One line that act printed."""
        try:
            record = orjson.loads(line)
        except orjson.JSONDecodeError:
            return
        if not isinstance(record, dict) or not record.get("jobID"):
            return
        job = self._job(record)
        if self.stopped:
            if record.get("raw_output"):
                self._take_step(job, record)
        elif "jobResult" in record:
            self._end_job(job, str(record["jobResult"]))
        elif _UNSUPPORTED in str(record.get("msg")):
            self._no_runner(job)
        else:
            self._take_step(job, record)

    def _take_step(self, job: JobState, record: Record) -> None:
        keys = record.get("stepID") or record.get("stepid") or []
        if not keys:
            return
        step = self._step(job, record, str(keys[0]))
        message, outer = str(record.get("msg") or ""), len(keys) == 1
        if outer and message.startswith("⭐ Run"):
            self._begin_step(job, step)
        elif message == _FORGIVEN:
            step.forgiven = True
        elif outer and "stepResult" in record:
            self._end_step(job, step, str(record["stepResult"]))
        elif record.get("raw_output"):
            self._print(job, step, message)
        elif record.get("command"):
            self._command(job, step, record)
        elif (found := _EXIT.fullmatch(message.strip())) is not None:
            said = f"Process completed with exit code {found[1]}."
            self._print(job, step, f"##[error]{said}")
            if not step.forgiven:
                self.annotate("failure", said, job=job.name, step=step.name)
        elif record.get("level") in ("error", "warning"):
            self._complain(job, step, str(record["level"]), message.strip())

    def _complain(self, job: JobState, step: StepState, level: str, message: str) -> None:
        self._print(job, step, f"##[{level}]{message}")
        if level == "error" and not step.forgiven:
            step.complained = True
            self.annotate("failure", message, job=job.name, step=step.name)

    def _job(self, record: Record) -> JobState:
        key = str(record["jobID"])
        matrix = record.get("matrix") or {}
        instance = f"{key} {orjson.dumps(matrix, option=orjson.OPT_SORT_KEYS).decode()}"
        if instance in self._begun:
            return self._begun[instance]
        known = next((job for job in self.jobs if job.key == key), None)
        if known is not None and known in self._waiting:
            self._waiting.remove(known)
        job = known.job if known is not None else None
        shown = _name(job, record, matrix)
        made = JobState(self._masker.mask(shown), key, job, _steps(job) if job is not None else [])
        made.status, made.started, made.began = names.IN_PROGRESS, self._clock.time(), self._clock.monotonic()
        self._begun[instance] = made
        self.changes += 1
        return made

    def _step(self, job: JobState, record: Record, key: str) -> StepState:
        stage = record.get("stage") or ""
        name = str(record.get("step") or key)
        if key == "--setup-job":
            found = next((step for step in job.steps if step.key == key), None)
            if found is None:
                job.steps.insert(0, found := StepState(_SET_UP, key))
            return found
        if key == "--complete-job":
            return job.step(key, _COMPLETE)
        if stage in ("Pre", "Post"):
            return job.step(f"{stage} {key}", self._masker.mask(f"{stage} {name}"[:100]))
        known = next((step for step in job.steps if step.key == key), None)
        return known or job.step(key, self._masker.mask(step_name({"name": name})))

    def _begin_step(self, job: JobState, step: StepState) -> None:
        for other in job.steps:
            self._end_stream(job, other)
        step.status, step.started = names.IN_PROGRESS, self._clock.time()
        self.changes += 1

    def _end_step(self, job: JobState, step: StepState, result: str) -> None:
        step.conclusion = names.SUCCESS if step.forgiven else _conclusion(result)
        step.status, step.completed = names.COMPLETED, self._clock.time()
        self.changes += 1

    def _end_job(self, job: JobState, result: str) -> None:
        """Where one instance of a matrix fails, act says so of all."""
        failed = [step for step in job.steps if step.conclusion == names.FAILURE]
        siblings = [other for other in self._begun.values() if other.key == job.key and other is not job]
        conclusion = _conclusion(result)
        if conclusion == names.FAILURE and not failed and any(_has_failed(other) for other in siblings):
            conclusion = names.SUCCESS
        self._conclude(job, conclusion)

    def _no_runner(self, job: JobState) -> None:
        labels = ", ".join(job.job.labels) if job.job is not None else ""
        self.annotate("failure", f"no runner has the label {labels}: this one is ubuntu-latest", job=job.name)
        self._conclude(job, names.FAILURE)

    def _conclude(self, job: JobState, conclusion: str) -> None:
        for step in job.steps:
            self._end_stream(job, step)
            if step.status == names.IN_PROGRESS:
                step.conclusion = conclusion
                step.completed = self._clock.time()
            elif step.status == names.QUEUED:
                step.conclusion = names.FAILURE if step.complained else names.SKIPPED
            step.status = names.COMPLETED
        job.status, job.conclusion, job.completed = names.COMPLETED, conclusion, self._clock.time()
        self.changes += 1

    def _command(self, job: JobState, step: StepState, record: Record) -> None:
        command, argument = str(record["command"]), str(record.get("arg") or "")
        given: Mapping[str, str] = record.get("kvPairs") or {}
        if command in _LEVELS:
            self._print(job, step, f"##[{command}]{argument}")
            self.annotate(
                _LEVELS[command], argument, job=job.name, step=step.name,
                title=str(given.get("title") or ""), path=str(given.get("file") or ""),
                line=_number(given.get("line")), column=_number(given.get("col")),
            )  # fmt: skip
        elif command == "add-mask":
            self._masker.add(argument)
        elif command in ("group", "endgroup", "debug"):
            self._print(job, step, f"##[{command}]{argument}")
        elif command == "summary":
            self._summaries.append(self._masker.mask(str(record.get("content") or ""))[:_LONGEST_SUMMARY])
            self.changes += 1

    def annotate(self, level: str, message: str, **place: str | int) -> None:
        if len(self.annotations) >= _MOST_ANNOTATIONS:
            return
        shown = {key: self._masker.mask(value) if isinstance(value, str) else value for key, value in place.items()}
        said = self._masker.mask(message)[:_LONGEST_TEXT]
        made: Record = {"level": level, "message": said, **{key: value for key, value in shown.items() if value}}
        if made not in self.annotations:
            self.annotations.append(made)
            self.changes += 1

    # the log

    def _print(self, job: JobState, step: StepState, text: str) -> None:
        stream = self._streams.setdefault((job.name, step.key), Stream(self._masker))
        for line in text.rstrip("\r\n").split("\n"):
            for shown in stream.push(_ESCAPES.sub("", line.rstrip("\r"))):
                self._line(job, step, shown)

    def _end_stream(self, job: JobState, step: StepState) -> None:
        stream = self._streams.pop((job.name, step.key), None)
        for shown in stream.end() if stream is not None else ():
            self._line(job, step, shown)

    def _line(self, job: JobState, step: StepState, text: str) -> None:
        where = f"{job.name}\t{step.name}".replace("\n", " ")
        self._write(f"{where}\t{rfc3339(self._clock.time())} {text}\n")

    # ending

    def end(self, conclusion: str) -> None:
        """Nothing more comes: what still ran ended as the run did, what waited was skipped."""
        stopped = names.CANCELLED if conclusion == names.TIMED_OUT else conclusion
        for job in self._begun.values():
            if job.status != names.COMPLETED:
                self._conclude(job, stopped)
            for step in job.steps:
                self._end_stream(job, step)
        for job in self._waiting:
            job.status, job.conclusion = (
                names.COMPLETED,
                names.CANCELLED if stopped == names.CANCELLED else names.SKIPPED,
            )
            for step in job.steps:
                step.status, step.conclusion = names.COMPLETED, job.conclusion
        self.changes += 1

    def time_out(self, job: JobState) -> None:
        minutes = job.job.timeout / 60 if job.job is not None else 0
        said = f"The job has exceeded the maximum execution time of {minutes:g} minutes."
        self.annotate("failure", said, job=job.name)
        self._conclude(job, names.TIMED_OUT)


def _steps(job: Job) -> list[StepState]:
    return [StepState(step.name, step.key) for step in job.steps]


def _name(job: Job | None, record: Record, matrix: Record) -> str:
    if job is None or "${{" in job.name:
        return str(record.get("job") or record["jobID"]).partition("/")[2].strip() or str(record["jobID"])
    if not matrix:
        return job.name
    return f"{job.name} ({', '.join(_cell(value) for value in matrix.values())})"


def _cell(value: Any) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def _is_forgiven(job: JobState) -> bool:
    return job.job is not None and job.job.may_fail


def _has_failed(job: JobState) -> bool:
    return any(step.conclusion == names.FAILURE for step in job.steps)


def _conclusion(result: str) -> str:
    return result if result in (names.SUCCESS, names.SKIPPED, names.CANCELLED) else names.FAILURE


def _number(given: object) -> int:
    text = str(given or "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0


def _timed(item: StepState | JobState) -> Record:
    made: Record = {"status": item.status}
    if item.conclusion:
        made["conclusion"] = item.conclusion
    if item.started:
        made["startedAt"] = rfc3339(item.started)
    if item.completed:
        made["completedAt"] = rfc3339(item.completed)
    return made


def _job_json(number: int, job: JobState) -> Record:
    steps = [{"name": step.name, "number": place, **_timed(step)} for place, step in enumerate(job.steps, start=1)]
    return {"name": job.name, "key": job.key, "id": number, **_timed(job), "steps": steps}
