"""The WebSocket of a thread: its events in one direction, commands in the other."""

from typing import Annotated

from fastapi import APIRouter, Depends, WebSocket

from gateway.controller.dependencies import (
    LastId,
    Only,
    ReadableThread,
    Services,
    ServicesDep,
    StreamGuard,
    open_session,
)
from gateway.controller.error_handlers import refuse_message
from gateway.service.socket.commands import SocketCommands
from gateway.service.socket.session import SocketSession
from gateway.service.stream.open_stream import open_thread_stream
from gateway.service.stream.sse import CHUNK_SHARE, WIRE_EXTENSION
from gateway.service.stream.stream_limits import client_of
from gateway.service.stream.stream_session import CredentialGuard, StreamRequest
from gateway.service.stream.write_timeout import WriteTimeout

router = APIRouter(prefix="/ws/agent/{thread_id}")


async def _stream_request(
    services: ServicesDep, thread_id: ReadableThread, last_id: LastId, only: Only
) -> StreamRequest:
    keys = services.connection.keys(thread_id)
    request = await open_thread_stream(services.threads, services.events, keys, last_id, until_completion=False)
    return request.filtered(only)


@router.websocket("")
async def open_socket(
    websocket: WebSocket,
    services: ServicesDep,
    guard: StreamGuard,
    request: Annotated[StreamRequest, Depends(_stream_request)],
) -> None:
    """Send the thread's events as they come, and execute the client's commands."""
    with services.stream_limits.admit(client_of(websocket.scope)):
        await websocket.accept()
        await _session(websocket, services, guard, request).run()


def _session(websocket: WebSocket, services: Services, guard: CredentialGuard, request: StreamRequest) -> SocketSession:
    commands = SocketCommands(
        request.thread_id,
        websocket.state.principal,
        services.access,
        services.threads,
        services.submission,
        services.cancellation,
        services.answering,
    )
    wire = websocket.scope.get("extensions", {}).get(WIRE_EXTENSION)
    write_timeout = None if wire is None else WriteTimeout(services.hub.wheel, wire, services.stream.send_timeout)
    if write_timeout is not None:
        write_timeout.pause_sender_above(max_bytes=services.stream.client_buffer_bytes // CHUNK_SHARE)
    return SocketSession(
        websocket,
        open_session(services, guard, request),
        commands,
        write_timeout,
        max_message_bytes=services.max_message_bytes,
        refusal=refuse_message,
    )
