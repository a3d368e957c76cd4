"""Every model that crosses a process border comes back as it was, and newer versions can be read."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, JsonValue, ValidationError

from shared.contract import api, event, message, result, run, state, thread
from shared.contract.base import Contract
from tests.fakes.contract_strategies import instances

MODULES = (api, event, message, result, run, state, thread)
MODELS = sorted(
    {
        model
        for module in MODULES
        for model in vars(module).values()
        if isinstance(model, type) and issubclass(model, Contract) and model not in (Contract, api.Page)
    },
    key=lambda model: model.__name__,
)
BODIES = (api.InitiateRequest(), api.ExecuteRequest(task="tea"))


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_a_model_comes_back_as_it_was_written(model: type[Contract], data: st.DataObject) -> None:
    value = data.draw(instances(model))
    assert model.model_validate_json(value.model_dump_json()) == value
    assert model.model_validate_json(value.model_dump_json(exclude_defaults=True)) == value


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
@settings(max_examples=5, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_a_member_of_a_newer_version_is_tolerated(model: type[Contract], data: st.DataObject) -> None:
    value = data.draw(instances(model))
    newer = model.model_validate({**value.model_dump(mode="json"), "a_member_of_tomorrow": [1]})
    assert newer.model_dump(exclude={"a_member_of_tomorrow"}) == value.model_dump()


@given(instances(event.AgentExecuteData))
def test_an_event_on_the_wire_is_one_line_without_null_members(value: event.AgentExecuteData) -> None:
    data = value.to_json()
    assert b"\n" not in data
    read = event.AgentExecuteData.model_validate_json(data)
    assert read.model_dump(exclude_none=True) == value.model_dump(exclude_none=True)


@pytest.mark.parametrize("value", [run.RunJob(thread_id="t", run_id="r"), *BODIES], ids=lambda v: type(v).__name__)
def test_a_value_cannot_be_changed(value: BaseModel) -> None:
    with pytest.raises(ValidationError, match="frozen"):
        setattr(value, next(iter(type(value).model_fields)), "other")


@pytest.mark.parametrize("value", BODIES, ids=lambda value: type(value).__name__)
def test_a_typo_of_a_client_is_refused(value: BaseModel) -> None:
    with pytest.raises(ValidationError, match="Extra inputs"):
        type(value).model_validate({**value.model_dump(mode="json"), "paramters": {}})


@pytest.mark.parametrize("task", ["", "  \n\t"])
def test_a_blank_task_is_refused(task: str) -> None:
    with pytest.raises(ValidationError, match="blank"):
        api.ExecuteRequest(task=task)


@pytest.mark.parametrize("value", ["3", True, None, 0, -1.5], ids=repr)
@pytest.mark.parametrize("name", sorted(api.RUN_LIMITS))
def test_a_limit_that_is_no_number_above_zero_is_refused_by_name(name: str, value: JsonValue) -> None:
    with pytest.raises(ValidationError, match=f"{name} must be a number above 0"):
        api.ExecuteRequest(task="tea", parameters={name: value, "colour": "green"})


def test_parameters_that_limit_nothing_are_free() -> None:
    request = api.ExecuteRequest(task="tea", parameters={"max_steps": 3, "max_cost_usd": 0.5, "colour": None})
    assert request.parameters == {"max_steps": 3, "max_cost_usd": 0.5, "colour": None}
