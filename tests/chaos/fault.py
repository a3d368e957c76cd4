"""The kinds of faults, how often each is injected, and the record of one."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class FaultKind(StrEnum):
    """A kind of fault."""

    KILL_MODEM = "SIGKILL to a modem"
    PAUSE_MODEM = "SIGSTOP to a modem, longer than a lease"
    DRAIN_MODEM = "SIGTERM to a modem"
    PARTITION_MODEM = "a modem without Redis, longer than a lease"
    CUT_MODEM = "a modem's connections to Redis cut before answers came"
    KILL_GATEWAY = "SIGKILL to a gateway"
    PAUSE_GATEWAY = "SIGSTOP to a gateway"
    END_GATEWAY = "SIGTERM to a gateway"
    CUT_CLIENTS = "the clients' connections cut"
    KILL_REDIS = "SIGKILL to Redis"
    RESTART_REDIS = "SIGTERM to Redis"
    DELIVER_TWICE = "a job delivered again"


# How often each kind comes before all have come; shuffled anew each time.
DECK: Final = {
    FaultKind.KILL_MODEM: 3,
    FaultKind.PAUSE_MODEM: 2,
    FaultKind.DRAIN_MODEM: 2,
    FaultKind.PARTITION_MODEM: 2,
    FaultKind.CUT_MODEM: 2,
    FaultKind.KILL_GATEWAY: 1,
    FaultKind.PAUSE_GATEWAY: 1,
    FaultKind.END_GATEWAY: 1,
    FaultKind.CUT_CLIENTS: 2,
    FaultKind.KILL_REDIS: 1,
    FaultKind.RESTART_REDIS: 1,
    FaultKind.DELIVER_TWICE: 3,
}


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: `at` in seconds since the epoch, `pid` of the process that met it."""

    kind: FaultKind
    at: float
    victim: str
    pid: int
