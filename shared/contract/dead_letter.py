"""A message of the task queue that no worker could execute, as it was put aside."""

from shared.contract.base import Contract


class DeadLetter(Contract):
    """Why a message was put aside, when and by whom; of a long `message` only the beginning is kept."""

    id: str
    reason: str
    put_aside_at: str
    worker: str
    queue: str
    size_bytes: int
    message: str
    is_cut: bool = False
