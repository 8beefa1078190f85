"""gunicorn's settings: `gunicorn -c config/gunicorn.py config.wsgi`.

On SIGTERM it stops accepting, lets the requests in flight finish, and leaves.
"""

import tempfile

from prometheus_client import multiprocess

from groundwork import environment

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

# Each worker writes its metrics here, /metrics adds them up.
raw_env = [f"PROMETHEUS_MULTIPROC_DIR={tempfile.mkdtemp(prefix='metrics-')}"]


def child_exit(server, worker):
    multiprocess.mark_process_dead(worker.pid)
