"""What stands in a conversation and its events where a secret stood, unlike any ordinary text: it is known again."""

from typing import Final

MASKED: Final = "[secret masked by baud]"
