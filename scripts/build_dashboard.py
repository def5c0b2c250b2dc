"""The Grafana dashboard in examples/grafana, made from the definitions of the metrics.

python -m scripts.build_dashboard           # write it
python -m scripts.build_dashboard --check   # exit status 1 when it is not up to date
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelscan.gateway.metrics import definitions as d
from modelscan.gateway.metrics.definitions import MetricDefinition

FILE = Path(__file__).resolve().parent.parent / "examples" / "grafana" / "modelscan.json"
_SOURCE = {"type": "prometheus", "uid": "${source}"}
_WIDTH, _HEIGHT, _COLUMNS = 8, 8, 24
_ONLY = 'instance=~"$instance"'
_RATE = "$__rate_interval"


@dataclass(frozen=True, slots=True)
class Panel:
    """A chart: the queries with their legends, and Grafana's unit."""

    title: str
    queries: tuple[tuple[str, str], ...]
    unit: str = "short"
    help: str = ""


def _rate(definition: MetricDefinition, by: str, part: str = "") -> str:
    name = definition.series[0] if definition.kind == "counter" else f"{definition.name}{part}"
    return f"sum by ({by}) (rate({name}{{{_ONLY}}}[{_RATE}]))"


def _now(definition: MetricDefinition, by: str, how: str = "sum") -> str:
    return f"{how} by ({by}) ({definition.name}{{{_ONLY}}})"


def _quantile(share: float, definition: MetricDefinition, by: str) -> str:
    return f"histogram_quantile({share:g}, {_rate(definition, f'{by}, le', '_bucket')})"


def _quantiles(title: str, definition: MetricDefinition, unit: str = "s") -> Panel:
    queries = tuple(
        (_quantile(share, definition, "route"), f"{{{{route}}}} p{share * 100:g}")
        for share in (0.5, 0.95)
    )
    return Panel(title, queries, unit, definition.help)


def panels() -> tuple[tuple[str, tuple[Panel, ...]], ...]:
    """The rows of the dashboard with their panels."""
    failed = (
        f'sum by (route, status) (rate({d.REQUESTS.series[0]}{{{_ONLY},status!~"2.."}}[{_RATE}]))'
    )
    return (
        ("Requests", (
            Panel("Requests/s", ((_rate(d.REQUESTS, "route"), "{{route}}"),), "reqps",
                  d.REQUESTS.help),
            Panel("Failed and refused requests/s", (
                (failed, "{{route}} {{status}}"), (_rate(d.REFUSED, "code"), "{{code}}"),
            ), "reqps", d.REFUSED.help),
            Panel("Requests under way and waiting", (
                (_now(d.BACKEND_IN_FLIGHT, "backend"), "{{backend}}"),
                (_now(d.BACKEND_WAITING, "backend"), "{{backend}} waiting"),
            ), "short", d.BACKEND_IN_FLIGHT.help),
        )),
        ("Speed", (
            _quantiles("Duration", d.DURATION),
            _quantiles("Time to first token", d.FIRST_TOKEN),
            _quantiles("Time per output token", d.PER_TOKEN),
            _quantiles("Time in the queue", d.QUEUED),
            Panel("Tokens/s", ((_rate(d.TOKENS_USED, "route, kind"), "{{route}} {{kind}}"),),
                  "short", d.TOKENS_USED.help),
            Panel("Tokens of a request (median)", (
                (_quantile(0.5, d.INPUT_TOKENS, "route"), "{{route}} input"),
                (_quantile(0.5, d.OUTPUT_TOKENS, "route"), "{{route}} output"),
            ), "short", d.OUTPUT_TOKENS.help),
        )),
        ("Backends", (
            Panel("Up", ((_now(d.BACKEND_UP, "backend", "min"), "{{backend}}"),), "bool_on_off",
                  d.BACKEND_UP.help),
            Panel("Model loaded", ((_now(d.BACKEND_LOADED, "backend", "min"), "{{backend}}"),),
                  "bool_on_off", d.BACKEND_LOADED.help),
            Panel("Failures, retries, fallbacks/s", (
                (_rate(d.BACKEND_FAILURES, "backend"), "{{backend}} failures"),
                (_rate(d.RETRIES, "route"), "{{route}} retries"),
                (_rate(d.FALLBACKS, "route"), "{{route}} fallbacks"),
            ), "reqps", d.BACKEND_FAILURES.help),
            Panel("KV cache in use", ((_now(d.ENGINE_KV, "backend", "max"), "{{backend}}"),),
                  "percentunit", d.ENGINE_KV.help),
            Panel("Requests in the engines", (
                (_now(d.ENGINE_RUNNING, "backend"), "{{backend}} running"),
                (_now(d.ENGINE_WAITING, "backend"), "{{backend}} waiting"),
            ), "short", d.ENGINE_RUNNING.help),
            Panel("Machines", ((_now(d.NODES, "state"), "{{state}}"),), "short", d.NODES.help),
            Panel("Memory", ((_now(d.DEPLOYMENT_MEMORY, "deployment, kind"),
                              "{{deployment}} {{kind}}"),), "bytes", d.DEPLOYMENT_MEMORY.help),
        )),
        ("Keys and the gateway", (
            Panel("Requests/s by key", ((_rate(d.KEY_REQUESTS, "key"), "{{key}}"),), "reqps",
                  d.KEY_REQUESTS.help),
            Panel("Tokens/s by key", ((_rate(d.KEY_TOKENS, "key, kind"), "{{key}} {{kind}}"),),
                  "short", d.KEY_TOKENS.help),
            Panel("Bytes that left this machine/s", (
                (_rate(d.LEFT_MACHINE, "backend"), "{{backend}}"),
            ), "Bps", d.LEFT_MACHINE.help),
            Panel("Connections and requests", (
                (_now(d.CONNECTIONS, "instance"), "{{instance}} connections"),
                (_now(d.IN_FLIGHT, "instance"), "{{instance}} requests"),
            ), "short", d.CONNECTIONS.help),
            Panel("Bodies in memory", ((_now(d.HELD_BYTES, "instance"), "{{instance}}"),), "bytes",
                  d.HELD_BYTES.help),
            Panel("Exchanges and receipts/s", (
                (_rate(d.EXCHANGES, "instance"), "{{instance}} exchanges"),
                (_rate(d.RECEIPTS_WRITTEN, "instance"), "{{instance}} receipts written"),
                (_rate(d.RECEIPTS_DROPPED, "instance"), "{{instance}} receipts dropped"),
            ), "short", d.EXCHANGES.help),
            Panel("Workers", (
                (_now(d.WORKERS, "instance"), "{{instance}} ready"),
                (_rate(d.WORKER_RESTARTS, "instance"), "{{instance}} restarts/s"),
            ), "short", d.WORKERS.help),
            Panel("Routes", (
                (_now(d.ROUTES, "instance"), "{{instance}} names"),
                (_now(d.ROUTABLE, "instance"), "{{instance}} that can be answered"),
                (_now(d.FILE_VALID, "instance", "min"), "{{instance}} file is valid"),
            ), "short", d.ROUTES.help),
            Panel("Version and time since the start", (
                (f"time() - {_now(d.STARTED, 'instance', 'max')}", "{{instance}}"),
                (f"{_now(d.BUILD, 'instance, version')} * 0", "{{instance}} {{version}}"),
            ), "s", d.STARTED.help),
        )),
    )  # fmt: skip


