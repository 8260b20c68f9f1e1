"""`python -m regraft` is the `regraft` command."""

import signal


def main() -> None:
    """Runs the command line. While its modules are imported, Ctrl-C ends the process without a word, like SIGTERM."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from regraft.cli.main import main as run
    from regraft.machine.signals import ignore

    try:
        run()
    finally:
        ignore()


if __name__ == "__main__":
    main()
