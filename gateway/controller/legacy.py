"""The stream route that older integrations use."""

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from gateway.controller.dependencies import LastId, PrincipalDep, ServicesDep, StreamGuard, open_stream
from gateway.controller.documented_errors import may_stream
from gateway.service.stream.open_stream import FlowRuns, open_legacy_stream
from shared.errors import InvalidRequestError, ThreadNotFoundError
from shared.ids import ID_FORM, is_id

router = APIRouter(tags=["legacy"])

FlowUuid = Annotated[str, Query(alias="flowUuid")]
FlowInputUuid = Annotated[str, Query(alias="flowInputUuid")]


@router.get("/agent/event-stream", response_class=Response, responses=may_stream(ThreadNotFoundError))
async def stream_flow(
    services: ServicesDep,
    principal: PrincipalDep,
    guard: StreamGuard,
    last_id: LastId,
    *,
    flow_uuid: FlowUuid = "",
    flow_input_uuid: FlowInputUuid = "",
) -> Response:
    """Send one flow's events; a stream opened before the flow begins waits."""
    for name, value in (("flowUuid", flow_uuid), ("flowInputUuid", flow_input_uuid)):
        if not value.strip():
            raise InvalidRequestError(f"The query parameter {name} is required and must not be blank.")
        if not is_id(value):
            raise InvalidRequestError(f"The query parameter {name} cannot be an id: {ID_FORM}.")
    await services.access.check_flow(principal, flow_uuid)
    keys = services.connection.keys(flow_uuid)
    request = await open_legacy_stream(services.events, keys, flow_input_uuid, last_id)
    return open_stream(services, guard, request, FlowRuns(services.runs, services.threads, flow_input_uuid))
