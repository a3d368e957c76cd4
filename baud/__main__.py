"""`python -m client` is `baud`."""

from baud.cli import main

if __name__ == "__main__":
    main()
