"""The steering text for an active run: a user message and the event that shows it."""

from shared.clock import SystemClock, isoformat
from shared.contract.run import RunRecord
from shared.ids import new_id
from shared.run_events import user_message_event
from shared.store.run_values import SteerText
from shared.user_message import user_message


def steer_text(request: RunRecord, clock: SystemClock) -> SteerText:
    """Return the steering text of a request, with its context."""
    now = isoformat(clock.now())
    message = user_message(request.task, request.context_data)
    stamped = message.model_copy(update={"run_id": request.run_id, "created_at": now})
    return SteerText(stamped, user_message_event(request, uuid=new_id(), now=now).to_json())
