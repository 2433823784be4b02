"""Known ways to break the page that needs no server."""

from mutation import Mutation

MUTATIONS = [
    Mutation(
        "a page overwrites any folder",
        "char_lstm.page.static:_check_place",
        "any(output.iterdir())",
        "False",
        "tests/page/test_static.py",
    ),
    Mutation(
        "a model's name closes the page's data",
        "char_lstm.page.static:_json_in_html",
        r'.replace("<", r"\u003c")',
        "",
        "tests/page/test_static.py",
    ),
    Mutation(
        "a single file without its worker",
        "char_lstm.page.static:_inside",
        "for name in WORKERS",
        "for name in WORKERS[:1]",
        "tests/page/test_static.py",
    ),
    Mutation(
        "a packaged model under its folder's name",
        "char_lstm.page.static:_title_of",
        "TITLES.get(_name_of(model_id), _name_of(model_id))",
        "_name_of(model_id)",
        "tests/page/test_static.py",
    ),
    Mutation(
        "a page that is written file by file in its place",
        "char_lstm.page.static:make_page",
        'with replaced_files(output, "index.html") as unfinished:',
        "for unfinished in [output]:",
        "tests/page/test_static.py",
    ),
]
