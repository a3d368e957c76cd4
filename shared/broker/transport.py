"""kombu's transports, fixed so that a worker reconnects whatever happens to its broker.

Redis: a lost connection is raised as such and ends no worker, and every message is validated before kombu reads it.
RabbitMQ: the prefetch count belongs to the consumer, as replicated queues and RabbitMQ 4 demand.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from celery.app.amqp import AMQP
from kombu import Connection
from kombu.transport import pyamqp
from kombu.transport import redis as redis_transport

# The header of a received RabbitMQ message with the compression of its body, hidden from kombu.
COMPRESSION_HEADER: Final = "x-compression"


class BrokerChannel(redis_transport.Channel):
    """A channel that raises a connection error once its connection has been lost.

    kombu would raise AttributeError when a message is acknowledged or put back over it, which ends the worker.

    The transport option `read_message` gets each message of a queue as it is in the list, and returns what kombu reads,
    or None when the message was put aside.
    """

    from_transport_options = (*redis_transport.Channel.from_transport_options, "read_message")
    read_message: Callable[[str, bytes], bytes | None] | None = None

    def _create_client(self, asynchronous: bool = False) -> Any:
        client = super()._create_client(asynchronous)  # type: ignore[misc]  # the stubs leave it out
        if self.read_message is not None:
            client.set_response_callback("BRPOP", self._read)
        return client

    def _read(self, reply: list[bytes] | None, **_: object) -> tuple[bytes, bytes] | None:
        if not reply or self.read_message is None:
            return None
        key, raw = reply
        queue = key.decode().rsplit(self.sep, 1)[0]  # a queue has a list for each priority
        message = self.read_message(queue, raw)
        return None if message is None else (key, message)

    def _connparams(self, *args: Any, **kwargs: Any) -> Any:
        if self.connection.client is None:
            raise ConnectionError("The connection to the broker was lost.")
        return super()._connparams(*args, **kwargs)  # type: ignore[misc]  # the stubs leave it out


def is_read_by_transport(channel: object) -> bool:
    """Whether this channel's messages were validated and rebuilt before kombu read them."""
    return isinstance(channel, BrokerChannel) and channel.read_message is not None


class BrokerTransport(redis_transport.Transport):
    """Redis with our channels."""

    Channel = BrokerChannel


class SentinelBrokerChannel(BrokerChannel, redis_transport.SentinelChannel):
    """BrokerChannel to the master that Sentinels name."""

    from_transport_options = (*redis_transport.SentinelChannel.from_transport_options, "read_message")


class SentinelBrokerTransport(redis_transport.SentinelTransport):
    """Redis behind Sentinels, with our channels."""

    Channel = SentinelBrokerChannel


class RabbitMessage(pyamqp.Message):
    """A message whose body kombu leaves compressed: without a limit, 1 MB may decompress to 1 GB."""

    def __init__(self, msg: Any, channel: Any = None, **options: Any) -> None:
        headers = msg.properties.get("application_headers") or {}
        if "compression" in headers:
            headers[COMPRESSION_HEADER] = headers.pop("compression")
        super().__init__(msg, channel=channel, **options)


class RabbitChannel(pyamqp.Channel):
    """A channel of such messages."""

    Message = RabbitMessage


class RabbitConnection(pyamqp.Connection):
    """A connection with such channels."""

    Channel = RabbitChannel


class RabbitTransport(pyamqp.Transport):
    """RabbitMQ, each consumer with a prefetch count of its own."""

    Connection = RabbitConnection

    def qos_semantics_matches_spec(self, connection: Any) -> bool:
        """Have Celery leave the `global` flag of basic.qos unset."""
        return True


class RabbitSSLTransport(RabbitTransport, pyamqp.SSLTransport):
    """The same with TLS."""


_OURS: Final[Mapping[type, type]] = {
    redis_transport.Transport: BrokerTransport,
    redis_transport.SentinelTransport: SentinelBrokerTransport,
    pyamqp.Transport: RabbitTransport,
    pyamqp.SSLTransport: RabbitSSLTransport,
}


class BrokerConnection(Connection):
    """A connection that takes our transports."""

    def get_transport_cls(self) -> Any:
        """Return the class of the transport that the URL names, or ours in its place."""
        named = super().get_transport_cls()
        return _OURS.get(named, named)

    def ping(self) -> None:
        """Return once the broker has answered over this connection."""
        client = getattr(self.default_channel, "client", None)
        if client is not None:  # Redis
            client.ping()
        else:
            channel: Any = self.channel()  # the stubs leave `close` out
            channel.close()


class BrokerProtocol(AMQP):
    """Celery's side of the broker, with our connection."""

    Connection = BrokerConnection
