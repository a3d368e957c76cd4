"""For tests of runs on a real Redis: submitting one, and what its worker writes."""

from shared.contract.api import OnBusy
from shared.contract.message import ChatMessage, Role
from shared.contract.run import Usage
from shared.contract.state import AgentState, Phase, Plan
from shared.store.run_values import RunWrite, Submitted
from tests.integration.store_scene import StoreScene

WRITE = RunWrite(
    1,
    events=[b"one", b"two"],
    messages=[ChatMessage(role=Role.USER, content="hello")],
    state=AgentState(phase=Phase.EXECUTION, plan=Plan(name="a", plan="b")),
    usage=Usage(steps=2, cost_usd=0.5),
)


async def submit(
    store: StoreScene, run_id: str, *, on_busy: OnBusy = OnBusy.QUEUE, idempotency_key: str = ""
) -> Submitted:
    return await store.runs.submit(store.run(run_id), on_busy=on_busy, idempotency_key=idempotency_key)
