"""Cleaning: from the lines of a file to the body of a text.

A long text is worked on in blocks, so that no more than a block is in memory at once.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from io import StringIO
from itertools import chain, pairwise

import numpy as np

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
SENTENCE_END = re.compile(r"[.!?…।۔؟][\"'”’»)\]_]*\Z")
SENTENCE_END_WITHIN = re.compile(r"[.!?…।۔؟][\"'”’»)\]_]*\s+\S")
SIGNS = re.compile(r"[\d_=<>{}\[\]|/\\+*#$@&%^~]")
SIGNS_OF_PROSE = 0.05  # of the characters, at most
CHANGES = {
    "left out": "left out {:,} characters: Project Gutenberg's licence, title and contents, places of illustrations",
    "joined": "joined lines of hard-wrapped prose at {:,} line breaks; char-lstm build --unwrap never keeps them",
}
BLOCK = 2**20  # characters of a long text that are worked on at once
PROSE_WORDS = 20  # a paragraph this long that ends as a sentence is no title and no list
NARROWEST_WRAP = 40  # columns; shorter lines are names or verse


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


def clean(text: str, unwrap: str = "auto") -> str:
    """The body of a text, its hard-wrapped lines joined, ending in exactly one newline.

    Leaves out Project Gutenberg's licence and credits, the title and the list of contents before "Chapter I", and the
    places of illustrations. A text that has none of these comes back as it is.
    """
    return "".join(Cleaning(unwrap).blocks([StringIO(text.removeprefix("\ufeff"), newline=None)])) or "\n"


class Cleaning:
    """`clean` for texts that follow each other, block by block, and the count of what it changes.

    Args:
        unwrap: `auto` joins hard-wrapped lines where they are surely prose, `always` all lines of a paragraph, `never`
            none.
    """

    def __init__(self, unwrap: str = "auto"):
        self.unwrap = unwrap
        self.counts: Counter[str] = Counter()

    def blocks(self, texts: Iterable[Iterable[str]]) -> Iterator[str]:
        """The texts, given as their lines, each cleaned by itself; short ones share a block. At least one block."""
        gathered: list[str] = []
        size = 0
        for block in chain.from_iterable(self.clean_blocks(cut_blocks(lines)) for lines in texts):
            gathered.append(block)
            size += len(block)
            if size >= BLOCK:
                yield "".join(gathered)
                gathered, size = [], 0
        yield "".join(gathered)

    def clean_blocks(self, blocks: Iterable[str]) -> Iterator[str]:
        """One text: each of its blocks is hard-wrapped or not by itself. An empty one has no block."""
        body = gap = ""
        for block in self.cut_books(blocks):
            text = self.unwrap_prose(block).rstrip() if body else self.unwrap_prose(block).strip()
            if text and body:
                yield body + gap
            if text:
                body, gap = text, block[len(block.rstrip()) :]
        if body:
            yield body + "\n"

    def cut_books(self, blocks: Iterable[str]) -> Iterator[str]:
        """The text without the licences, the front matter and the illustrations of the books in it."""
        begins, in_licence = True, False
        for block in blocks:
            self.counts["left out"] += len(block)
            while block:
                if in_licence:
                    above = LICENCE_ABOVE.search(block)
                    if not above:
                        break
                    block, begins = block[above.start() :], True
                body, *rest = LICENCE_BELOW.split(block, maxsplit=1)
                if begins:
                    body = body[max((above.end() for above in LICENCE_ABOVE.finditer(body)), default=0) :]
                body = ILLUSTRATION.sub("", body)
                if begins:
                    body = cut_front_matter(CREDITS.sub("", body))
                self.counts["left out"] -= len(body)
                yield body
                begins, in_licence, block = False, bool(rest), "".join(rest)

    def unwrap_prose(self, text: str) -> str:
        """One line a paragraph, where the text is to be unwrapped; lists, verse, code and data keep their lines."""
        paragraphs = [paragraph[0].split("\n") for paragraph in PARAGRAPH.finditer(text)]
        if self.unwrap == "never" or (self.unwrap == "auto" and not is_wrapped_prose(paragraphs)):
            return text
        self.counts["joined"] += sum(len(lines) - 1 for lines in paragraphs)
        return "\n\n".join(" ".join(line.strip() for line in lines) for lines in paragraphs)

    def take_counts(self) -> dict[str, int]:
        """How much was changed since the last call, by the names of CHANGES."""
        counts, self.counts = self.counts, Counter()
        return dict(counts)


def changes_in_words(counts: Mapping[str, int]) -> list[str]:
    """What `Cleaning` changed, a sentence a change."""
    return [words.format(counts[change]) for change, words in CHANGES.items() if counts.get(change)]


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


def is_wrapped_prose(paragraphs: list[list[str]]) -> bool:
    """Whether the lines of most paragraphs were broken at a width, and are surely prose.

    Most lines that go on in a next one had no room for its first word, and few next ones begin with a capital, as verse
    does; sentences end more often within lines than with them; digits and signs, as in code and data, are rare.
    """
    lengths = [len(line.rstrip()) for lines in paragraphs for line in lines]
    pairs = [pair for lines in paragraphs for pair in pairwise(lines)]
    if not pairs or (width := float(np.percentile(lengths, 95))) < NARROWEST_WRAP:
        return False
    full = sum(len(line.rstrip()) + 1 + len(after.split(maxsplit=1)[0]) > width for line, after in pairs)
    capitals = sum(after.lstrip()[:1].isupper() for _, after in pairs)
    within = sum(bool(SENTENCE_END_WITHIN.search(line)) for line, _ in pairs)
    at_end = sum(bool(SENTENCE_END.search(line.rstrip())) for line, _ in pairs)
    signs = sum(len(SIGNS.findall(line)) for line, _ in pairs)
    return 2 * full > len(pairs) > 2 * capitals and within > at_end and signs < SIGNS_OF_PROSE * sum(lengths)
