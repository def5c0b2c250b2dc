"""docs/images/model.png: the page of a model, as a real Chromium shows it.

    python -m scripts.picture_page           # make pictures (Debian: chromium, fonts-dejavu-core)

A gateway is started offline in an empty home; the hardware of the page is simulated.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
PICTURE = REPOSITORY / "docs" / "images" / "model.png"
PAGE = "/model/alibaba/qwen3-32b?gpu=RTX+4090"
WIDTH, HEIGHT = 1180, 1240


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="modelscan-") as home:
        env = {**os.environ, "MODELSCAN_HOME": home, "MODELSCAN_OFFLINE": "1"}
        command = [sys.executable, "-m", "modelscan", "serve", "--port", "0"]
        with subprocess.Popen(
            command, env=env, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True
        ) as served:
            try:
                assert served.stdout is not None
                url = served.stdout.readline().strip().removesuffix("/v1")
                take(f"{url}{PAGE}")
            finally:
                served.terminate()
    sys.stdout.write(f"{PICTURE}: {PICTURE.stat().st_size:,} bytes\n")
    return 0


def take(url: str) -> None:
    """Write the picture of an address."""
    from playwright.sync_api import sync_playwright

    from tests.support.browser import FLAGS, find_chromium

    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=list(FLAGS))
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light")
        page.goto(url)
        page.wait_for_load_state("load")
        page.screenshot(path=PICTURE)
        browser.close()


if __name__ == "__main__":
    sys.exit(main())
