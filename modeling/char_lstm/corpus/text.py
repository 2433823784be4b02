"""Decoding and cleaning: from the bytes of a file to the body of a text.

A long text is worked on in blocks, so that no more than a block is in memory at once.
"""

import logging
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from io import StringIO
from itertools import pairwise
from pathlib import Path

import numpy as np

from ..errors import CorpusError

logger = logging.getLogger("build_corpus")

LICENCE_ABOVE = re.compile(
    r"\*\*\* ?START OF (?:THE|THIS) PROJECT GUTENBERG[^*]*\*\*\*|\*END\*? ?THE SMALL PRINT![^\n]*", re.IGNORECASE
)
LICENCE_BELOW = re.compile(
    r"^[ \t]*(?:\*\*\* ?END OF (?:THE|THIS) PROJECT GUTENBERG|End of (?:the |this )?Project Gutenberg)",
    re.IGNORECASE | re.MULTILINE,
)
CREDITS = re.compile(r"\A\s*(?:Produced|E-?text prepared) by[^\n]*(?:\n[^\n]*\S[^\n]*)*")
ILLUSTRATION = re.compile(r"\[Illustration(?::[^\[\]]*)?\]", re.IGNORECASE)
FIRST_CHAPTER = re.compile(r"(?:CHAPTER|Chapter)\s+(?:I|1|ONE|One|THE FIRST|the First)\b")
PARAGRAPH = re.compile(r"\S[^\n]*(?:\n[ \t]*\S[^\n]*)*")
SENTENCE_END = re.compile(r"[.!?…][\"'”’»)\]_]*\Z")
CONTROLS = re.compile(rb"[\x01-\x08\x0e-\x19]")  # that no text holds
BLOCK = 2**20  # characters of a long text that are worked on at once
PROSE_WORDS = 20  # a paragraph this long that ends as a sentence is no title and no list
NARROWEST_WRAP = 40  # columns; shorter lines are names or verse


def encoding_of(path: Path, source: str) -> str:
    """UTF-8, with or without a byte-order mark, or else Latin-1.

    Raises:
        CorpusError: the file holds no text.
    """
    has_controls = False
    with path.open("rb") as file:
        while data := file.read(BLOCK):
            if b"\0" in data:
                raise CorpusError(f"{source} is binary, not text; if it is UTF-16, save it as UTF-8")
            has_controls |= bool(CONTROLS.search(data))
    with suppress(UnicodeDecodeError), path.open(encoding="utf-8") as text:
        while text.read(BLOCK):
            pass
        return "utf-8-sig"
    if has_controls:
        raise CorpusError(f"{source} is binary, not text")
    logger.warning("%s is not UTF-8; reading it as Latin-1", source)
    return "latin-1"


def lines_of(documents: Iterable[str | None]) -> Iterator[str]:
    """The lines of documents, each of which ends its last line."""
    return (line for document in documents if document for line in StringIO(f"{document}\n", newline=None))


def cut_blocks(lines: Iterable[str]) -> Iterator[str]:
    """The lines joined to blocks of `BLOCK` characters or somewhat more, cut between paragraphs, else between lines."""
    block: list[str] = []
    size = 0
    for line in lines:
        paragraph_ends = block and not block[-1].strip()
        if not line.isspace() and (size > 2 * BLOCK or (size > BLOCK and paragraph_ends)):
            yield "".join(block)
            block, size = [], 0
        block.append(line)
        size += len(line)
    yield "".join(block)


def clean(text: str) -> str:
    """The body of a text, its hard-wrapped lines joined, ending in exactly one newline.

    Leaves out Project Gutenberg's licence and credits, the title and the list of contents before "Chapter I", and the
    places of illustrations. A text that has none of these comes back as it is.
    """
    return "".join(clean_blocks(cut_blocks(StringIO(text.removeprefix("\ufeff"), newline=None))))


def clean_blocks(blocks: Iterable[str]) -> Iterator[str]:
    """`clean` block by block: the header and front matter can only be in the first, the footer ends them all, and each
    is hard-wrapped or not by itself."""
    body = gap = ""
    for number, block in enumerate(blocks):
        block, *footer = LICENCE_BELOW.split(block, maxsplit=1)
        if number == 0:
            block = block[max((above.end() for above in LICENCE_ABOVE.finditer(block)), default=0) :]
        block = ILLUSTRATION.sub("", block)
        if number == 0:
            block = cut_front_matter(CREDITS.sub("", block))
        text = unwrap(block).rstrip() if number else unwrap(block).strip()
        if text and body:
            yield body + gap
        if text:
            body, gap = text, block[len(block.rstrip()) :]
        if footer:
            break
    yield body + "\n"


def cut_front_matter(text: str) -> str:
    """`text` from the last "Chapter I" heading before its first paragraph of prose: a contents list names it before.

    Where prose comes first (a preface, a text without chapters) nothing is cut.
    """
    start = 0
    for paragraph in PARAGRAPH.finditer(text):
        if FIRST_CHAPTER.match(paragraph[0]):
            start = paragraph.start()
        elif SENTENCE_END.search(paragraph[0]) and len(paragraph[0].split()) >= PROSE_WORDS:
            break
    return text[start:]


def unwrap(text: str) -> str:
    """One line a paragraph, if the text is hard-wrapped; lists, verse and dialogue keep their lines.

    It is hard-wrapped if most lines that go on in a next one had no room for its first word.
    """
    paragraphs = [paragraph[0].split("\n") for paragraph in PARAGRAPH.finditer(text)]
    lengths = [len(line.rstrip()) for lines in paragraphs for line in lines]
    width = np.percentile(lengths, 95) if lengths else 0
    full = [
        len(line.rstrip()) + 1 + len(after.split(maxsplit=1)[0]) > width
        for lines in paragraphs
        for line, after in pairwise(lines)
    ]
    if width < NARROWEST_WRAP or 2 * sum(full) <= len(full):
        return text
    return "\n\n".join(" ".join(line.strip() for line in lines) for lines in paragraphs)
