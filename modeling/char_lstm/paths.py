"""Where things lie: in the package, and beside it in a checkout."""

from pathlib import Path

from .errors import UserError

PACKAGE = Path(__file__).resolve().parent
RECIPES = PACKAGE / "recipes"
TEMPLATES = PACKAGE / "templates"
INTENTS = PACKAGE / "intents"
PRETRAINED = PACKAGE.parent / "pretrained"  # in a checkout, and in a Space; an installed package has none
CHECKOUT = PACKAGE.parent.parent
RESULTS = CHECKOUT / "scripts" / "results"


def in_checkout(*parts: str) -> Path:
    """A file or folder of the checkout around the package. Raises UserError where the package is installed."""
    path = CHECKOUT.joinpath(*parts)
    if not path.exists():
        raise UserError(f"this needs a checkout of the repository: an installed package has no {'/'.join(parts)}")
    return path


def local_model(model_id: str | Path) -> Path | None:
    """The folder that a model is named by: that folder if it exists, else the packaged model's of that name."""
    return next((folder for folder in (Path(model_id), PRETRAINED / model_id) if folder.is_dir()), None)


def packaged_model(name: str) -> Path:
    """The folder of a model of this repository. Raises UserError where the package is installed without it."""
    if not (PRETRAINED / name).is_dir():
        raise UserError(
            f"the model {name} is not part of an installed package: give --model, a folder or an id on the Hub"
        )
    return PRETRAINED / name
