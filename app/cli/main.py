"""The command line: its verbs in the order of a user's work, and what becomes of errors."""

from __future__ import annotations

import atexit
import contextlib
import os
import shlex
import signal
import sys
import threading
from typing import Any

import click

from regraft import __version__
from regraft.cli import model_verbs, other_verbs, photo_verbs, training_verbs
from regraft.cli.peers import advice_on
from regraft.cli.streams import open_streams, reader_may_go
from regraft.errors import RegraftError, UsageError, as_options, did_you_mean, refused_by_system, visible
from regraft.machine.quiet import swallowed
from regraft.machine.signals import Stopped, listening, stop_behind

_SECONDS_FOR_LIBRARIES = 5.0


class _Verbs(click.Group):
    """Verbs in the order in which they were added, and a suggestion for a mistyped one."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[Any, Any, list[str]]:
        if args and args[0] not in self.commands:
            hint = did_you_mean(args[0], self.commands) or " See regraft --help."
            raise UsageError(f'There is no verb "{args[0]}".{hint}')
        return super().resolve_command(ctx, args)

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        with reader_may_go():  # --help and --version print here
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            with reader_may_go():
                return super().invoke(ctx)
        except KeyboardInterrupt as stop:
            raise _InterruptedError from stop  # click writes an empty line for those it knows


class _InterruptedError(Exception):
    """What click is shown in the place of the interrupt that is its cause."""


@click.group(
    cls=_Verbs,
    epilog="Example: regraft train photos/ --recipe balanced",
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, prog_name="regraft")
def regraft() -> None:
    """Turn a folder of photos, one sub-folder per class, into an image classifier you can trust."""


for _verb in (
    photo_verbs.check,
    training_verbs.train,
    training_verbs.pretrain,
    training_verbs.compare,
    training_verbs.ensemble,
    photo_verbs.augment_preview,
    training_verbs.find_lr,
    model_verbs.evaluate,
    model_verbs.threshold,
    model_verbs.export,
    model_verbs.predict,
    other_verbs.backbones,
    other_verbs.cache,
    other_verbs.demo,
):
    regraft.add_command(_verb)


def main() -> None:
    """Runs the command line: exit code 0, 1 for an internal failure, 2 for a mistake in one line on stderr.

    1 is also what `evaluate --require` ends with where a bound is not met, and an export that fails its proof.

    141 is that of a command whose reader has gone, as in `regraft backbones | head -1`. A signal ends it in one line
    that says how to go on, with 128 and its number: 130 for Ctrl-C, 143 for SIGTERM.
    """
    with listening():
        try:
            _run()
        except BaseException as error:
            if stop := stop_behind(error):
                _leave(stop)
            raise


def _run() -> None:
    open_streams()
    _remember_command()
    try:
        code = regraft.main(standalone_mode=False, prog_name="regraft")
        if isinstance(code, int) and code:  # of click's `Exit`
            sys.exit(code)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        sys.exit(2)
    except click.NoSuchOption as error:
        _fail(advice_on(error), error.exit_code)
    except click.UsageError as error:
        hint = f" See {error.ctx.command_path} --help." if error.ctx else ""
        _fail(error.format_message() + hint, error.exit_code)
    except click.ClickException as error:
        _fail(error.format_message(), error.exit_code)
    except _InterruptedError:
        raise
    except Exception as error:
        _fail_or_raise(error)


def _remember_command() -> None:
    """Has runs record the words that made them."""
    from regraft.api.arguments import COMMAND

    COMMAND.set(("regraft", *map(shlex.quote, sys.argv[1:])))


def _leave(stop: KeyboardInterrupt) -> None:
    """Says how to go on, and ends the process; after a real signal without waiting for threads that still work."""
    number = stop.number if isinstance(stop, Stopped) else signal.SIGINT
    word = "interrupted" if number == signal.SIGINT else f"stopped by {signal.Signals(number).name}"
    notes = getattr(stop, "__notes__", [])
    try:
        _fail(f"{word}; {notes[-1]}" if notes else f"{word}.", 128 + number)
    finally:
        if isinstance(stop, Stopped):
            _end_at_once(128 + number)


def _end_at_once(code: int) -> None:
    """Ends the process after what libraries have to remove at its end, for which they get seconds."""
    end = threading.Timer(_SECONDS_FOR_LIBRARIES, os._exit, (code,))
    end.daemon = True
    end.start()
    with contextlib.suppress(BaseException), swallowed():  # they may have been interrupted while they were imported
        atexit._run_exitfuncs()
    os._exit(code)


def _fail_or_raise(error: Exception) -> None:
    if isinstance(error, RegraftError):
        _fail(as_options(error.text), error.exit_code)
    if isinstance(error, OSError) and error.strerror:
        _fail(refused_by_system(error).text, 2)
    raise error


def _fail(message: str, code: int) -> None:
    with contextlib.suppress(OSError):  # whoever reads stderr may have gone
        print(f"regraft: {visible(' '.join(message.split()))}", file=sys.stderr)
    sys.exit(code)
