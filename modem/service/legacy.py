"""Takes in a legacy message: makes the thread and the run that it names, where they do not exist."""

import logging
from typing import Final

from modem.service.execute_run import RunServices, execute_run, refuse_run
from modem.service.redis_retry import redis_retry
from modem.type.flow_type import ProcessFlowDataRequest
from shared.clock import isoformat
from shared.contract.api import OnBusy
from shared.contract.run import RunJob, RunRecord
from shared.errors import StoreUnavailableError
from shared.store.run_values import SubmitOutcome, Submitted
from shared.store.threads import ThreadStore

_log = logging.getLogger(__name__)

# A script may write to one slot only, and who reads the flow's stream has nothing but the flow's ids to find it by.
TORN: Final = "In a Redis Cluster thread_id must be the flow_uuid or absent: a flow's stream lives with its thread."
_NO_TASK = "The message has no task: the first item of context_data must hold a text."


async def accept_flow(request: ProcessFlowDataRequest, services: RunServices, threads: ThreadStore) -> None:
    """Store the run and carry it out, unless it waits behind another of its thread.

    Raises StoreUnavailableError.
    """
    flow = services.keys(request.flow_uuid)
    is_cross_slot = flow.cluster and request.thread_id not in (None, "", request.flow_uuid)
    thread_id = request.flow_uuid if is_cross_slot else request.thread_id or request.flow_uuid
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
    elif is_cross_slot:
        await refuse_run(run, TORN, services)
    elif submitted.outcome is SubmitOutcome.ACTIVE:
        await execute_run(RunJob(thread_id=thread_id, run_id=run.run_id), services)
    else:
        _log.info("legacy run %s waits behind another run of its thread", run.run_id)


async def _submit(run: RunRecord, services: RunServices, threads: ThreadStore) -> Submitted:
    """Store the run; its message is all there is of it so far, so Redis is waited for."""
    async for attempt in redis_retry(run.run_id, unless=lambda: services.active.is_draining):
        with attempt:
            await threads.create(run.thread_id)
            return await services.runs.submit(run, on_busy=OnBusy.QUEUE)
    raise StoreUnavailableError
