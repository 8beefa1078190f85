"""`make demo`: the reference workflow on this machine, from nothing; a table of what was promised and measured.

Exit code 0 when every promise was kept, 1 when one was missed or a step failed. With --keep the instance goes on.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

from demo.board import Board
from demo.lifecycle import HOST, Lifecycle
from demo.machine import Failed, Machine


def main() -> int:
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--keep", action="store_true", help="leave the instance running")
    parser.add_argument("--data-dir", type=Path, default=Path("~/.local/share/seatrial-demo").expanduser())
    options = parser.parse_args()
    machine, board = Machine(options.data_dir), Board()
    try:
        machine.delete()
    except Failed as error:
        print(error, file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory(prefix="seatrial-demo-") as scratch:
        work = options.data_dir.with_name("seatrial-demo-work") if options.keep else Path(scratch)
        shutil.rmtree(work / "ai-testops", ignore_errors=True)
        code = _run(machine, board, work)
    if options.keep and machine.state().get("running"):
        _tell(machine, work)
    else:
        machine.delete()
    return code


def _run(machine: Machine, board: Board, work: Path) -> int:
    try:
        with board.step("seatrial up"):
            machine.up()
        Lifecycle(machine, board, work).run()
    except Failed as error:
        board.say(f"FAILED: {error}")
        print(board.table())
        return 1
    except KeyboardInterrupt:
        board.say("interrupted")
        return 1
    print(board.table())
    if board.missed:
        print(f"\n{len(board.missed)} of {len(board.promises)} promises missed, {board.seconds:.0f} s")
        return 1
    print(f"\nall {len(board.promises)} promises kept, {board.seconds:.0f} s")
    return 0


def _tell(machine: Machine, work: Path) -> None:
    state = machine.state()
    print(f'\nIt goes on running: eval "$(seatrial env --data-dir {machine.directory})"')
    for name, url in state["urls"].items():
        print(f"  {name:<10} {url}")
    print(f"  application  curl -H 'Host: {HOST}' {state['urls']['http']}/health")
    print(f"  repository   {work / 'ai-testops'}")
    print(f"  stop it with seatrial down --delete --data-dir {machine.directory}")


if __name__ == "__main__":
    sys.exit(main())
