"""What each packaged model writes from some seeds, as hashes, and whether other arithmetic changes it."""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from char_lstm.paths import CHECKOUT, PRETRAINED

SEEDS = 8
AVX512 = "X86_V4 AVX512F AVX512CD AVX512_SKX AVX512_CLX AVX512_CNL AVX512_ICL AVX512_SPR"  # old and new numpy's names
ENVIRONMENTS = {
    "one thread": {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
    "eight threads": {"OPENBLAS_NUM_THREADS": "8", "OMP_NUM_THREADS": "8"},
    "no AVX-512": {"NPY_DISABLE_CPU_FEATURES": AVX512, "OPENBLAS_CORETYPE": "Haswell", "OPENBLAS_NUM_THREADS": "1"},
}
WRITE = """
import hashlib, json, sys
from char_lstm import generate_text, load_decoder
written = {}
for name in sys.argv[2:]:
    model = load_decoder(name)
    texts = [generate_text(*model, seed=seed, max_new_tokens=500) for seed in range(int(sys.argv[1]))]
    written[name] = [hashlib.sha256(text.encode()).hexdigest()[:16] for text in texts]
print(json.dumps(written))
"""


def models() -> list[str]:
    """The packaged models that write."""
    return sorted(config.parent.name for config in PRETRAINED.glob("*/generation_config.json"))


def written_under(environment: dict[str, str]) -> dict[str, list[str]]:
    """Of each model the hash of the 500 characters from each seed, in a fresh process."""
    command = [sys.executable, "-c", WRITE, str(SEEDS), *models()]
    done = subprocess.run(command, cwd=CHECKOUT, env=os.environ | environment, check=True, stdout=subprocess.PIPE)
    return json.loads(done.stdout)


def differing(one: dict[str, list[str]], other: dict[str, list[str]]) -> list[str]:
    """The texts that two tables have otherwise, each as "model seed"."""
    return [
        f"{name} {seed}"
        for name, hashes in one.items()
        for seed, pair in enumerate(zip(hashes, other[name], strict=True))
        if len(set(pair)) > 1
    ]


def measure() -> dict:
    """The hashes under the first of ENVIRONMENTS, and what of them is otherwise under the others."""
    first, *others = ENVIRONMENTS
    with ThreadPoolExecutor() as pool:
        written, *otherwise = pool.map(written_under, ENVIRONMENTS.values())
    differ = {name: differing(written, tables) for name, tables in zip(others, otherwise, strict=True)}
    return {
        "sha256": written,
        "texts": sum(map(len, written.values())),
        "differ": differ,
        "unit": "texts of 500 characters",
        "figures": {f"{name}: texts that differ from {first}'s": len(texts) for name, texts in differ.items()},
    }


def plot(results: dict, path: Path) -> None:
    """Hashes need no chart."""
