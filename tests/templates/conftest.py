"""What needs node, npm or git, on sandboxes of both kinds: make test-templates."""

from tests.integration.sandbox.conftest import sandboxes as sandboxes
