"""The two environments that CI tests in: the newest versions, and the oldest that pyproject.toml allows."""

import tomllib

import pytest
from packaging.requirements import Requirement

from tests.conftest import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
REQUIREMENTS = {
    requirement.name.lower().replace("-", "_"): requirement
    for lines in (PROJECT["dependencies"], *PROJECT["optional-dependencies"].values())
    for requirement in map(Requirement, lines)
    if requirement.name != PROJECT["name"]
}
NEWEST_ALONE = ("lm_eval", "trl", "pip_audit", "deptry", "mypy", "ruff", "types_pyyaml")
AT_THEIR_OLDEST = ("transformers", "huggingface_hub", "datasets", "gradio", "starlette", "tokenizers")


def pins(name: str) -> dict[str, str]:
    """Version by package of a file of constraints."""
    lines = (ROOT / name).read_text(encoding="utf-8").split()
    return {package.lower().replace("-", "_"): version for package, version in (line.split("==") for line in lines)}


@pytest.mark.parametrize("file", ["constraints.txt", "constraints_oldest.txt"])
@pytest.mark.parametrize("package", REQUIREMENTS)
def test_every_pin_lies_inside_the_bounds(file, package):
    if file == "constraints.txt" or package not in NEWEST_ALONE:
        assert REQUIREMENTS[package].specifier.contains(pins(file)[package])


@pytest.mark.parametrize("package", AT_THEIR_OLDEST)
def test_the_oldest_environment_has_the_oldest_that_is_allowed(package):
    (oldest,) = (part.version for part in REQUIREMENTS[package].specifier if part.operator == ">=")
    assert Requirement(f"{package}=={oldest}").specifier.contains(pins("constraints_oldest.txt")[package])


def test_both_environments_have_the_same_torch():
    assert pins("constraints.txt")["torch"] == pins("constraints_oldest.txt")["torch"]
