"""A mutation: a known way to break the code, found by the function it breaks, and the tests that must notice."""

import ast
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]


class Mutation(NamedTuple):
    """`old`, found once in the source of `where`, becomes `new`; `tests` (a file, or a test in it) must fail.

    `where` is a module, or what a module defines: "char_lstm.training.ngram:KneserNey.probabilities" for a function,
    "char_lstm.training.ngram:NOTHING" for a constant, "char_lstm.generation_char_lstm" for the whole file.
    """

    name: str
    where: str
    old: str
    new: str
    tests: str

    @property
    def file(self) -> Path:
        """The file of the module, from the root of the repository. Raises ValueError if there is none."""
        module = self.where.partition(":")[0].replace(".", "/")
        for folder in ("modeling", "."):
            for file in (Path(folder, f"{module}.py"), Path(folder, module, "__init__.py")):
                if (ROOT / file).is_file():
                    return file
        raise ValueError(f"{self.name}: no file holds the module of {self.where}")

    def broken(self) -> str:
        """The text of the file, broken. Raises ValueError, in one sentence, where the mutation no longer fits."""
        text = (ROOT / self.file).read_text(encoding="utf-8")
        lines = [f"{line}\n" for line in text.split("\n")]
        start, stop = self._lines(ast.parse(text)) or (0, len(lines))
        source = "".join(lines[start:stop])
        if (count := source.count(self.old)) != 1:
            raise ValueError(f"{self.name}: its old text stands {count} times in {self.where}, not once")
        broken = "".join([*lines[:start], source.replace(self.old, self.new), *lines[stop:]])
        compile(broken, str(self.file), "exec")  # a file that cannot run would fail every test
        return broken

    def _lines(self, node: ast.AST) -> tuple[int, int] | None:
        """Where what `where` names begins and ends, decorators included; None for the whole file."""
        lines = None
        for name in filter(None, self.where.partition(":")[2].split(".")):
            found = [child for child in node.body if name in _names(child)]
            if len(found) != 1:
                raise ValueError(f"{self.name}: {self.where} is defined {len(found)} times, not once")
            (node,) = found
            first = min(part.lineno for part in (node, *getattr(node, "decorator_list", ())))
            lines = first - 1, node.end_lineno
        return lines


def _names(statement: ast.stmt) -> list[str]:
    """What a statement defines."""
    targets = getattr(statement, "targets", [getattr(statement, "target", statement)])
    return [getattr(target, "name", getattr(target, "id", None)) for target in targets]
