"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

Url = Annotated[
    str, typer.Option(envvar="BAUD_URL", help="Gateway to talk to; else the one on this machine, else one is started.")
]
ExistingUrl = Annotated[str, typer.Option(envvar="BAUD_URL", help="Gateway to talk to; else the one on this machine.")]
Token = Annotated[str, typer.Option(envvar="BAUD_TOKEN", help="Bearer token for the gateway.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object a line instead of text.")]
DataFolder = Annotated[Path, typer.Option("--data-dir", help="Folder of the stack that is started, if one is.")]
