"""Run as a script in a process of its own: trains the run that one line of JSON on stdin asks for.

What a user can put right is said twice: on stderr for people, and as one line of JSON on stdout for the process that
started this one.
"""

import json
import signal
import sys

if __name__ == "__main__":
    line = sys.stdin.readline()
    if not line:
        sys.exit(3)
    order = json.loads(line)
    from regraft.errors import RegraftError
    from regraft.machine.signals import Stopped, listening
    from regraft.training.many_runs import from_order, to_line, train_run

    try:
        with listening():
            train_run(from_order(order))
    except RegraftError as error:
        sys.stderr.write(f"{error}\n")
        sys.stdout.write(f"{to_line(error)}\n")
        sys.exit(error.exit_code)
    except Stopped as stop:
        signal.signal(stop.number, signal.SIG_DFL)
        signal.raise_signal(stop.number)  # so that who started this process sees what it ended by
