"""One base model for texts as they are and in the assignment's form, or one for each: as good, trained as long?

The recipe is that of `english`, with smaller cells and fewer steps; the mixed model takes as many steps as the other
two together. Each is tested on the last tenths of the books held out, in the form or forms that it serves.
"""

import json
import tempfile
from pathlib import Path

from datasets import load_from_disk

from char_lstm import load
from char_lstm.files import write_json
from char_lstm.tokenization_char_lstm import fold
from char_lstm.training.evaluation import evaluate
from char_lstm.training.precision import bfloat16_helps
from char_lstm.training.run import train
from char_lstm.verbs.train import read_command

from .common import UNDISTURBED, now
from .english_corpus import TYPEWRITER, in_form, mix_books, read_books

STEPS = 2000
SMALLER = {"config": "english", "hidden_size": 256, "bf16": bfloat16_helps()}
FORMS = {  # of book `number`
    "the assignment's form": lambda number, text: fold(text),
    "as they are": lambda number, text: text if number % 2 else text.translate(TYPEWRITER),
}


def measure_form(name: str, books: list[str], held_out: list[str]) -> dict:
    """Trains on the books in one form, or on all of them mixed, and tests on each form that is served."""
    steps = STEPS if name == "mixed" else STEPS // len(FORMS)
    fall = {"num_decay_steps": steps // 5, "decay_type": "linear"}
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        mix_books(books, held_out, FORMS.get(name, in_form), place / "corpus")
        settings = {**SMALLER, "max_steps": steps, "lr_scheduler_kwargs": json.dumps(fall), **UNDISTURBED}
        settings |= {"dataset": place / "corpus", "output_dir": place / "run"}
        start = now()
        train(read_command([f"--{setting}={value}" for setting, value in settings.items()]))
        seconds, tested = now() - start, {}
        for form in FORMS if name == "mixed" else (name,):
            mix_books(books[:1], held_out, FORMS[form], place / form)  # for its test split
            tested[form] = evaluate(*load(place / "run"), load_from_disk(place / form)["test"])
    return {"steps": steps, "seconds": seconds, "test": tested}


def measure(text: list[Path], json_path: Path) -> dict:
    """The mixed model and the two others; what stands in the file already is kept."""
    known = json.loads(json_path.read_text(encoding="utf-8")) if json_path.exists() else {"models": {}}
    for name in ("mixed", *FORMS):
        if name not in known["models"]:
            known["models"][name] = measure_form(name, *read_books(text))
            write_json(json_path, known)
    figures = {
        f"{name} | {form}": row["nats_per_char"]
        for name, model in known["models"].items()
        for form, row in model["test"].items()
    }
    return {**known, "unit": "nats per character, last tenths of four books", "figures": figures}
