"""The root of the configuration: one frozen value that a composition root loads once and hands out by section."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from pydantic import Field

from shared.auth_config import AuthConfig
from shared.config import (
    AgentConfig,
    CorsConfig,
    DbConfig,
    GatewayConfig,
    LLMConfig,
    LogConfig,
    ModemConfig,
    RedisConfig,
    SandboxConfig,
    Section,
    StreamConfig,
    ThreadConfig,
    ToolConfig,
)
from shared.database_url import PostgresAddress, SqliteFile, parse_database_url
from shared.errors import ConfigurationError


class Settings(Section):
    """Everything that can be set; each component is given only its own section."""

    env: str = Field("local", description="local | dev | prod | a word of yours; set by ENV")
    data_dir: Path = Field(Path("data"), description="folder for the embedded Redis, the SQLite file and the sandboxes")
    redis: RedisConfig = RedisConfig()
    db: DbConfig = DbConfig()
    gateway: GatewayConfig = GatewayConfig()
    modem: ModemConfig = ModemConfig()
    stream: StreamConfig = StreamConfig()
    thread: ThreadConfig = ThreadConfig()
    llm: LLMConfig = LLMConfig()
    named_llm: Mapping[str, LLMConfig] = Field(default_factory=dict)
    agent: AgentConfig = AgentConfig()
    sandbox: SandboxConfig = SandboxConfig()
    tools: Mapping[str, ToolConfig] = Field(default_factory=dict)
    cors: CorsConfig = CorsConfig()
    auth: AuthConfig = AuthConfig()
    log: LogConfig = LogConfig()

    @property
    def broker_url(self) -> str:
        """The URL of the Celery broker, password and all; the Redis URL unless another is set."""
        return self.modem.broker_url.get_secret_value() or self.redis.url.get_secret_value()

    @property
    def sandbox_root(self) -> Path:
        """The folder that holds the workspaces."""
        return Path(self.sandbox.root) if self.sandbox.root else self.data_dir / "sandboxes"

    @property
    def database_address(self) -> SqliteFile | PostgresAddress:
        """Where the SQL database is: by default in a file in the data folder. Raises ValueError."""
        url = self.db.url.get_secret_value()
        return parse_database_url(url) if url else SqliteFile(self.data_dir / "baud.db")

    def find_llm(self, name: str) -> LLMConfig:
        """Return [llm.NAME], or [llm] for an empty name. Raises ConfigurationError for an unknown one."""
        if not name:
            return self.llm
        if name not in self.named_llm:
            known = ", ".join(sorted(self.named_llm)) or "none"
            raise ConfigurationError(f"there is no [llm.{name}] in the configuration; named models: {known}")
        return self.named_llm[name]

    def tables(self) -> Iterator[tuple[tuple[str, ...], Section]]:
        """Yield each table under the name that config.toml has for it, such as ("llm", "planner")."""
        for name in type(self).model_fields:
            value = getattr(self, name)
            if isinstance(value, Section):
                yield (name,), value
        yield from ((("llm", name), section) for name, section in self.named_llm.items())
        yield from ((("tools", name), section) for name, section in self.tools.items())
