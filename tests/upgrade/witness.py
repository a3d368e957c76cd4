"""What has to be remembered of the story until the checks: who was asked for what, and what every client saw."""

from dataclasses import dataclass, field

from tests.chaos.run_client import Followed


@dataclass(slots=True)
class Witness:
    """Everything that the checks compare with the log, the records and the files."""

    runs: list[Followed] = field(default_factory=list)
    views: list[Followed] = field(default_factory=list)  # of streams with several runs, or of the SDKs
    steered: list[tuple[Followed, str]] = field(default_factory=list)
    answered: list[tuple[Followed, str]] = field(default_factory=list)
    approved: list[Followed] = field(default_factory=list)
    legacy: list[Followed] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    drained: set[int] = field(default_factory=set)  # process ids of workers
    killed: set[int] = field(default_factory=set)

    def completed(self) -> int:
        """Return how many runs have ended, as their clients saw."""
        return sum(run.has_completed for run in self.runs)