def dashboard() -> dict[str, Any]:
    """The dashboard as Grafana imports it."""
    shown: list[dict[str, Any]] = []
    top = 0
    for title, row in panels():
        place = {"h": 1, "w": _COLUMNS, "x": 0, "y": top}
        shown.append({"type": "row", "title": title, "collapsed": False, "gridPos": place,
                      "id": len(shown) + 1, "panels": []})  # fmt: skip
        top += 1
        for at, panel in enumerate(row):
            line, column = divmod(at, _COLUMNS // _WIDTH)
            place = {"h": _HEIGHT, "w": _WIDTH, "x": column * _WIDTH, "y": top + line * _HEIGHT}
            shown.append(_chart(panel, len(shown) + 1, place))
        top += _HEIGHT * -(-len(row) // (_COLUMNS // _WIDTH))
    instances = f"label_values({d.BUILD.name}, instance)"
    return {
        "title": "modelscan",
        "uid": "modelscan",
        "tags": ["modelscan", "llm"],
        "schemaVersion": 39,
        "editable": True,
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {"list": [
            {"name": "source", "label": "Data source", "type": "datasource",
             "query": "prometheus"},
            {"name": "instance", "label": "Gateway", "type": "query", "datasource": _SOURCE,
             "query": {"query": instances, "refId": "instances"}, "refresh": 2,
             "includeAll": True, "multi": True, "allValue": ".*",
             "current": {"text": "All", "value": "$__all"}},
        ]},
        "panels": shown,
    }  # fmt: skip


def _chart(panel: Panel, number: int, place: dict[str, int]) -> dict[str, Any]:
    targets = [
        {"datasource": _SOURCE, "expr": query, "legendFormat": legend, "refId": chr(65 + at)}
        for at, (query, legend) in enumerate(panel.queries)
    ]
    return {
        "id": number,
        "type": "timeseries",
        "title": panel.title,
        "description": panel.help,
        "datasource": _SOURCE,
        "gridPos": place,
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "targets": targets,
    }


def text() -> str:
    """The file's content."""
    return json.dumps(dashboard(), indent=1, ensure_ascii=False) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--check", action="store_true", help="write nothing, compare")
    if parser.parse_args().check:
        fresh = FILE.is_file() and FILE.read_text(encoding="utf-8") == text()
        if not fresh:
            sys.stdout.write(f"{FILE.name} is not up to date: make dashboard\n")
        return 0 if fresh else 1
    FILE.parent.mkdir(parents=True, exist_ok=True)
    FILE.write_text(text(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
