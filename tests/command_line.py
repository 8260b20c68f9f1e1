"""The command line as tests call it: in this process, with what it answered."""

from __future__ import annotations

import io
import json
import shlex
from contextlib import redirect_stderr, redirect_stdout
from contextvars import copy_context
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import click


@dataclass(frozen=True)
class Answer:
    """What the command line answered: its exit code and what it printed."""

    code: int
    stdout: str
    stderr: str

    @property
    def values(self) -> dict[str, Any]:
        """The one JSON object on stdout."""
        return json.loads(self.stdout)


def run_regraft(*words: object, stdin: str = "") -> Answer:
    """Runs `regraft` with these words in this process, as the console script would."""
    from regraft.cli.main import main

    out, err = (
        io.TextIOWrapper(io.BytesIO(), "utf-8", errors=errors, newline="", write_through=True)
        for errors in ("strict", "backslashreplace")  # as Python opens them
    )
    argv = ["regraft", *map(str, words)]
    with patch("sys.argv", argv), patch("sys.stdin", io.StringIO(stdin)), redirect_stdout(out), redirect_stderr(err):
        try:
            copy_context().run(main)  # which remembers the command line for what runs within
            code = 0
        except SystemExit as end:
            code = int(end.code or 0)
    stdout, stderr = (stream.buffer.getvalue().decode("utf-8", "surrogateescape") for stream in (out, err))
    return Answer(code, stdout, stderr)


def parse_command(line: str) -> click.Context:
    """Parses a command line such as `regraft check photos/` without running it. Raises click.UsageError."""
    from regraft.cli.main import regraft

    program, *words = shlex.split(line, comments=True)
    assert program == "regraft"
    if words[0] not in regraft.commands:
        return regraft.make_context("regraft", words)
    return regraft.commands[words[0]].make_context(words[0], words[1:])
