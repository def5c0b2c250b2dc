"""The model that comes with modelscan, found like any other: facts from its own header."""

from __future__ import annotations

from modelscan.catalog.curated import curated
from modelscan.catalog.records import SourceRecord, SourceSnapshot
from modelscan.catalog.search.lookup import DEMO_FILE
from modelscan.core.model import Variant, WeightFile
from modelscan.core.workload import Workload
from modelscan.models.from_local import from_path
from modelscan.state.bundled import examples_dir

DEMO_ID = "modelscan/demo"
DEMO_SOURCE = "modelscan"


def snapshot() -> SourceSnapshot:
    """One model with one variant, whose place is filled in when it is looked up."""
    (candidate,) = from_path(str(examples_dir() / DEMO_FILE), Workload()).candidates
    shape = candidate.shape
    facts = {
        "name": "Demo",
        "family": "demo",
        "task": "chat",
        "open_weights": True,
        "license": "apache-2.0",
        "parameters": shape.weights.parameters,
        "limits.context_tokens": shape.architecture.context_tokens,
        "modalities_in": ("text",),
        "modalities_out": ("text",),
    }
    variant = Variant(
        repo=DEMO_FILE,
        format="gguf",
        quantization=shape.quantization,
        source="local_path",
        weight_bytes=shape.weights.total_bytes,
        parameters=shape.weights.parameters,
        files=(WeightFile(DEMO_FILE, None),),
    )
    record = SourceRecord(
        key=DEMO_ID,
        kind="overlay",
        name="Demo",
        canonical=DEMO_ID,
        facts={field: value for field, value in facts.items() if value is not None},
        aliases=("demo",),
        variants=(variant,),
    )
    return SourceSnapshot(
        source=DEMO_SOURCE,
        retrieved_at=curated().reviewed,
        records=(record,),
        origin="examples/" + DEMO_FILE,
        licence="Apache-2.0",
    )
