"""Known ways to break the Space."""

from mutation import Mutation

MUTATIONS = [
    Mutation(
        "length of a prompt not checked over the API",
        "space.writing:check_request",
        "    if len(prompt) > LONGEST_PROMPT:\n",
        "    if False:\n",
        "tests/space/test_space.py::TestLimits",
    ),
    Mutation(
        "seed lost on the way to the model",
        "space.writing:generate",
        "seed=seed, max_new_tokens=length, **sampling",
        "seed=None, max_new_tokens=length, **sampling",
        "tests/space/test_space.py::TestWriting",
    ),
    Mutation(
        "a text is sent when it is whole",
        "space.writing:growing_text",
        "yield from accumulate(pieces)",
        "yield [*accumulate(pieces)][-1]",
        "tests/space/test_space.py::TestWriting",
    ),
    Mutation(
        "a text goes on that nobody waits for",
        "space.writing:growing_text",
        "yield from accumulate(pieces)",
        "yield from list(accumulate(pieces))",
        "tests/space/test_space.py::TestSlots",
    ),
    Mutation(
        "a broken model breaks the page",
        "space.app:build",
        "    except (CheckpointError, OSError) as error:\n        return broken_page",
        "    except KeyError as error:\n        return broken_page",
        "tests/space/test_space.py::TestStart",
    ),
    Mutation(
        "torch imported before the page is there",
        "space.app",
        "import gradio as gr\n",
        "import gradio as gr\nimport torch\n",
        "tests/space/test_space.py::TestStart",
    ),
    Mutation(
        "a request of any weight is read",
        "space.app:SERVING",
        "max_body_size=LARGEST_REQUEST",
        "max_body_size=100 * LARGEST_REQUEST",
        "tests/space/test_space.py::TestLimits",
    ),
    Mutation(
        "every session is remembered",
        "space.app:SERVING",
        '    "state_session_capacity": SESSIONS,\n',
        "",
        "tests/space/test_space.py::TestLimits",
    ),
    Mutation(
        "a value of a wrong type is refused without a word",
        "space.app:SERVING",
        '"show_error": True,',
        '"show_error": False,',
        "tests/space/test_space.py::TestLimits",
    ),
    Mutation(
        "a model's name has to be hashable",
        "space.models:check_model",
        "if name not in list(MODELS):",
        "if name not in MODELS:",
        "tests/space/test_space.py::TestLimits",
    ),
    Mutation(
        "a text of a wrong type breaks the inspector",
        "space.reading:data_of",
        'str(text or "")',
        'text or ""',
        "tests/space/test_space.py::TestLimits",
    ),
    Mutation(
        "two threads import transformers at once",
        "space.models:model_of",
        "    with IMPORTING:\n",
        "    if True:\n",
        "tests/space/test_space.py::TestStart",
    ),
]
