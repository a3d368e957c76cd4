"""Runs on a complete stack through baud-client as it is installed, in a project with modules named as the services."""

import pytest

from tests.e2e.event_log import assert_read_whole
from tests.e2e.stack import Stack
from tests.e2e.test_commands import events_in
from tests.fakes.openai_script import Answer
from tests.fakes.openai_server import OpenAIServer
from tests.integration.client_install import UserProject, build, make_user_project

pytestmark = pytest.mark.timeout(300)

# A program of the user's: its own modules beside it, the client from the environment.
_PROGRAM = """
import sys

import client, shared, gateway, modem, workflow
from baud import Baud

for module in (client, shared, gateway, modem, workflow):
    assert module.WHOSE == f"the {module.__name__} of the project"
with Baud(sys.argv[1]) as baud:
    thread_id = baud.initiate().thread_id
    run_id = baud.execute(thread_id, "Do it").run_id
    for event in baud.run_stream(thread_id, run_id):
        print(event.to_json())
    assert baud.run(thread_id, run_id).status.value == "completed"
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> UserProject:
    folder = tmp_path_factory.mktemp("user")
    return make_user_project(build("wheel", folder / "built"), folder)


def test_a_program_reads_its_run_to_the_end(stack: Stack, openai_server: OpenAIServer, project: UserProject) -> None:
    openai_server.play([Answer(text="Done as you said.")])
    program = project.folder / "program.py"
    program.write_text(_PROGRAM)
    done = project.call(project.python, program, stack.url)
    assert (done.returncode, done.stderr) == (0, "")
    events = events_in(done.stdout)
    assert_read_whole(events, list(stack.log(events[0].data.thread_id)))


def test_the_command_reads_its_run_to_the_end(stack: Stack, openai_server: OpenAIServer, project: UserProject) -> None:
    openai_server.play([Answer(text="Done as you said.")])
    done = project.baud("run", "--json", "Do it", BAUD_URL=stack.url)
    assert (done.returncode, done.stderr) == (0, "")
    events = events_in(done.stdout)
    thread_id = events[0].data.thread_id
    log = list(stack.log(thread_id))
    assert_read_whole(events, log)
    # As a module the project's folder comes first on the path, and the project's modules with it.
    tail = project.call(project.python, "-m", "baud", "tail", "--no-follow", "--json", thread_id, BAUD_URL=stack.url)
    assert (tail.returncode, tail.stderr) == (0, "")
    assert events_in(tail.stdout) == log
    assert thread_id in project.baud("threads", BAUD_URL=stack.url).stdout
