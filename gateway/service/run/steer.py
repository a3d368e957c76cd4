"""The steering text for an active run: a user message and the event that shows it."""

from gateway.service.run.complete_event import complete_event
from shared.clock import SystemClock
from shared.contract.event import ExecuteType
from shared.contract.result import UserMessageResult
from shared.contract.run import RunRecord
from shared.ids import new_id
from shared.store.run_values import SteerText
from shared.user_message import user_message


def steer_text(request: RunRecord, clock: SystemClock) -> SteerText:
    """Return the steering text of a request, with its context."""
    context = tuple(item.model_dump(mode="json") for item in request.context_data)
    result = UserMessageResult(task=request.task, context_data=context)
    event = complete_event(
        request,
        clock,
        uuid=new_id(),
        kind=ExecuteType.USER_MESSAGE,
        result={"user_message_result": result.model_dump(mode="json")},
    )
    message = user_message(request.task, request.context_data)
    stamped = message.model_copy(update={"run_id": request.run_id, "created_at": event.create_at})
    return SteerText(stamped, event.to_json())
