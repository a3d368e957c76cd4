"""`python -m modem`."""

from modem.core.serve import app

if __name__ == "__main__":
    app()
