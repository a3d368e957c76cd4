"""Explains what a run is doing, and what happens next by itself."""

from datetime import datetime

from shared.clock import isoformat
from shared.contract.api import WhatNext, WhyResponse
from shared.contract.run import RunStatus
from shared.contract.state import Phase
from shared.store.run_diagnosis import RunDiagnosis


def explain_run(diagnosis: RunDiagnosis) -> WhyResponse:
    """Return the explanation of a run as it stands."""
    run = diagnosis.run
    doing, since = _doing(diagnosis)
    return WhyResponse(
        thread_id=run.thread_id,
        run_id=run.run_id,
        status=run.status,
        doing=doing,
        since=since,
        last_progress_at=_text(diagnosis.last_event_at) if diagnosis.is_active else run.ended_at,
        owner=run.owner,
        is_owner_alive=_is_owner_alive(diagnosis),
        attempts=run.attempts,
        crashes=run.crashes,
        usage=run.usage,
        next=_next(diagnosis),
    )


def _doing(diagnosis: RunDiagnosis) -> tuple[str, str | None]:
    run, state = diagnosis.run, diagnosis.state
    if run.status.is_terminal:
        return f"It has ended: {run.stop_reason}. {run.message or ''}".strip(), run.ended_at
    if run.status is RunStatus.PENDING:
        if diagnosis.is_active:
            return "It waits for a free worker.", run.created_at
        return f"It waits behind {diagnosis.runs_ahead} run(s) of its thread.", run.created_at
    if run.waiting is not None:
        return f"It waits for a person: {run.waiting.question}", _text(diagnosis.last_event_at)
    if run.cancel_requested_at:
        return "It is being cancelled.", run.cancel_requested_at
    if not _has_lease(diagnosis):
        return "Its worker was lost; another one has to take it over.", _text(diagnosis.lease_until)
    if state.in_flight:
        return f"It carries out {len(state.in_flight)} tool call(s).", state.in_flight[0].began_at
    phase = "plan" if state.phase is Phase.PLANNING else "next step"
    return f"It waits for the model's {phase}.", _text(diagnosis.last_event_at)


def _next(diagnosis: RunDiagnosis) -> WhatNext:
    run = diagnosis.run
    if run.status.is_terminal:
        return WhatNext(what="Nothing: it can not change any more.")
    if run.status is RunStatus.PENDING and not diagnosis.is_active:
        return WhatNext(what="It begins when the runs before it have ended.")
    if run.status is RunStatus.PENDING:
        return WhatNext(what="A worker's reaper publishes its job again.", at=_text(diagnosis.next_check_at))
    if run.waiting is not None:
        return WhatNext(
            what="It goes on with the configured default, unless somebody answers.", at=run.waiting.expires_at
        )
    if run.cancel_requested_at:
        return WhatNext(
            what="Its worker ends it, or a reaper does if the worker is gone.", at=_text(diagnosis.lease_until)
        )
    if not _has_lease(diagnosis):
        return WhatNext(what="A reaper publishes its job again.", at=_text(diagnosis.next_check_at))
    return WhatNext(
        what="If its worker stops renewing its lease, another one takes it over.", at=_text(diagnosis.lease_until)
    )


def _is_owner_alive(diagnosis: RunDiagnosis) -> bool:
    """Whether the owner is alive; one whose lease expired counts as lost, though its heartbeat may expire later."""
    if diagnosis.run.status is RunStatus.PROCESSING and not _has_lease(diagnosis):
        return False
    return diagnosis.is_owner_alive


def _has_lease(diagnosis: RunDiagnosis) -> bool:
    return diagnosis.lease_until is not None and diagnosis.lease_until > diagnosis.now


def _text(moment: datetime | None) -> str | None:
    return isoformat(moment) if moment else None
