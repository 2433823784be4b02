"""Makes transformers' own tests importable as `transformers_tests`: `make upstream` fetches them with its source.

The source distribution lacks `tests/generation` and `tests/exporters`, which the tests of models inherit from. Empty
classes stand in for theirs; tests/test_generation_promises.py and tests/test_works_with.py promise what they would.
"""

import sys
from fnmatch import fnmatch
from types import ModuleType

import pytest

from tests.conftest import ROOT
from tests.upstream.skipped import SKIPPED

FETCHED = ROOT / ".venv" / "upstream"
MISSING = {"generation.test_utils": "GenerationTesterMixin", "exporters.test_export": "ExportTesterMixin"}

collect_ignore_glob = [] if FETCHED.exists() else ["test_*.py"]
for name, mixin in MISSING.items():
    stand_in = ModuleType(f"transformers_tests.{name}")
    setattr(stand_in, mixin, type(mixin, (), {}))
    sys.modules[stand_in.__name__] = stand_in


def reason_to_skip(item) -> str | None:
    test = f"{item.cls.__name__}.{item.name}"
    return next((reason for pattern, reason in SKIPPED.items() if fnmatch(test, pattern)), None)


def pytest_collection_modifyitems(items):
    for item in items:
        if "tests/upstream/" in item.path.as_posix():
            item.add_marker(pytest.mark.upstream)
            if reason := reason_to_skip(item):
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """A test that skips itself, with no reason in our table, fails."""
    report = yield
    if report.skipped and not reason_to_skip(item):
        report.outcome = "failed"
        report.longrepr = f"{item.name} skips itself, and tests/upstream/skipped.py does not say why"
    return report
