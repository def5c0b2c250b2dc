"""The snapshots that come with the package, and the demo model."""

from __future__ import annotations

from pathlib import Path

from modelscan.catalog.records import BUNDLED, SourceRecord, SourceSnapshot, load
from modelscan.core.model import Variant, WeightFile
from modelscan.state.bundled import bundled_dir, examples_dir

DEMO_ID = "modelscan/demo"
DEMO_FILE = "demo-model.gguf"
DEMO_SOURCE = "modelscan"


def snapshots_dir() -> Path:
    return bundled_dir() / "snapshots"


def bundled_snapshots() -> tuple[SourceSnapshot, ...]:
    """Every source's bundled records, in the order of names, with the demo model's own."""
    files = sorted(snapshots_dir().glob("*.json.gz"))
    return (*(load(f.read_bytes(), where=f.name) for f in files), demo_snapshot())


def demo_snapshot() -> SourceSnapshot:
    """The model that comes with modelscan, found like any other."""
    file = examples_dir() / DEMO_FILE
    size = file.stat().st_size if file.is_file() else None
    variant = Variant(
        repo=DEMO_FILE,
        format="gguf",
        quantization=None,
        source="local_path",
        weight_bytes=size,
        files=(WeightFile(DEMO_FILE, size),),
    )
    facts = {
        "name": "Demo",
        "family": "demo",
        "task": "chat",
        "open_weights": True,
        "license": "apache-2.0",
        "modalities_in": ("text",),
        "modalities_out": ("text",),
    }
    record = SourceRecord(
        key=DEMO_ID,
        kind="overlay",
        name="Demo",
        canonical=DEMO_ID,
        facts=facts,
        aliases=("demo",),
        variants=(variant,),
    )
    return SourceSnapshot(
        source=DEMO_SOURCE, retrieved_at=None, records=(record,), state=BUNDLED,
        origin="examples/" + DEMO_FILE, licence="Apache-2.0",
    )  # fmt: skip
