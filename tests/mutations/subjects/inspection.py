"""Known ways to break looking into a model."""

from mutation import Mutation

MUTATIONS = [
    Mutation(
        "the states of two readings are compared a letter late",
        "char_lstm.inspection.differences:difference_by_distance",
        "position + 1 : len(text)]",
        "position : len(text) - 1]",
        "tests/inspection/test_differences.py",
    ),
    Mutation(
        "gradients one character off",
        "char_lstm.inspection.inspect:Inspection.connectivity",
        "gradients[:, 1:].double()",
        "gradients[:, :-1].double()",
        "tests/inspection/test_inspect.py",
    ),
    Mutation(
        "gates one step late",
        "char_lstm.inspection.inspect:_stack",
        "torch.cat(layer)[:-1]",
        "torch.cat(layer)[1:]",
        "tests/inspection/test_inspect.py",
    ),
    Mutation(
        "a text breaks out of the page",
        "char_lstm.page.offline:render_page",
        r'.replace("<", r"\u003c")',
        "",
        "tests/inspection/test_page.py",
    ),
    Mutation(
        "means of the gates over time instead of cells",
        "char_lstm.inspection.page:record_of",
        "array.mean(axis=2)",
        "array.mean(axis=1)",
        "tests/inspection/test_page.py",
    ),
    Mutation(
        "the predictions of the next character shown for this one",
        "char_lstm.inspection.inspect:inspect_text",
        "for score in scores],",
        "for score in [*scores[1:], *scores[-1:]]],",
        "tests/inspection/test_inspect.py",
    ),
    Mutation(
        "an inspection starts from nothing instead of the line end",
        "char_lstm.inspection.inspect:inspect_text",
        "torch.tensor([model.config.bos_token_id, *ids], device=model.device)",
        "torch.tensor([0, *ids], device=model.device)",
        "tests/inspection/test_inspect.py",
    ),
    Mutation(
        "a prediction outside the text is the last one",
        "char_lstm.inspection.inspect:Inspection.connectivity",
        "            if not 0 <= index < len(self.chars):\n",
        "            if False:\n",
        "tests/inspection/test_inspect.py",
    ),
]
