"""`python -m baud` runs the `baud` command."""

from baud.cli import main

if __name__ == "__main__":
    main()
