"""Teaches transformers' Auto classes our model, at the moment they are imported and not before."""

import sys
from importlib.machinery import PathFinder

AUTO_CONFIG = "transformers.models.auto.configuration_auto"
AUTO_MODEL = "transformers.models.auto.modeling_auto"
LAYERS = "transformers.modeling_layers"  # imports the Auto modules, and ours import it


class RegisterAfterImport:
    """Finds the Auto modules and ours as Python does, and registers our classes once none of them is half imported."""

    half_imported = 0

    def find_spec(self, name, path, target=None):
        if name not in (AUTO_CONFIG, AUTO_MODEL, LAYERS) and not name.startswith(f"{__package__}."):
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is None or spec.loader is None:
            return spec
        run = spec.loader.exec_module

        def run_and_register(module):
            self.half_imported += 1
            try:
                run(module)
            finally:
                self.half_imported -= 1
            if not self.half_imported:
                register_what_is_there()

        spec.loader.exec_module = run_and_register  # type: ignore[method-assign]  # this one loader's alone
        return spec


def register_what_is_there():
    if auto := sys.modules.get(AUTO_CONFIG):
        from .configuration_char_lstm import CharLstmConfig

        auto.AutoConfig.register(CharLstmConfig.model_type, CharLstmConfig, exist_ok=True)
    if auto := sys.modules.get(AUTO_MODEL):
        from .modeling_char_lstm import CharLstmForCausalLM, CharLstmForSequenceClassification, CharLstmModel

        for kind in (CharLstmModel, CharLstmForCausalLM, CharLstmForSequenceClassification):
            getattr(auto, str(kind._auto_class)).register(kind.config_class, kind, exist_ok=True)


def register_when_needed():
    sys.meta_path.insert(0, RegisterAfterImport())
    register_what_is_there()
