"""Warnings of LiteLLM's own code, which are no errors of ours: `pytestmark = LITELLM_WARNINGS`."""

import pytest

LITELLM_WARNINGS = [
    pytest.mark.filterwarnings("ignore:Items? .* using the `ReadOnly` qualifier:UserWarning"),
    pytest.mark.filterwarnings(
        "ignore:Accessing the 'model_(computed_)?fields' attribute on the instance:DeprecationWarning"
    ),
]
