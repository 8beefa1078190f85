"""gunicorn's settings: `gunicorn -c config/gunicorn.py config.wsgi`.

On SIGTERM it stops accepting, lets the requests in flight finish, and leaves.
"""

import os
import shutil
import tempfile

from groundwork import environment

# Each worker writes its metrics here, /metrics adds them up. Set before prometheus_client is imported, which looks
# once; on SIGHUP this file is read again, and the new workers write where the old ones did.
METRICS = os.environ.get("PROMETHEUS_MULTIPROC_DIR") or tempfile.mkdtemp(prefix="metrics-")
os.environ["PROMETHEUS_MULTIPROC_DIR"] = METRICS

from prometheus_client import multiprocess  # noqa: E402

bind = f"0.0.0.0:{environment.text('PORT', '8000')}"
workers = int(environment.number("WEB_CONCURRENCY", 2))
threads = int(environment.number("WEB_THREADS", 8))
worker_class = "gthread"
preload_app = True
timeout = 90  # above the longest generation (LLM_TIMEOUT_SECONDS is at most 60)
graceful_timeout = 25
keepalive = 15
worker_tmp_dir = "/dev/shm"
accesslog = None
control_socket_disable = True


def child_exit(server, worker):
    multiprocess.mark_process_dead(worker.pid)


def on_exit(server):
    shutil.rmtree(METRICS, ignore_errors=True)
