"""kombu's Redis transport with one fault mended: a lost connection is told as one, and ends no worker."""

from typing import Any

from celery.app.amqp import AMQP
from kombu import Connection
from kombu.transport import redis as redis_transport


class BrokerChannel(redis_transport.Channel):
    """A channel that fails as a lost connection does, once its connection has been lost and given up.

    kombu would raise AttributeError when a message is acknowledged or put back over it, which ends the worker.
    """

    def _connparams(self, *args: Any, **kwargs: Any) -> Any:
        if self.connection.client is None:
            raise ConnectionError("The connection to the broker was lost.")
        return super()._connparams(*args, **kwargs)  # type: ignore[misc]  # the stubs leave it out


class BrokerTransport(redis_transport.Transport):
    """Redis with our channels."""

    Channel = BrokerChannel


class BrokerConnection(Connection):
    """A connection that takes our transport for Redis."""

    def get_transport_cls(self) -> Any:
        """Return the class of the transport that the URL names."""
        named = super().get_transport_cls()
        return BrokerTransport if named is redis_transport.Transport else named


class BrokerProtocol(AMQP):
    """Celery's side of the broker, with our connection."""

    Connection = BrokerConnection
