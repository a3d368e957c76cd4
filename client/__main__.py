"""`python -m client` is `baud`."""

from client.cli import main

if __name__ == "__main__":
    main()
