"""The replacement of a secret in a conversation and its events, unlike ordinary text so that it is recognised."""

from typing import Final

MASKED: Final = "[secret masked by baud]"
