"""The verbs of the command line, one module each, with a `main(argv)`; its docstring is its help.

A verb imports heavy modules only when it runs, so that its help opens at once.
"""

VERBS = {
    "build": "turn any text into a corpus",
    "train": "train a model on a corpus",
    "evaluate": "measure how well a model predicts a corpus",
    "generate": "generate text with a model",
    "classify": "train an intent classifier, or name the intent of a text",
    "inspect": "show on one page what a model does while it reads a text",
    "page": "make a page that needs no server: the model runs in the browser",
    "package": "make a folder that can be published from a finished run",
    "verify": "recompute the hashes and figures of a packaged model, and say what differs",
    "publish": "publish a packaged model, its corpus and its Space",
    "export": "export one step of a model to ONNX",
    "vanishing": "measure how far back a gradient reaches",
    "benchmark": "measure the project against baselines; needs a checkout",
}
