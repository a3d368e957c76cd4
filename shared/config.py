"""The sections of `config.toml` as frozen models: every key, its default and its comment.

Each component is given only its own section. Times are in seconds, sizes in bytes.
"""

from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field, SecretStr


class Section(BaseModel):
    """Frozen; an unknown key is refused, and so is a number that is not finite."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class RedisConfig(Section):
    """Where records, leases and streams live."""

    url: SecretStr = Field(
        SecretStr("redis://127.0.0.1:6379/0"), description="Redis URL; a password belongs into REDIS_URL"
    )
    cluster: bool = Field(
        False, description="the URL is of a node of a Redis Cluster; each thread lives in one of its slots"
    )
    max_connections: int = Field(64, ge=4, description="connections of one process at most; in a cluster, to each node")
    connect_timeout: float = Field(2.0, gt=0, description="seconds to wait for a connection")
    command_timeout: float = Field(5.0, gt=0, description="seconds to wait for an answer")


class DbConfig(Section):
    """Where accounts and keys live: SQLite in a file, or PostgreSQL. No event of a run passes it."""

    url: SecretStr = Field(
        SecretStr(""),
        description="postgresql://role:password@host:5432/database, or sqlite:///path; empty: {data_dir}/baud.db;"
        " a password belongs into BAUD_DB__URL",
    )
    owner_url: SecretStr = Field(
        SecretStr(""),
        description="PostgreSQL: the same database as the role that owns the schema; `baud db upgrade` alone needs it",
    )
    pool_size: int = Field(5, ge=1, description="connections of one process that are kept open")
    max_overflow: int = Field(10, ge=0, description="further connections while all of those are used")
    connect_timeout: float = Field(3.0, gt=0, description="seconds to wait for a new connection")
    pool_timeout: float = Field(
        5.0, gt=0, description="seconds to wait for a free connection, and in SQLite for other writers"
    )
    statement_timeout: float = Field(10.0, gt=0, description="seconds that one statement may take")


class GatewayConfig(Section):
    """The HTTP edge."""

    host: str = Field(
        "127.0.0.1", description="address to listen on; any but a loopback one needs another auth.mode than none"
    )
    port: int = Field(8000, ge=0, le=65535, description="port to listen on; 0 picks a free one")
    allowed_hosts: tuple[str, ...] = Field(
        (),
        description='host names that the gateway is called by, such as baud.example or *.baud.example; "*": any; '
        "on a loopback address also localhost; elsewhere empty: any",
    )
    max_body_bytes: int = Field(1_048_576, ge=1024, description="largest request body; more is answered with 413")
    body_timeout: float = Field(60.0, gt=0, description="seconds in which a request body has to come, then 408")
    max_head_bytes: int = Field(
        65_536, ge=4096, description="largest request line with its headers; more is answered with 431"
    )
    max_headers: int = Field(100, ge=10, le=128, description="headers of one request; more are answered with 431")
    head_timeout: float = Field(
        15.0, gt=0, description="seconds in which a request line with its headers has to come, then 408"
    )
    publish_timeout: float = Field(5.0, gt=0, description="seconds the broker has to take a job, then 503")
    slow_request: float = Field(1.0, gt=0, description="requests that take longer are logged as warnings")
    max_streams: int = Field(20_000, ge=0, description="open streams at most, SSE and WebSocket; 0: no limit")
    max_streams_per_client: int = Field(0, ge=0, description="open streams of one address at most; 0: no limit")
    trusted_proxies: tuple[str, ...] = Field(
        (), description='addresses or networks whose X-Forwarded-For is believed; "*": all'
    )
    shutdown_delay: float = Field(
        0.0, ge=0, description="seconds at SIGTERM in which /ready says 503 before streams are ended"
    )


class ModemConfig(Section):
    """The Celery worker."""

    broker_url: SecretStr = Field(SecretStr(""), description="Celery broker; empty: the Redis URL")
    queue: str = Field("celery", min_length=1, description="Celery queue")
    concurrency: int = Field(300, ge=1, description="runs that one process executes at once")
    lease_seconds: float = Field(15.0, gt=0, description="how long a claim holds without renewal")
    renew_seconds: float = Field(5.0, gt=0, description="how often a claim, and the worker's own heartbeat, is renewed")
    max_crashes: int = Field(3, ge=1, description="workers lost in a row with a run before it is given up as poison")
    max_message_bytes: int = Field(
        8_388_608, ge=65_536, description="largest message that is taken from the queue; larger ones are put aside"
    )
    drain_timeout: float = Field(20.0, gt=0, description="seconds that runs have to reach a journal point at SIGTERM")


class StreamConfig(Section):
    """Event streams: how they are written, kept and sent."""

    keep_alive_interval: float = Field(15.0, gt=0, description="a keep_alive goes out after so long without traffic")
    idle_timeout: float = Field(
        300.0, gt=0, description="a stream with no active run and no event for so long is closed"
    )
    max_duration: float = Field(
        1800.0, gt=0, description="a connection older than this is closed after a complete frame"
    )
    max_length: int = Field(100_000, ge=0, description="entries kept per thread, roughly; 0: no limit")
    send_timeout: float = Field(30.0, gt=0, description="a client that takes no byte for so long is closed")
    client_buffer_bytes: int = Field(
        262_144,
        ge=4096,
        description="what may wait for one client, down to the socket; beyond it the client reads at its own speed",
    )
    coalesce_deltas: bool = Field(True, description="join text deltas that wait to be written; false: one event each")
    drop_deltas: bool = Field(
        True, description="text deltas leave the log once their complete message is written; false: they are kept"
    )
    flush_interval: float = Field(
        0.0,
        ge=0,
        description="shortest pause between two writes of deltas and tool output; longer while writes are behind",
    )
    flush_bytes: int = Field(8192, ge=256, description="waiting output that is written without a further pause")


class ThreadConfig(Section):
    """Threads."""

    ttl: int = Field(604_800, ge=60, description="every key of a thread lives this long after its last write")


class LLMConfig(Section):
    """How one model is reached; `[llm.NAME]` overrides single keys under a name of yours."""

    provider: str = Field(
        "auto", description="auto: by the model's name; litellm | offline | python, or one that a package brings"
    )
    model: str = Field(
        "auto",
        min_length=1,
        description="LiteLLM model name; auto: by the key that is set, else the offline model",
    )
    base_url: str = Field("", description="address of an OpenAI-compatible server; empty: the provider's own")
    api_key: SecretStr = Field(
        SecretStr(""), description="only from the environment; empty: the provider's own variable"
    )
    temperature: float | None = Field(None, ge=0, le=2, description="left to the model when absent")
    max_output_tokens: int = Field(8192, ge=1, description="longest answer of one call")
    context_window: int = Field(0, ge=0, description="tokens that the model can read; 0: what LiteLLM knows of it")
    timeout: float = Field(120.0, gt=0, description="seconds without any answer from the provider")
    num_retries: int = Field(4, ge=0, description="tries after the first, for failures that may pass")
    retry_min_wait: float = Field(0.5, gt=0, description="first pause between tries; doubles each time")
    retry_max_wait: float = Field(30.0, gt=0, description="longest pause between tries; a longer Retry-After gives up")
    native_tool_calling: bool = Field(True, description="false: tools are described in the prompt and parsed from text")


class AgentConfig(Section):
    """The agent's limits; each ends a run with its own stop reason."""

    planning_llm: str = Field("", description="name of the [llm.NAME] that plans; empty: [llm]")
    execution_llm: str = Field("", description="name of the [llm.NAME] that works; empty: [llm]")
    max_steps: int = Field(100, ge=1, description="model calls of one run")
    max_duration: float = Field(3600.0, gt=0, description="seconds of one run")
    max_tokens: int = Field(2_000_000, ge=1, description="input and output tokens of one run")
    max_cost_usd: float = Field(10.0, gt=0, description="US dollars of one run")
    question_timeout: float = Field(86_400.0, gt=0, description="seconds that a question to a person stays open")
    question_default: str = Field(
        "Nobody answered in time. Decide yourself, and say what you assumed.",
        min_length=1,
        description="the answer then; a call not approved is denied",
    )
    max_parallel_tools: int = Field(8, ge=1, description="tool calls of one turn that run at once")
    max_empty_answers: int = Field(
        3, ge=1, description="answers in a row without text or a call before the run ends as stuck"
    )
    max_repeats: int = Field(
        4, ge=2, description="the same calls so often in a row end the run as stuck; a nudge comes before"
    )


