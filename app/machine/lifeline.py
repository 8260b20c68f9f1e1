"""Run as a script: runs the program that its words name, and ends this process when the one that started it is gone.

The words are a number and those that Python would be given: `-m MODULE` or a path, and the program's own. The number is
that of the reading end of a pipe, which closes when the holder of the other end does not live any more.
"""

import os
import runpy
import sys
import threading


def _end_with(pipe: int) -> None:
    while os.read(pipe, 1):
        pass
    os._exit(3)


if __name__ == "__main__":
    _, pipe, *words = sys.argv
    threading.Thread(target=_end_with, args=(int(pipe),), daemon=True).start()
    if words[0] == "-m":
        sys.argv = words[1:]
        runpy.run_module(words[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = words
        runpy.run_path(words[0], run_name="__main__")
