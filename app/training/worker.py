"""Run as a script in a process of its own: trains the run that one line of JSON on stdin asks for.

What a user can put right is said twice: on stderr for people, and as one line of JSON on stdout for the process that
started this one.
"""

import json
import os
import sys
import threading


def _end_with_parent() -> None:
    """Ends this process when the one that started it is gone and its end of stdin closes."""
    while os.read(0, 1):
        pass
    os._exit(3)


def _read_line() -> bytes:
    """One line of stdin, and not a byte more."""
    line = b""
    while not line.endswith(b"\n"):
        byte = os.read(0, 1)
        if not byte:
            break
        line += byte
    return line


if __name__ == "__main__":
    line = _read_line()
    if not line:
        sys.exit(3)
    order = json.loads(line)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    from regraft.errors import RegraftError
    from regraft.training.many_runs import from_order, to_line, train_run

    try:
        train_run(from_order(order))
    except RegraftError as error:
        sys.stderr.write(f"{error}\n")
        sys.stdout.write(f"{to_line(error)}\n")
        sys.exit(error.exit_code)
