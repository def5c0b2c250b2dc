"""The tables of the server's database. ``migrations/versions`` creates them, in ``REVISIONS``."""

from __future__ import annotations

import sqlalchemy as sa

REVISIONS = ("0001", "0002", "0003", "0004", "0005", "0006", "0007", "0008")
"""Every released revision, the oldest first; a file at another one is of a newer modelscan."""

METADATA = sa.MetaData()

# Counts up by itself: 64 bits, which in SQLite only the type INTEGER does.
COUNTER = sa.BigInteger().with_variant(sa.Integer, "sqlite")

KEYS = sa.Table(
    "keys",
    METADATA,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("digest", sa.LargeBinary, nullable=False, unique=True),
    sa.Column("scopes", sa.JSON, nullable=False),
    sa.Column("models", sa.JSON(none_as_null=True)),
    sa.Column("requests_per_minute", sa.Integer),
    sa.Column("max_concurrent", sa.Integer),
    sa.Column("budget_tokens", sa.BigInteger),
    sa.Column("budget_period", sa.Text),
    sa.Column("default_route", sa.Text),
    sa.Column("created_at", sa.Float, nullable=False),
    sa.Column("expires_at", sa.Float),
    sa.Column("last_used_at", sa.Float),
)

# Tokens per hour of a key, a provider or a role outlive the receipts: budgets count from them.
USAGE = sa.Table(
    "usage",
    METADATA,
    sa.Column("kind", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("hour", sa.Text, primary_key=True),
    sa.Column("requests", sa.BigInteger, nullable=False),
    sa.Column("tokens", sa.BigInteger, nullable=False),
)

# A counter per kind of record that grows with each change: another process polls it.
CHANGES = sa.Table(
    "changes",
    METADATA,
    sa.Column("what", sa.Text, primary_key=True),
    sa.Column("number", sa.BigInteger, nullable=False),
)

# One row per request. ``body`` is the whole receipt (msgpack), next to the columns that are
# searched and added up: thirty columns would cost the gateway twice as much per request. One index:
# new rows have the highest id, and the hourly sums name the ids of a route's or a status's rows.
RECEIPTS = sa.Table(
    "receipts",
    METADATA,
    sa.Column("id", COUNTER, primary_key=True, autoincrement=True),
    sa.Column("at", sa.Float, nullable=False),
    sa.Column("trace_id", sa.Text, nullable=False),
    sa.Column("route", sa.Text),
    sa.Column("role", sa.Text),
    sa.Column("backend", sa.Text),
    sa.Column("key", sa.Text),
    sa.Column("status", sa.Integer, nullable=False),
    sa.Column("input_tokens", sa.BigInteger),
    sa.Column("output_tokens", sa.BigInteger),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Index("receipts_by_trace", "trace_id"),
)

# Sums per hour (of UNIX time: seconds // 3600): costs are computed from them, with the prices of
# the day. They outlive the receipts. ``band``: prices differ by the size of the input.
# ``first_id`` and ``last_id``: between which their rows are. Empty texts and status 0 mean
# unknown: a primary key has no NULL.
ROLLUPS = sa.Table(
    "receipt_hours",
    METADATA,
    sa.Column("hour", sa.Integer, primary_key=True),
    *(
        sa.Column(name, sa.Text, primary_key=True)
        for name in ("route", "role", "backend", "host", "served_model", "tier")
    ),
    sa.Column("status", sa.Integer, primary_key=True),
    sa.Column("band", sa.Integer, primary_key=True),
    *(
        sa.Column(name, sa.BigInteger, nullable=False)
        for name in (
            "requests", "unknown_usage", "input_tokens", "output_tokens", "cached_tokens",
            "reasoning_tokens", "left_bytes", "first_id", "last_id",
        )
    ),
    sa.Column("duration_s", sa.Float, nullable=False),
)  # fmt: skip

# Texts of requests, only where they are kept by choice.
CONTENTS = sa.Table(
    "receipt_contents",
    METADATA,
    sa.Column("id", COUNTER, primary_key=True, autoincrement=True),
    sa.Column("at", sa.Float, nullable=False),
    sa.Column("trace_id", sa.Text, nullable=False, index=True),
    sa.Column("request", sa.LargeBinary, nullable=False),  # zlib
    sa.Column("answer", sa.LargeBinary, nullable=False),
    sa.Column("cut", sa.Boolean, nullable=False),
)

# What is recorded: ``receipts`` (present with value "off": none) and ``content`` per name.
TRACE_CHOICES = sa.Table(
    "trace_choices",
    METADATA,
    sa.Column("what", sa.Text, primary_key=True),
    sa.Column("kind", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("at", sa.Float, nullable=False),
)

# Values that every gateway on the database needs.
SERVER_VALUES = sa.Table(
    "server_values",
    METADATA,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("value", sa.LargeBinary, nullable=False),
)

# The gateways that run on this database; ``seen_at`` by the database's clock. ``sharing``: of a
# limit it has only what its row in ``shares`` says; else it was alone so far and has all of it.
GATEWAYS = sa.Table(
    "gateways",
    METADATA,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("host", sa.Text, nullable=False),
    sa.Column("machine", sa.Text, nullable=False),
    sa.Column("pid", sa.Integer, nullable=False),
    sa.Column("address", sa.Text, nullable=False),
    sa.Column("version", sa.Text, nullable=False),
    sa.Column("sharing", sa.Boolean, nullable=False),
    sa.Column("started_at", sa.Float, nullable=False),
    sa.Column("seen_at", sa.Float, nullable=False),
)

# The part of a key's limits that one gateway may use at the moment; None: the key has no such one.
# ``demand`` is how many requests per second the key sent there lately.
SHARES = sa.Table(
    "shares",
    METADATA,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("gateway", sa.Text, primary_key=True),
    sa.Column("requests", sa.Integer),
    sa.Column("concurrent", sa.Integer),
    sa.Column("used_requests", sa.Integer, nullable=False),
    sa.Column("used_concurrent", sa.Integer, nullable=False),
    sa.Column("demand", sa.Float, nullable=False),
)

# Who changed what. ``chain`` is a hash over the row and the ``chain`` before it.
AUDIT = sa.Table(
    "audit",
    METADATA,
    sa.Column("id", COUNTER, primary_key=True, autoincrement=True),
    sa.Column("at", sa.Float, nullable=False, index=True),
    sa.Column("actor_kind", sa.Text, nullable=False),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("action", sa.Text, nullable=False),
    sa.Column("target", sa.Text, nullable=False),
    sa.Column("before", sa.Text),
    sa.Column("after", sa.Text),
    sa.Column("chain", sa.Text, nullable=False),
)

# One row per node. Bodies are JSON as the node sent it: ``body`` its registration without services,
# ``beat`` its last heartbeat. ``changed`` and ``beaten`` are the numbers of the changes ("nodes",
# "beats") that wrote the row: another gateway reads only the rows after those that it knows.
# ``access_key`` is encrypted with the server's own secret.
HOSTS = sa.Table(
    "hosts",
    METADATA,
    sa.Column("host_id", sa.Text, primary_key=True),
    sa.Column("key", sa.Text),
    sa.Column("instance", sa.Text),
    sa.Column("retired", sa.JSON, nullable=False),
    sa.Column("sequence", sa.BigInteger),
    sa.Column("node_clock", sa.Float),
    sa.Column("registered_at", sa.Float, nullable=False),
    sa.Column("last_seen", sa.Float, nullable=False),
    sa.Column("interval_s", sa.Float, nullable=False),
    sa.Column("drained", sa.Boolean, nullable=False),
    sa.Column("left_at", sa.Float),
    sa.Column("local", sa.Boolean, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Column("beat", sa.LargeBinary),
    sa.Column("access_key", sa.LargeBinary),
    sa.Column("changed", sa.BigInteger, nullable=False),
    sa.Column("beaten", sa.BigInteger, nullable=False),
)

# The services of a host, in its order; ``body`` is the service as it was registered.
SERVICES = sa.Table(
    "services",
    METADATA,
    sa.Column("service_id", sa.Text, primary_key=True),
    sa.Column("host_id", sa.Text, nullable=False),
    sa.Column("place", sa.Integer, nullable=False),
    sa.Column("updated_at", sa.Float, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Index("services_of_host", "host_id"),
)

# Results of benchmarks: one row per result, identified by its benchmark, workload and service.
# ``service`` is the entry of the routing file that it was about when it came.
SAMPLES = sa.Table(
    "samples",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("benchmark_id", sa.Text, nullable=False),
    sa.Column("workload", sa.Text, nullable=False),
    sa.Column("service_id", sa.Text, nullable=False),
    sa.Column("asset_id", sa.Text),
    sa.Column("service", sa.Text),
    sa.Column("report_id", sa.Text),
    sa.Column("source", sa.Text),
    sa.Column("observed_at", sa.Float, nullable=False),
    sa.Column("results", sa.JSON, nullable=False),
    sa.UniqueConstraint("benchmark_id", "workload", "service_id", name="one_sample"),
)

# The reports that the results came from, as they came.
BENCH_REPORTS = sa.Table(
    "bench_reports",
    METADATA,
    sa.Column("report_id", sa.Text, primary_key=True),
    sa.Column("observed_at", sa.Float, nullable=False),
    sa.Column("document", sa.JSON, nullable=False),
)
