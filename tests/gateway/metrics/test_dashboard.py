"""The dashboard and the example configuration: every metric that they name exists."""

from __future__ import annotations

import json
import re
from pathlib import Path

import yaml

from modelscan.gateway.metrics.definitions import METRICS
from modelscan.state.config import SETTINGS
from scripts import build_dashboard

EXAMPLES = Path(__file__).resolve().parents[3] / "examples" / "grafana"
_NAME = re.compile(r"\bmodelscan_[a-z_]+")
_GROUP = re.compile(r"by \(([^)]*)\)")
_LEGEND = re.compile(r"{{(\w+)}}")


def test_it_is_what_the_definitions_say() -> None:
    assert build_dashboard.FILE.read_text(encoding="utf-8") == build_dashboard.text()


def test_every_panel_asks_for_series_and_labels_that_exist() -> None:
    series = {name: one for one in METRICS for name in one.series}
    board = json.loads((EXAMPLES / "modelscan.json").read_text())
    asked = set()
    for panel in board["panels"]:
        for target in panel.get("targets", ()):
            names = _NAME.findall(target["expr"])
            assert names, panel["title"]
            for name in names:
                definition = series[name]
                asked.add(definition.name)
                labels = {*definition.labels, "instance", "le"}
                grouped = {w.strip() for g in _GROUP.findall(target["expr"]) for w in g.split(",")}
                assert grouped <= labels, (panel["title"], target["expr"])
                assert set(_LEGEND.findall(target["legendFormat"])) <= grouped
    assert asked == {one.name for one in METRICS}, "a metric without a panel"
    places = [tuple(panel["gridPos"].values()) for panel in board["panels"]]
    assert len(set(places)) == len(places) == len({panel["id"] for panel in board["panels"]})


def test_prometheus_reads_the_default_port() -> None:
    config = yaml.safe_load((EXAMPLES / "prometheus.yml").read_text())
    job = config["scrape_configs"][0]
    port = next(one.default for one in SETTINGS if one.key == "serve_port")
    assert job["static_configs"][0]["targets"] == [f"127.0.0.1:{port}"]
    assert job["metrics_path"] == "/metrics"
