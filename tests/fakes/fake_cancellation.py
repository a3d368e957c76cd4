"""FakeCancellation: the Cancellation port; stops the run when the test asks for it."""

import asyncio

from workflow.journal.ports import Stop


class FakeCancellation:
    """Never stops a run by itself."""

    def __init__(self) -> None:
        self._asked = asyncio.Event()
        self._reason = Stop.CANCELLED
        self.should_hand_over = False

    async def wait(self) -> Stop:
        await self._asked.wait()
        return self._reason

    def cancel(self) -> None:
        """Ask the run to stop."""
        self.stop(Stop.CANCELLED)

    def stop(self, reason: Stop) -> None:
        """Stop the run at once."""
        self._reason = reason
        self._asked.set()

    def hand_over(self) -> None:
        """Ask the run to leave at its next journal point."""
        self.should_hand_over = True
