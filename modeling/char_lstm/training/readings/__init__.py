"""The ways to read a text in training, a class each; a recipe means one of them.

A new way is a `Reading` in a file of its own here, and a line in `READINGS`.
"""

from ...errors import TrainingError
from .base import Reading
from .lanes import LaneReading
from .sentences import SentenceReading
from .stream import StreamReading
from .windows import WindowReading

READINGS = (StreamReading, WindowReading, LaneReading)  # joined sentences, where a recipe asks for none of these


def reading_of(recipe) -> type[Reading]:
    """The reading that a recipe means.

    Raises:
        TrainingError: it asks for two, or for something that its reading excludes.
    """
    asked = [reading for reading in READINGS if getattr(recipe, reading.option)]
    if len(asked) > 1:
        raise TrainingError(f"--{asked[0].option} and --{asked[1].option} are two ways to read a text: choose one")
    chosen = asked[0] if asked else SentenceReading
    for clash in chosen.clashes(recipe):
        raise TrainingError(clash)
    return chosen