class IsolationKind(StrEnum):
    """How the local sandbox keeps a command in."""

    AUTO = "auto"  # bubblewrap where it works, else process with a warning
    BUBBLEWRAP = "bubblewrap"  # own namespaces; refuse to start without
    PROCESS = "process"  # resource limits only; refused in prod


class Network(StrEnum):
    """What a sandbox may reach."""

    NONE = "none"  # nothing
    ALLOW_LIST = "allow-list"  # what is listed; not with the local provider
    OPEN = "open"  # everything, and its ports can be exposed


class SandboxConfig(Section):
    """Where the agent's tools work."""

    provider: str = Field("local", description="local, or one that a package brings")
    isolation: IsolationKind = Field(IsolationKind.AUTO, description="local: auto | bubblewrap | process")
    network: Network = Field(Network.OPEN, description="none | open; allow-list is refused by the local provider")
    root: str = Field("", description="folder that holds the workspaces; empty: {data_dir}/sandboxes")
    env_allow: tuple[str, ...] = Field((), description="variables of the worker that commands may see")
    memory_bytes: int = Field(
        4_294_967_296, ge=67_108_864, description="data of one process, without its code and shared memory"
    )
    max_processes: int = Field(512, ge=16, description="processes of one command")
    max_file_bytes: int = Field(1_073_741_824, ge=1_048_576, description="largest file that a command may write")
    min_free_bytes: int = Field(
        536_870_912,
        ge=0,
        description="kept free on the disk of the workspaces, a quarter of a small one at most; a command that goes on"
        " writing then is stopped; 0: no limit",
    )
    idle_timeout: float = Field(1800.0, gt=0, description="a sandbox unused for so long is stopped; its files stay")


