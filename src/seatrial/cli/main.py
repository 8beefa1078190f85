"""`seatrial`: the entry point, and the one place where an error becomes a message and an exit code."""

from __future__ import annotations

import sys

import click

import seatrial
from seatrial.base.errors import SeatrialError
from seatrial.cli import app, cluster, controller, image, instance, proj, repo, run, secret

DONE, FAILED, USAGE = 0, 1, 2


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(seatrial.__version__, prog_name="seatrial")
def cli() -> None:
    """GitOps delivery and a real Kubernetes API on one machine, without Docker."""


COMMANDS = (
    *(instance.up, instance.status, instance.down, instance.env, image.image),
    *(app.app, run.run, proj.proj, repo.repo, cluster.cluster, secret.secret, controller.controller),
)
for command in COMMANDS:
    cli.add_command(command)


def main() -> None:
    try:
        code = cli.main(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(130)
    except SeatrialError as error:
        click.echo(f"error: {error.message}", err=True)
        sys.exit(FAILED)
    except BrokenPipeError:
        sys.exit(141)
    sys.exit(code if isinstance(code, int) else DONE)


if __name__ == "__main__":
    main()
