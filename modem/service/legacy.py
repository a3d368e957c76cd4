"""Accepts a legacy message: creates its thread and run where they do not exist, and executes the run."""

import logging
from typing import Final

from modem.service.execute_run import RunServices, execute_run, refuse_run
from modem.service.redis_retry import redis_retry
from modem.type.flow_type import ProcessFlowDataRequest
from shared.clock import isoformat
from shared.contract.api import OnBusy
from shared.contract.run import RunJob, RunRecord
from shared.store.run_values import SubmitOutcome, Submitted
from shared.store.threads import ThreadStore

_log = logging.getLogger(__name__)

# A Lua script may write on one server only, and readers of the flow's stream know nothing but the flow's ids.
OTHER_THREAD: Final = (
    "Where threads are spread over several Redis servers, thread_id must be the flow_uuid or absent: a flow's stream "
    "lives with its thread."
)
_NO_TASK = "The message has no task: the first item of context_data must hold a text."


async def accept_flow(request: ProcessFlowDataRequest, services: RunServices, threads: ThreadStore) -> None:
    """Store the run and execute it, unless it is queued after another run of its thread.

    Raises StoreUnavailableError.
    """
    flow = services.keys(request.flow_uuid)
    is_other_thread = flow.is_hash_tagged and request.thread_id not in (None, "", request.flow_uuid)
    thread_id = request.flow_uuid if is_other_thread else request.thread_id or request.flow_uuid
    run = RunRecord(
        run_id=request.run_id or request.flow_input_uuid,
        thread_id=thread_id,
        task=request.task,
        context_data=request.further_context(),
        user_uuid=request.user_uuid,
        legacy_stream=flow.legacy_stream(request.flow_input_uuid),
        legacy_bell=flow.channel if thread_id != request.flow_uuid else None,
        created_at=isoformat(services.clock.now()),
    )
    submitted = await _submit(run, services, threads)
    if not run.task:
        await refuse_run(run, _NO_TASK, services)
    elif is_other_thread:
        await refuse_run(run, OTHER_THREAD, services)
    elif submitted.outcome is SubmitOutcome.ACTIVE:
        await execute_run(RunJob(thread_id=thread_id, run_id=run.run_id), services)
    else:
        _log.info("legacy run %s is queued after another run of its thread", run.run_id)


async def _submit(run: RunRecord, services: RunServices, threads: ThreadStore) -> Submitted:
    """Store the run. Waits for Redis: until then the run exists only in its message."""

    async def submit() -> Submitted:
        await threads.create(run.thread_id)
        return await services.runs.submit(run, on_busy=OnBusy.QUEUE)

    return await redis_retry(submit, run.run_id, unless=lambda: services.active.is_draining)