class ToolConfig(Section):
    """One tool: `[tools.NAME]`; a plug-in's own settings go into `options`."""

    enabled: bool = Field(True, description="false: the model does not see it")
    timeout: float | None = Field(None, gt=0, description="seconds of one call; absent: the tool's own limit")
    max_output_chars: int | None = Field(None, ge=200, description="longest result; absent: the tool's own limit")
    approval: str = Field("never", pattern="^(never|always|destructive)$", description="never | always | destructive")
    options: dict[str, str | int | float | bool] = Field(default_factory=dict, description="the tool's own settings")


class CorsConfig(Section):
    """Which web pages may call the gateway."""

    allow_origins: tuple[str, ...] = Field((), description="origins; empty: none")
    allow_credentials: bool = Field(False, description="let pages send cookies and credentials")
    allow_methods: tuple[str, ...] = Field(("GET", "POST", "DELETE"), description="methods")
    allow_headers: tuple[str, ...] = Field(
        ("Content-Type", "Authorization", "Last-Event-ID", "Idempotency-Key", "X-Request-ID"),
        description="request headers",
    )


class LogConfig(Section):
    """What the services log to standard error."""

    level: str = Field("INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$", description="DEBUG | INFO | WARNING | ERROR")
    format: str = Field("auto", pattern="^(auto|color|json)$", description="auto: color when ENV is local, else json")
