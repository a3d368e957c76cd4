"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

Url = Annotated[
    str, typer.Option(envvar="BAUD_URL", help="Gateway to talk to; else the one on this machine, else one is started.")
]
ExistingUrl = Annotated[str, typer.Option(envvar="BAUD_URL", help="Gateway to talk to; else the one on this machine.")]
ApiKeyFile = Annotated[
    Path | None,
    typer.Option(
        help="File with the API key or token for the gateway; else the variable BAUD_API_KEY is used. No option takes "
        "the key itself, since ps and the history of the shell would show it."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="One JSON object a line instead of text.")]
DataFolder = Annotated[Path, typer.Option("--data-dir", help="Folder of the stack that is started, if one is.")]
