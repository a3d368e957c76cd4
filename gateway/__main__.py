"""`python -m gateway`."""

from gateway.core.serve import app

if __name__ == "__main__":
    app(prog_name="gateway")
