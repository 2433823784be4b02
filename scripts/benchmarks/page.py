"""500 characters in a browser's tab: a page in one file, in Chromium without a window."""

import shutil
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from playwright.sync_api import sync_playwright

from char_lstm.page.static import make_page

WRITE = """() => new Promise(resolve => {
  const text = document.getElementById("text"), start = performance.now();
  let last = start, pause = 0;
  const frame = now => {
    pause = Math.max(pause, now - last);
    last = now;
    if (text.dataset.state !== "done") return requestAnimationFrame(frame);
    resolve([(performance.now() - start) / 1000, pause / 1000]);
  };
  document.getElementById("write").click();
  text.dataset.state = "writing";
  requestAnimationFrame(frame);
})"""


def measure(repeats: int) -> dict:
    """Seconds of a text, and of the longest time in which the page draws no frame meanwhile: medians."""
    with TemporaryDirectory() as folder, sync_playwright() as playwright:
        file = Path(folder) / "alice.html"
        make_page("alice", file, single_file=True)
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        version = browser.version
        firsts: list[list[float]] = []  # of each run [seconds, longest pause]
        others: list[list[float]] = []
        for _ in range(repeats):
            page = browser.new_page()
            page.goto(file.as_uri())
            page.wait_for_selector("#text [role=option]")
            firsts.append(page.evaluate(WRITE))
            page.wait_for_selector("#text [role=option]")
            others.append(page.evaluate(WRITE))
            page.close()
        browser.close()
    figures = {"first text of a visit": firsts, "each other text": others}
    return {
        "browser": f"Chromium {version}",
        "unit": "seconds",
        "figures": {f"{name}, 500 characters": median(seconds for seconds, _ in runs) for name, runs in figures.items()}
        | {f"{name}, longest pause of the page": median(pause for _, pause in runs) for name, runs in figures.items()},
    }
