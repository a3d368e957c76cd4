"""What the helper refuses, as it travels to the worker: a kind, a sentence, and for edits which one."""


class RefusedError(Exception):
    """The operation cannot be done; the message says why and what to do."""

    kind = "refused"

    def __init__(self, message: str, *, number: int = 0) -> None:
        super().__init__(message)
        self.message = message
        self.number = number


class OutsideError(RefusedError):
    """The path leads out of the workspace."""

    kind = "outside"


class EditError(RefusedError):
    """The edit with this number, from 1, cannot be made."""

    kind = "edit"
