"""What a reader follows through the code: an event to its client, and a run from its claim to its takeover.

A step that is renamed or moved has to be changed here: `tests/unit/test_figures.py` checks that every step exists.
"""

from typing import Final

from tests.checks.chains import Chain, Step

_JOURNAL: Final = "workflow/journal/journal.py"
_RUN_LOG: Final = "modem/service/run_log/run_log.py"
_EXECUTE: Final = "modem/service/execute_run.py"
_LEASES: Final = "shared/store/leases.py"
_LUA: Final = "shared/store/lua"
_NOTIFICATIONS: Final = "shared/store/redis/notifications.py"
_STREAM: Final = "gateway/service/stream"

EVENT_TO_CLIENT: Final = Chain(
    "an event to its client",
    12,
    (
        (Step(_JOURNAL, "Journal.answer"), Step("workflow/journal/events.py", "EventFactory.response")),
        (
            Step(_JOURNAL, "Journal.answer"),
            Step(_JOURNAL, "Journal._commit"),
            Step(_JOURNAL, "Journal._write"),
            Step(_RUN_LOG, "StoreRunLog.commit"),
            Step(_RUN_LOG, "StoreRunLog._add"),
            Step("modem/service/run_log/event_buffer.py", "EventBuffer.add"),
        ),
        (
            Step(_RUN_LOG, "StoreRunLog.commit"),
            Step(_RUN_LOG, "StoreRunLog._append"),
            Step("shared/store/runs.py", "RunStore.append"),
            Step(f"{_LUA}/append_run.lua"),
            Step(f"{_LUA}/_library.lua", "append"),
        ),
        (
            Step(f"{_LUA}/append_run.lua"),
            Step(f"{_LUA}/_library.lua", "notify"),
        ),
        (
            Step(_NOTIFICATIONS, "Subscription.received"),
            Step(_NOTIFICATIONS, "NotificationListener._listen", shared="received"),
            Step(_NOTIFICATIONS, "NotificationListener.__init__", shared="_notify"),
            Step(f"{_STREAM}/event_hub.py", "EventHub.__init__", shared="notify"),
            Step(f"{_STREAM}/event_hub.py", "EventHub._request_read_of_all"),
            Step(f"{_STREAM}/event_hub.py", "EventHub._request_read", shared="request_read"),
            Step(f"{_STREAM}/node_reader.py", "NodeStreamReader.request_read"),
            Step(f"{_STREAM}/node_reader.py", "NodeStreamReader.run", shared="_something_dirty"),
            Step(f"{_STREAM}/node_reader.py", "NodeStreamReader._read"),
            Step(f"{_STREAM}/node_reader.py", "NodeStreamReader._read_streams"),
            Step("shared/store/events.py", "EventStore.read_after"),
        ),
        (
            Step(f"{_STREAM}/node_reader.py", "NodeStreamReader._read"),
            Step(f"{_STREAM}/node_reader.py", "NodeStreamReader._deliver"),
            Step(f"{_STREAM}/types.py", "frame_of"),
        ),
        (
            Step(f"{_STREAM}/node_reader.py", "NodeStreamReader._deliver"),
            Step(f"{_STREAM}/topic.py", "StreamTopic.deliver"),
            Step(f"{_STREAM}/subscriber.py", "Subscriber.offer"),
            Step(f"{_STREAM}/subscriber.py", "Subscriber._take", shared="_buffer"),
        ),
        (
            Step(f"{_STREAM}/topic.py", "StreamTopic.deliver"),
            Step(f"{_STREAM}/subscriber.py", "Subscriber.offer"),
            Step(f"{_STREAM}/subscriber.py", "Subscriber._send"),
            Step(f"{_STREAM}/stream_session.py", "EventStreamSession.send"),
            Step(f"{_STREAM}/stream_session.py", "EventStreamSession.write_directly", shared="_write"),
            Step(f"{_STREAM}/sse.py", "EventStream.send_events", shared="write_directly"),
            Step("gateway/core/direct_writer.py", "DirectWriter.write"),
            Step(f"{_STREAM}/types.py", "Burst.chunk"),
        ),
        (
            Step(f"{_STREAM}/sse.py", "EventStream._send_bursts"),
            Step(f"{_STREAM}/stream_session.py", "EventStreamSession.items"),
            Step(f"{_STREAM}/subscriber.py", "Subscriber.next"),
            Step(f"{_STREAM}/subscriber.py", "Subscriber._read"),
            Step(f"{_STREAM}/subscriber.py", "Subscriber._take"),
        ),
        (
            Step(f"{_STREAM}/sse.py", "EventStream._send_bursts"),
            Step(f"{_STREAM}/sse.py", "EventStream._send"),
            Step(f"{_STREAM}/sse.py", "_join"),
            Step(f"{_STREAM}/types.py", "Frame.sse"),
        ),
    ),
)

CLAIM_AND_TAKEOVER: Final = Chain(
    "a claim and its takeover",
    10,
    (
        (
            Step("modem/task/run.py", "register_run_task.execute"),
            Step(_EXECUTE, "execute_run"),
            Step(_EXECUTE, "_execute"),
            Step(_EXECUTE, "_claim"),
            Step("shared/store/runs.py", "RunStore.claim"),
            Step(f"{_LUA}/claim_run.lua"),
        ),
        (
            Step(_EXECUTE, "_execute"),
            Step("modem/service/lease/active_runs.py", "ActiveRuns.enter"),
        ),
        (
            Step("modem/service/lease/active_runs.py", "LeaseKeeper.run"),
            Step("modem/service/lease/active_runs.py", "LeaseKeeper.renew"),
            Step(_LEASES, "LeaseStore.renew"),
            Step(f"{_LUA}/renew_run.lua"),
        ),
        (
            Step("modem/service/lease/reap_runs.py", "Reaper.run"),
            Step("modem/service/lease/reap_runs.py", "Reaper.inspect_once"),
            Step(_LEASES, "LeaseStore.take_due"),
            Step(f"{_LUA}/take_due.lua"),
        ),
        (
            Step("modem/service/lease/reap_runs.py", "Reaper.inspect_once"),
            Step(_LEASES, "LeaseStore.inspect"),
            Step(f"{_LUA}/look_run.lua"),
        ),
        (
            Step("modem/service/lease/reap_runs.py", "Reaper.inspect_once"),
            Step("modem/service/lease/reap_runs.py", "Reaper._check_safely"),
            Step("modem/service/lease/reap_runs.py", "Reaper._check"),
            Step("shared/broker/publisher.py", "RunPublisher.publish"),
            Step("shared/broker/publisher.py", "JobPublisher.publish"),
            Step("shared/broker/publisher.py", "JobPublisher._send"),
            Step("modem/task/run.py", "register_run_task", shared="EXECUTE_RUN_TASK"),
        ),
        (
            Step(_EXECUTE, "_execute"),
            Step(_EXECUTE, "_carry_out"),
            Step(_EXECUTE, "_outcome"),
            Step(_JOURNAL, "Journal.begin"),
            Step(_JOURNAL, "Journal._resume"),
        ),
    ),
)

CHAINS: Final = (EVENT_TO_CLIENT, CLAIM_AND_TAKEOVER)
