"""The components that draw a record of a reading (`inspection.page.record_of`) in any page, and the page around them.

A component is NAME.html, NAME.css and the module NAME.js, whose `mount(element, props, watch)` draws `props.value` into
an element that holds the HTML, again whenever `watch("value", f)` calls f. What it wants of the page it says with an
event that bubbles: `fork` {position, character}, `want-connectivity` {position}, `want-differences`, and where
`props.holds` is true `hold-gate` {gate, value: 1, 0 or null}. `props.rest` is what follows the record's characters.

`text` is the inspector for a page whose texts come over a network: `props.prompt` and `value` as they are written, and
the `record` of the reading, its `novelty` and what there is to say once they are.
"""

import re
from pathlib import Path

HERE = Path(__file__).resolve().parent
IMPORT = re.compile(r'^import (\{[^}]*\}) from "\./(\w+)\.js";\n', re.MULTILINE)
LATER = re.compile(r'await import\("\./(\w+)\.js"\)')  # a module that a page loads when somebody asks for it
EXPORT = re.compile(r"^export (?=(?:async )?(?:function\*?|class|const|let) (\w+))", re.MULTILINE)


def part(name: str) -> str:
    """The text of a file of this folder."""
    return (HERE / name).read_text(encoding="utf-8")


def modules_of(*names: str) -> list[str]:
    """Modules and all that they import, at once or later, each once and after what it needs."""
    found: list[str] = []
    for name in names:
        text = part(f"{name}.js")
        needed = [one for _, one in IMPORT.findall(text)] + LATER.findall(text)
        found += [one for one in [*modules_of(*needed), name] if one not in found]
    return found


def script_of(*names: str) -> str:
    """Modules, after all that they import, as one script without `import`: what NAME.js exports is in `NAME_js`."""
    joined = []
    for name in modules_of(*names):
        body = IMPORT.sub(
            lambda found: f"const {found[1].replace(' as ', ': ')} = {found[2]}_js;\n", part(f"{name}.js")
        )
        body = LATER.sub(r"\1_js", body)
        exported = ", ".join(EXPORT.findall(body))
        joined.append(f"const {name}_js = (() => {{\n{EXPORT.sub('', body)}return {{{exported}}};\n}})();\n")
    return "".join(joined)


def component(name: str, looks: str | None = None) -> dict[str, str]:
    """A component's HTML, its CSS, and its script as the body of a function of `element`, `props` and `watch`; `looks`
    names another component whose HTML and CSS it has."""
    script = script_of(name) + f"{name}_js.mount(element, props, watch);"
    return {"html": part(f"{looks or name}.html"), "css": part(f"{looks or name}.css"), "js": script}
