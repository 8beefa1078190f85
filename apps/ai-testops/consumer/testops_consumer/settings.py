"""The consumer's settings, all from the environment (README.md lists the variables)."""

from __future__ import annotations

from dataclasses import dataclass

from groundwork import environment

QUEUE = "test_run_queue"
DEAD_LETTERS = "test_run_dead_letter"
GROUP = "testops-consumers"


@dataclass(frozen=True)
class Settings:
    database_url: str
    bootstrap_servers: str
    credentials_key: str
    allowed_hosts: tuple[str, ...] = ()
    port: int = 8001
    partitions: int = 12
    replication: int = 1
    session_timeout: float = 6.0
    """The shortest Kafka allows by default: how long a killed consumer's partitions wait for another."""
    concurrency: int = 20
    request_timeout: float = 30.0
    """For one attempt as a whole, from looking up the name to the last byte of the answer."""
    response_limit: int = 1024 * 1024
    attempts: int = 3
    resend_after: float = 60.0
    """A case sent but not answered for this long is sent again; the wait doubles each time."""
    deliveries: int = 10
    outstanding: int = 1000
    """At most so many cases are in the queue and unanswered: a long run must not look like a lost one."""
    poll: float = 0.25
    shutdown: float = 20.0
    log_level: str = "INFO"


def from_environment() -> Settings:
    number = environment.number
    return Settings(
        database_url=environment.text("DATABASE_URL"),
        bootstrap_servers=environment.text("KAFKA_BOOTSTRAP_SERVERS", "localhost:9092"),
        credentials_key=environment.text("CREDENTIALS_KEY", "") or environment.text("SECRET_KEY"),
        allowed_hosts=environment.words("TARGET_ALLOWED_HOSTS"),
        port=int(number("PORT", 8001)),
        partitions=int(number("KAFKA_PARTITIONS", 12)),
        replication=int(number("KAFKA_REPLICATION", 1)),
        session_timeout=number("KAFKA_SESSION_TIMEOUT_SECONDS", 6),
        concurrency=int(number("CONCURRENCY", 20)),
        request_timeout=number("REQUEST_TIMEOUT_SECONDS", 30),
        response_limit=int(number("RESPONSE_LIMIT_BYTES", 1024 * 1024)),
        attempts=int(number("REQUEST_ATTEMPTS", 3)),
        resend_after=number("RESEND_AFTER_SECONDS", 60),
        deliveries=int(number("MAX_DELIVERIES", 10)),
        outstanding=int(number("MAX_OUTSTANDING", 1000)),
        shutdown=number("SHUTDOWN_SECONDS", 20),
        log_level=environment.text("LOG_LEVEL", "INFO"),
    )
