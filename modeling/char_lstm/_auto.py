"""Teaches transformers' Auto classes our model, at the moment they are imported and not before."""

import importlib.abc
import importlib.util
import sys

AUTO_CONFIG = "transformers.models.auto.configuration_auto"
AUTO_MODEL = "transformers.models.auto.modeling_auto"
LAYERS = "transformers.modeling_layers"  # imports the Auto modules, and ours import it


def register_config(auto):
    from .configuration_char_lstm import CharLstmConfig

    auto.AutoConfig.register("char_lstm", CharLstmConfig, exist_ok=True)


def register_models(auto):
    from .configuration_char_lstm import CharLstmConfig
    from .modeling_char_lstm import CharLstmForCausalLM, CharLstmForSequenceClassification, CharLstmModel

    auto.AutoModel.register(CharLstmConfig, CharLstmModel, exist_ok=True)
    auto.AutoModelForCausalLM.register(CharLstmConfig, CharLstmForCausalLM, exist_ok=True)
    auto.AutoModelForSequenceClassification.register(CharLstmConfig, CharLstmForSequenceClassification, exist_ok=True)


REGISTER = {AUTO_CONFIG: register_config, AUTO_MODEL: register_models}


class RegisterAfterImport(importlib.abc.MetaPathFinder):
    """Finds the Auto modules and ours as Python does, and registers our classes once none of them is half imported.

    Ours import the Auto modules themselves, by way of `transformers.modeling_layers`.
    """

    def __init__(self):
        self.half_imported = []

    def find_spec(self, name, path, target=None):
        if name not in (*REGISTER, LAYERS) and not name.startswith(f"{__package__}."):
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is None or spec.loader is None:
            return spec
        run = spec.loader.exec_module

        def run_and_register(module):
            self.half_imported.append(name)
            try:
                run(module)
            finally:
                self.half_imported.remove(name)
            if not self.half_imported:
                register_what_is_there()

        spec.loader.exec_module = run_and_register  # type: ignore[method-assign]  # this one loader's alone
        return spec


def register_what_is_there():
    for name, register in REGISTER.items():
        if name in sys.modules:
            register(sys.modules[name])


def register_when_needed():
    sys.meta_path.insert(0, RegisterAfterImport())
    register_what_is_there()
