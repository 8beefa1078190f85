"""`seatrial run ...`: runs of workflows, with the verbs, flags, output and exit codes of `gh run ...`.

It reads and writes PipelineRun objects; logs come from the server that their status names.
"""

from __future__ import annotations

import click

from seatrial.cli.run import changing, listing, viewing, watching

run = click.Group("run", help="List, view, watch, rerun and cancel runs of workflows.", no_args_is_help=True)

for module in (listing, viewing, watching, changing):
    for command in module.COMMANDS:
        run.add_command(command)
