"""`seatrial app ...`: Applications, with the verbs, flags, output and exit codes of `argocd app ... --core`.

It reads and writes Kubernetes objects only; the controller does the work.
"""

from __future__ import annotations

from seatrial.cli.app import change, compare, look, operate
from seatrial.cli.argocd import Group

app = Group("app", help="Create, look at, sync, wait for and delete Applications.", no_args_is_help=True)

for module in (look, compare, change, operate):
    for command in module.COMMANDS:
        app.add_command(command)
