"""The fake hub is good enough for the real client library: what works here works there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.fake_hub import FakeHub
from support.hub_content import llama_tensors, safetensors

SCRIPT = """
import sys
from huggingface_hub import hf_hub_download, snapshot_download, HfApi
from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, EntryNotFoundError
where = sys.argv[1]
print(hf_hub_download("acme/tiny", "config.json", cache_dir=where))
print(snapshot_download("acme/tiny", cache_dir=where))
api = HfApi()
info = api.model_info("acme/tiny", files_metadata=True)
print(sorted((s.rfilename, s.size, s.lfs.sha256 if s.lfs else None) for s in info.siblings))
print([m.id for m in api.list_models(search="tiny", limit=10)])
print(len(list(api.list_repo_tree("acme/tiny", recursive=True))))
print(api.get_safetensors_metadata("acme/tiny").parameter_count)
for repo, file in (("acme/gated", "a.bin"), ("acme/none", "a.bin"), ("acme/tiny", "none.txt")):
    try:
        hf_hub_download(repo, file, cache_dir=where)
    except (GatedRepoError, RepositoryNotFoundError, EntryNotFoundError) as error:
        print(type(error).__name__)
"""


@pytest.fixture
def hub():
    with FakeHub(page_size=2) as running:
        weights = safetensors(llama_tensors())
        files = {
            "config.json": b'{"model_type": "llama"}',
            "model.safetensors": weights,
            "sub/one.txt": b"1",
            "sub/deeper/two.txt": b"22",
        }
        running.add("acme/tiny", files)
        running.add("acme/tiny-2", files)
        running.add("acme/tiny-3", files)
        running.add("acme/gated", {"a.bin": b"x"}, gated="auto")
        yield running


def run_script(hub: FakeHub, tmp_path: Path) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path / "cache")],
        capture_output=True, text=True, check=False, timeout=120,
        env={**os.environ, **hub.environment()},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_huggingface_hub_works_against_it(hub, tmp_path):
    lines = run_script(hub, tmp_path)
    repo = hub.repos["acme/tiny"]
    config, snapshot, siblings, found, entries, counts, *errors = lines
    assert Path(config).read_bytes() == repo.files["config.json"].head
    assert repo.sha in snapshot
    file = repo.files["model.safetensors"]
    assert (Path(snapshot) / "model.safetensors").read_bytes() == file.read(0, file.size)
    assert (Path(snapshot) / "sub/deeper/two.txt").read_bytes() == b"22"
    assert f"('model.safetensors', {file.size}, '{file.sha256}')" in siblings
    assert found == "['acme/tiny', 'acme/tiny-2', 'acme/tiny-3']"  # two pages, by Link
    assert entries == "6"
    assert counts == "{'BF16': 131392}"
    assert errors == ["GatedRepoError", "RepositoryNotFoundError", "RemoteEntryNotFoundError"]


def test_a_moved_branch_is_another_commit(hub):
    repo = hub.repos["acme/tiny"]
    before = repo.sha
    after = repo.put("config.json", b"{}")
    assert before != after and repo.at("main")[0] == after
    assert repo.at(before)[1]["config.json"].head == b'{"model_type": "llama"}'


@pytest.mark.parametrize("cuts", [[0, 1, 100_000], [50_000, 200_000]])
def test_an_interrupted_download_is_resumed_by_the_real_library(hub, tmp_path, cuts):
    """What the download tests rely on: connections cut at chosen bytes, ranges to go on."""
    file = hub.repos["acme/tiny"].files["model.safetensors"]
    script = (
        "import sys; from huggingface_hub import hf_hub_download\n"
        "print(hf_hub_download('acme/tiny', 'model.safetensors', cache_dir=sys.argv[1]))"
    )

    def download() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True,
            env={**os.environ, **hub.environment()}, check=False, timeout=120,
        )  # fmt: skip

    hub.fault("/cdn/", "cut", times=len(cuts))
    for cut in cuts:
        hub.cut_after_bytes = cut
        done = download()
        if done.returncode == 0:  # the library itself goes on after a cut
            break
    done = download()
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()).read_bytes() == file.read(0, file.size)
    assert len(hub.seen("/cdn/")) > 1


def test_a_flipped_byte_and_a_slow_line(hub):
    import urllib.request

    file = hub.repos["acme/tiny"].files["model.safetensors"]
    url = f"{hub.cdn_url}/{file.sha256}"
    hub.fault("/cdn/", "corrupt", times=1)
    with urllib.request.urlopen(url) as answer:
        data = answer.read()
    assert len(data) == file.size and data[1:] == file.read(1, file.size)
    assert data[0] == file.read(0, 1)[0] ^ 0xFF
    hub.bytes_per_s = 1 << 10  # minutes for the whole file
    hub.fault("/cdn/", "throttle", times=1)
    before = hub.sent_bytes
    with urllib.request.urlopen(url) as answer:
        assert answer.read(100) == file.read(0, 100)
        assert hub.sent_bytes - before < file.size
