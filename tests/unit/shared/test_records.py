"""Records in Redis hashes come back as they were."""

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from shared.contract.message import ChatMessage
from shared.contract.run import ContextItem, RunRecord
from shared.contract.state import AgentState, Plan
from shared.contract.thread import ThreadRecord
from shared.store.records import (
    flatten,
    pairs_to_dict,
    read_message,
    read_record,
    state_fields,
    to_fields,
    write_message,
)
from tests.fakes.contract_strategies import instances

NOW = "2026-01-02T03:04:05+00:00"
RECORDS = st.one_of(instances(RunRecord), instances(ThreadRecord), instances(AgentState))


def raw(fields: dict[str, str]) -> dict[bytes, bytes]:
    return {name.encode(): text.encode() for name, text in fields.items()}


def as_read(record: RunRecord | ThreadRecord | AgentState) -> object:
    """An empty text and an absent member are the same thing in a hash."""
    members = record.model_dump()
    return {name: None if value == "" else value for name, value in members.items()}


def required_are_there(record: RunRecord | ThreadRecord | AgentState) -> bool:
    names = {"run_id", "thread_id", "created_at", "updated_at", "tenant"}
    return all(value != "" for name, value in record.model_dump().items() if name in names)


@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(RECORDS.filter(required_are_there))
@example(ThreadRecord(thread_id="t", created_at=NOW, updated_at=NOW, metadata={"n": 2**70, "null": None, "e": ""}))
def test_a_record_comes_back_from_its_hash(record: RunRecord | ThreadRecord | AgentState) -> None:
    flat = [part.encode() for part in flatten(to_fields(record))]
    assert as_read(read_record(type(record), pairs_to_dict(flat))) == as_read(record)


@pytest.mark.parametrize("name", ["task", "message", "owner"])
def test_an_empty_text_that_means_something_stays(name: str) -> None:
    record = RunRecord(run_id="r", thread_id="t", created_at=NOW, task="x").model_copy(update={name: ""})
    assert getattr(read_record(RunRecord, raw(to_fields(record))), name) == ""


def test_a_state_without_a_plan_overwrites_one_with_a_plan() -> None:
    written = state_fields(AgentState(plan=Plan(name="a", plan="b")))
    written.update(state_fields(AgentState()))
    assert read_record(AgentState, raw(written)) == AgentState()


def test_bookkeeping_of_the_scripts_is_not_part_of_a_record() -> None:
    record = RunRecord(run_id="r", thread_id="t", created_at=NOW, task="x")
    fields = {**to_fields(record), "claim_id": "c", "sequence": "3", "idempotency_key": "", "next_run_id": ""}
    assert read_record(RunRecord, raw(fields)) == record


def test_context_items_keep_members_that_nobody_knows() -> None:
    item = ContextItem.model_validate({"type": "file", "content": None, "lines": [1, None]})
    record = RunRecord(run_id="r", thread_id="t", created_at=NOW, task="x", context_data=(item,))
    assert read_record(RunRecord, raw(to_fields(record))) == record


@given(instances(ChatMessage))
def test_a_message_comes_back_from_the_conversation(message: ChatMessage) -> None:
    assert read_message(write_message(message)) == message
