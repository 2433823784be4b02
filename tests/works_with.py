"""Tries every client of tests/test_works_with.py with the versions installed here, and writes down what came of each.

python -m tests.works_with newest    # in the environment of constraints.txt
python -m tests.works_with oldest    # in that of constraints_oldest.txt; `oldest -k peft` tries peft alone anew
python scripts/benchmark.py tables     # docs/works-with.md from both
"""

import json
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from scripts.benchmarks.common import machine

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "scripts" / "results" / "works_with.json"


class Outcomes:
    """A pytest plugin that keeps what came of each client: package, what was tried, "works" or why not."""

    def __init__(self):
        self.rows = []

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item, call):
        report = yield
        mark = item.get_closest_marker("client")
        if mark and (report.when == "call" or not report.passed) and report.when != "teardown":
            if report.passed:
                outcome = "works"
            elif hasattr(report, "wasxfail"):
                outcome = f"fails: {report.wasxfail}"
            else:
                outcome = f"fails: {call.excinfo.exconly().splitlines()[0]}"
            self.rows.append({"client": mark.args[0], "what": mark.args[1], "outcome": outcome})
        return report


def main(which: str, *options: str) -> int:
    outcomes = Outcomes()
    tests = str(ROOT / "tests" / "test_works_with.py")
    status = pytest.main(["--quiet", "-p", "no:randomly", "-m", "client", tests, *options], plugins=[outcomes])
    results = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    rows = {row["what"]: row for row in results.get(which, {"rows": []})["rows"] + outcomes.rows}
    versions = {row["client"]: version(row["client"]) for row in rows.values()}
    results[which] = {"machine": machine(), "versions": versions, "rows": list(rows.values())}
    RESULTS.write_text(json.dumps(results, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return status


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
