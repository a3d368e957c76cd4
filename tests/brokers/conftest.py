"""What the tests of RabbitMQ share with those of complete stacks."""

from tests.e2e.conftest import new_broker as new_broker
from tests.e2e.conftest import openai_server as openai_server
from tests.e2e.conftest import provider as provider
from tests.e2e.conftest import pytest_runtest_makereport as pytest_runtest_makereport
