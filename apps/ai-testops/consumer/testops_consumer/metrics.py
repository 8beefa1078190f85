"""What Prometheus reads from /metrics of each consumer."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

RESULTS = Counter("ai_testops_results_total", "Results stored", ["outcome"])
SECONDS = Histogram(
    "ai_testops_case_seconds",
    "Time from taking a case to its stored result",
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
)
RETRIES = Counter("ai_testops_request_retries_total", "Requests repeated after a transport error")
STALE = Counter("ai_testops_stale_messages_total", "Messages about a case that no longer waits for a result")
DEAD_LETTERS = Counter("ai_testops_dead_letters_total", "Messages put into the dead-letter topic")
SENT = Counter("ai_testops_messages_sent_total", "Messages the relay sent to the queue")
LAG = Gauge("ai_testops_consumer_lag", "Messages of an assigned partition that are not committed yet", ["partition"])
IN_FLIGHT = Gauge("ai_testops_cases_in_flight", "Cases under way in this consumer")
WAITING = Gauge("ai_testops_cases_waiting", "Cases of all runs without a result; set by the leading consumer")
LEADER = Gauge("ai_testops_relay_leader", "1 in the consumer that relays from the database to the queue")
ANALYSED = Counter("ai_testops_runs_analysed_total", "Runs whose failures were grouped")
