"""Trains a character model with the Hugging Face Trainer; the defaults are the assignment, recipe `alice`.

    char-lstm train --config alice
    char-lstm train --dataset data/mine --output_dir runs/mine --num_train_epochs 30
    char-lstm train --config tune --init_from english --dataset data/mine --output_dir runs/mine
    char-lstm train --output_dir runs/alice --push_to_hub --hub_model_id USER/alice-char-lstm

`--push_to_hub` tests, packages and publishes the result. The command line overrides the recipe, and the recipe the
defaults. Run the same command again after an interruption and it resumes from the last complete checkpoint.
"""

import logging
from pathlib import Path
from typing import Any

from ..arguments import formatter, help_if_asked, parse
from ..training.settings import GROUPS

EPILOG = "--help_all lists the fields of transformers' TrainingArguments too; all of them are settings."


def main(argv: list[str]) -> None:
    help_if_asked(argv, GROUPS, __doc__, EPILOG)

    from ..training.run import train

    recipe = read_command(argv)
    publishes, recipe.push_to_hub = recipe.push_to_hub, False  # the Trainer would push each checkpoint, unmeasured
    level = logging.INFO if recipe.should_log else logging.ERROR  # of several processes one speaks
    logging.getLogger().setLevel(level)
    if publishes:
        check_publishing(recipe)
    try:
        trainer = train(recipe)
    except KeyboardInterrupt:
        raise KeyboardInterrupt("; the same command resumes from the last checkpoint") from None
    except (MemoryError, RuntimeError) as error:
        raise_if_out_of_memory(error, recipe)
        raise
    if publishes and trainer.is_world_process_zero():
        publish_result(recipe)


def read_command(argv: list[str]):
    """The recipe of a command line, over the one that `--config` names, over the defaults."""
    from transformers import HfArgumentParser

    from ..training.recipe import Recipe, read_recipe

    every_field: Any = Recipe
    parser = HfArgumentParser(every_field, description=__doc__, formatter_class=formatter, allow_abbrev=False)
    if "--help_all" in argv:
        parser.parse_args(["--help"])
    named = parser.parse_known_args(argv)[0].config
    return parse(Recipe, __doc__, argv, **(read_recipe(named) if named else {}))


def raise_if_out_of_memory(error: Exception, recipe) -> None:
    """Raises TrainingError, which names what to lower."""
    from accelerate.utils.memory import should_reduce_batch_size

    from ..errors import TrainingError

    if isinstance(error, MemoryError) or should_reduce_batch_size(error):
        raise TrainingError(
            f"out of memory: lower --per_device_train_batch_size (now {recipe.per_device_train_batch_size}), "
            f"--per_device_eval_batch_size (now {recipe.per_device_eval_batch_size}), --row_length (now "
            f"{recipe.row_length}) or --hidden_size (now {recipe.hidden_size}), or build the corpus with a lower "
            "--max_length"
        ) from error


def check_publishing(recipe) -> None:
    """Checks the id and the token hours before they are needed."""
    from huggingface_hub import HfApi

    from ..errors import PublishError
    from ..hub.publish import check_access
    from ..hub.repo import check_ids

    if not recipe.hub_model_id:
        raise PublishError("--push_to_hub needs --hub_model_id USER/NAME")
    if recipe.streaming:
        raise PublishError("a stream has no test split to measure the model on: publish it with char-lstm publish")
    check_ids([recipe.hub_model_id])
    check_access(HfApi(), [recipe.hub_model_id])


def publish_result(recipe) -> None:
    from ..hub.arguments import PackageArguments, PublishArguments
    from ..hub.package import package
    from ..hub.publish import publish
    from ..training.evaluation import evaluate_folder
    from ..training.readings.base import DEFAULT_CORPUS

    run, dataset = recipe.output_dir, recipe.dataset
    packaged = f"{run}/packaged/{recipe.hub_model_id.split('/')[1].removesuffix('-char-lstm')}"
    evaluate_folder(run, dataset, json_path=f"{run}/evaluation.json")
    arguments = PackageArguments(run=run, dataset=dataset, output_dir=packaged)
    if Path(dataset) != DEFAULT_CORPUS:
        arguments.text_name = Path(dataset).name
    if recipe.config:
        arguments.recipe = recipe.config
    package(arguments)
    publish(PublishArguments(model=packaged, repo_id=recipe.hub_model_id, private=bool(recipe.hub_private_repo)))
