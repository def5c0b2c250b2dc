"""Every metric of the gateway: its name, kind, labels and meaning. Pure.

``/metrics``, the OTLP export, the dashboard and the reference page are made from this table. The
values of labels are names of the routing file, of keys and of deployments, never what a client
sent; a metric has at most ``MOST_SERIES`` of them, further ones are added up as "other".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["counter", "gauge", "histogram"]
Unit = Literal["", "seconds", "bytes", "tokens", "ratio"]
MOST_SERIES = 1000
OTHER = "other"

# The buckets of OpenTelemetry's conventions for generative AI.
DURATION_S = tuple(round(0.01 * 2**step, 2) for step in range(14))
FIRST_TOKEN_S = (
    0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
)  # fmt: skip
PER_TOKEN_S = (0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5)
TOKENS = tuple(float(4**step) for step in range(14))


@dataclass(frozen=True, slots=True)
class MetricDefinition:
    """One metric. ``otlp``: its name there, if the conventions have one for it."""

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()
    unit: Unit = ""
    buckets: tuple[float, ...] = ()
    otlp: str | None = None

    @property
    def series(self) -> tuple[str, ...]:
        """The names of its samples in ``/metrics``."""
        if self.kind == "histogram":
            return tuple(f"{self.name}_{part}" for part in ("bucket", "count", "sum"))
        return (f"{self.name}_total",) if self.kind == "counter" else (self.name,)


_ROUTED = ("route", "backend", "operation")

REQUESTS = MetricDefinition(
    "modelscan_requests", "counter",
    "Requests to models that ended, by the status that the client saw (499: it left first).",
    (*_ROUTED, "status"),
)  # fmt: skip
DURATION = MetricDefinition(
    "modelscan_request_duration_seconds", "histogram",
    "Time from a request's arrival to the end of its answer.", _ROUTED, "seconds", DURATION_S,
    "gen_ai.server.request.duration",
)  # fmt: skip
FIRST_TOKEN = MetricDefinition(
    "modelscan_time_to_first_token_seconds", "histogram",
    "Time from a request's arrival to the first bytes of a streamed answer.", _ROUTED, "seconds",
    FIRST_TOKEN_S, "gen_ai.server.time_to_first_token",
)  # fmt: skip
PER_TOKEN = MetricDefinition(
    "modelscan_time_per_output_token_seconds", "histogram",
    "Time between two tokens of a streamed answer, its mean.", _ROUTED, "seconds", PER_TOKEN_S,
    "gen_ai.server.time_per_output_token",
)  # fmt: skip
QUEUED = MetricDefinition(
    "modelscan_queue_seconds", "histogram", "Time that a request waited for a free place.",
    _ROUTED, "seconds", DURATION_S,
)  # fmt: skip
INPUT_TOKENS = MetricDefinition(
    "modelscan_request_input_tokens", "histogram", "Input tokens of a request.", _ROUTED, "tokens",
    TOKENS, "gen_ai.client.token.usage",
)  # fmt: skip
OUTPUT_TOKENS = MetricDefinition(
    "modelscan_request_output_tokens", "histogram", "Output tokens of a request.", _ROUTED,
    "tokens", TOKENS, "gen_ai.client.token.usage",
)  # fmt: skip
TOKENS_USED = MetricDefinition(
    "modelscan_tokens", "counter",
    "Tokens of requests: input, output, and of these cached and reasoning.",
    ("route", "backend", "kind"), "tokens",
)  # fmt: skip
RETRIES = MetricDefinition(
    "modelscan_retries", "counter", "Further attempts after a failed one.", ("route",)
)
FALLBACKS = MetricDefinition(
    "modelscan_fallbacks", "counter", "Requests that a fallback route answered.", ("route",)
)
REFUSED = MetricDefinition(
    "modelscan_refused_requests", "counter", "Requests that the gateway refused itself.", ("code",)
)
LEFT_MACHINE = MetricDefinition(
    "modelscan_left_machine_bytes", "counter",
    "Bytes of requests' bodies that were sent to other machines.", ("backend",), "bytes",
)  # fmt: skip
KEY_REQUESTS = MetricDefinition("modelscan_key_requests", "counter", "Requests of a key.", ("key",))
KEY_TOKENS = MetricDefinition(
    "modelscan_key_tokens", "counter", "Input and output tokens of a key.", ("key", "kind"),
    "tokens",
)  # fmt: skip

BACKEND_UP = MetricDefinition(
    "modelscan_backend_up", "gauge",
    "1 where a backend answers its probes, or its requests; 0 where not, or not known yet.",
    ("backend",),
)  # fmt: skip
BACKEND_IN_FLIGHT = MetricDefinition(
    "modelscan_backend_in_flight", "gauge", "Requests of this gateway at a backend now.",
    ("backend",),
)  # fmt: skip
BACKEND_WAITING = MetricDefinition(
    "modelscan_backend_waiting", "gauge", "Requests that wait here for a free place at a backend.",
    ("backend",),
)  # fmt: skip
BACKEND_FAILURES = MetricDefinition(
    "modelscan_backend_failures", "counter", "Failed attempts at a backend.", ("backend",)
)
BACKEND_LOADED = MetricDefinition(
    "modelscan_backend_loaded", "gauge",
    "1 where a backend has its model in memory; absent where that is not known.", ("backend",),
)  # fmt: skip
ENGINE_RUNNING = MetricDefinition(
    "modelscan_engine_running_requests", "gauge",
    "Requests that a backend's engine runs, by its own count: of every client.", ("backend",),
)  # fmt: skip
ENGINE_WAITING = MetricDefinition(
    "modelscan_engine_waiting_requests", "gauge",
    "Requests that wait in a backend's engine, by its own count.", ("backend",),
)  # fmt: skip
ENGINE_KV = MetricDefinition(
    "modelscan_engine_kv_cache_used_ratio", "gauge",
    "The share of its KV cache that an engine uses, 0 to 1; absent where it does not say.",
    ("backend",), "ratio",
)  # fmt: skip
DEPLOYMENT_MEMORY = MetricDefinition(
    "modelscan_deployment_memory_bytes", "gauge",
    "Memory of a deployment here: promised when it was planned, measured when it had started.",
    ("deployment", "kind"), "bytes",
)  # fmt: skip

NODES = MetricDefinition(
    "modelscan_nodes", "gauge", "Machines that report here: ready, draining, stale or left.",
    ("state",),
)  # fmt: skip

CONNECTIONS = MetricDefinition("modelscan_connections", "gauge", "Open connections of clients.")
IN_FLIGHT = MetricDefinition("modelscan_in_flight", "gauge", "Requests under way.")
HELD_BYTES = MetricDefinition(
    "modelscan_held_bytes", "gauge", "Bytes of requests' bodies in memory.", (), "bytes"
)
EXCHANGES = MetricDefinition(
    "modelscan_exchanges", "counter",
    "Requests that were passed on, those to the control application too.",
)  # fmt: skip
WORKERS = MetricDefinition("modelscan_workers_ready", "gauge", "Worker processes that answer.")
WORKER_RESTARTS = MetricDefinition(
    "modelscan_worker_restarts", "counter", "Worker processes that ended and were started again."
)
RECEIPTS_WRITTEN = MetricDefinition(
    "modelscan_receipts_written", "counter", "Receipts in the database, since the start."
)
RECEIPTS_DROPPED = MetricDefinition(
    "modelscan_receipts_dropped", "counter", "Receipts that were lost: the disk was too slow."
)
FILE_VALID = MetricDefinition(
    "modelscan_routing_file_valid", "gauge",
    "1 where the routing file is valid; 0: the last valid one is in use.",
)  # fmt: skip
ROUTES = MetricDefinition("modelscan_routes", "gauge", "Names that requests may use.")
ROUTABLE = MetricDefinition("modelscan_routable_routes", "gauge", "Names that can be answered.")
STARTED = MetricDefinition(
    "modelscan_start_time_seconds", "gauge", "When the gateway started, UNIX time.", (), "seconds"
)
BUILD = MetricDefinition(
    "modelscan_build", "gauge", "Always 1; the label has the version.", ("version",)
)

METRICS = (
    REQUESTS, DURATION, FIRST_TOKEN, PER_TOKEN, QUEUED, INPUT_TOKENS, OUTPUT_TOKENS, TOKENS_USED,
    RETRIES, FALLBACKS, REFUSED, LEFT_MACHINE, KEY_REQUESTS, KEY_TOKENS, BACKEND_UP,
    BACKEND_IN_FLIGHT, BACKEND_WAITING, BACKEND_FAILURES, BACKEND_LOADED, ENGINE_RUNNING,
    ENGINE_WAITING, ENGINE_KV, DEPLOYMENT_MEMORY, NODES, CONNECTIONS, IN_FLIGHT, HELD_BYTES,
    EXCHANGES,
    WORKERS, WORKER_RESTARTS, RECEIPTS_WRITTEN, RECEIPTS_DROPPED, FILE_VALID, ROUTES, ROUTABLE,
    STARTED, BUILD,
)  # fmt: skip
