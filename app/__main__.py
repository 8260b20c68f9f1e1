"""`python -m regraft` is the `regraft` command."""

from regraft.cli.main import main

if __name__ == "__main__":
    main()
