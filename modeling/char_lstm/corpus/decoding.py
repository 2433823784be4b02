"""From the bytes of a file to lines of text, in whatever encoding it is."""

import codecs
import csv
import gzip
import logging
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from io import TextIOWrapper
from itertools import islice
from typing import IO, cast

from ..errors import CorpusError
from ..tokenization_char_lstm import list_some

logger = logging.getLogger("build_corpus")

MARKS = {  # that a file begins with; those of UTF-32 begin as those of UTF-16
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
DOCUMENTS = {  # begin so, and hold a text that another program gets out
    b"%PDF-": ("a PDF", "pdftotext {} text.txt"),
    b"PK\x03\x04": ("a Word file, an EPUB or another archive", "pandoc --to plain --wrap none --output text.txt {}"),
    b"\xd0\xcf\x11\xe0": ("an old Word file", "soffice --headless --convert-to txt:Text {}"),
    b"{\\rtf": ("a rich text", "pandoc --to plain --wrap none --output text.txt {}"),
}
CONTROLS = re.compile(rb"[\x01-\x08\x0e-\x19]")  # that no text holds
FOREIGN_LINE = re.compile(rb"[^\n]*[\x80-\xff][^\n]*\n?")
BAD = "\udcff"  # stands for bytes that are no character; no encoding has it
AT_ONCE, LOOKED_AT = 2**20, 64  # bytes read at once, and how often, to tell the encoding
SAMPLE = 2**16  # bytes that chardet is shown
CONFIDENT = 0.3  # below, chardet's guess is as good as any

codecs.register_error("mark_bad", lambda error: (BAD, error.end))  # type: ignore[attr-defined]


@contextmanager
def reading(name: str, *more: type[Exception]) -> Iterator[None]:
    """Turns what the content of a file raises, and `more`, into a CorpusError that names the file."""
    try:
        yield
    except CorpusError:
        raise
    except (EOFError, RecursionError, ValueError, csv.Error, zlib.error, *more) as error:  # type: ignore[misc]
        raise CorpusError(f"{name} is broken: {error}") from error
    except OSError as error:
        raise CorpusError(f"cannot read {name}: {error.strerror or error}") from error


def uncompressed(file: IO[bytes]) -> IO[bytes]:
    """A file that can be read twice, or what was gzipped in it."""
    is_gzip = file.read(2) == b"\x1f\x8b"
    file.seek(0)
    return cast(IO[bytes], gzip.open(file)) if is_gzip else file


def decoded_lines(file: IO[bytes], name: str, encoding: str | None = None) -> Iterator[str]:
    """The lines of a file, whatever its line breaks; broken characters are left out, and said with their lines.

    Raises:
        CorpusError: the file holds no text, its encoding is unknown, or most of it is broken in its encoding.
    """
    characters, bad, lines = 0, 0, []
    with reading(name):
        encoding = encoding or encoding_of(file, name)
        file.seek(0)
        try:
            text = TextIOWrapper(file, encoding, errors="mark_bad")
        except LookupError as error:
            raise CorpusError(f"--encoding {encoding}: no such encoding; cp1252, for example, is Windows's") from error
        for number, line in enumerate(text, 1):
            if BAD in line:
                bad += line.count(BAD)
                lines.append(str(number))
                line = line.replace(BAD, "")
            characters += len(line)
            yield line.removeprefix("\ufeff") if number == 1 else line
    if bad > characters:
        raise CorpusError(f"{name} is not {encoding}: {bad} characters of it are broken; say its --encoding")
    if bad:
        which = list_some(lines)
        logger.warning("left out %d characters of %s that are broken in %s, in line %s", bad, name, encoding, which)


def encoding_of(file: IO[bytes], name: str) -> str:
    """What the file's mark says, or UTF-8 where few bytes are broken, or else what chardet makes of it."""
    start = file.read(4)
    for mark, encoding in MARKS.items():
        if start.startswith(mark):
            return encoding
    file.seek(0)
    start, sample, good, bad, has_controls = file.read(16), b"", 0, 0, False
    for mark, (what, command) in DOCUMENTS.items():
        if start.startswith(mark):
            raise CorpusError(f"{name} is {what}, not text; convert it: {command.format(name)}")
    file.seek(0)
    decoder = codecs.getincrementaldecoder("utf-8")("mark_bad")
    for data in islice(iter(partial(file.read, AT_ONCE), b""), LOOKED_AT):
        if b"\0" in data:
            raise CorpusError(f"{name} is binary, not text; if it is UTF-16 without a mark, say --encoding utf-16-le")
        has_controls |= bool(CONTROLS.search(data))
        text = decoder.decode(data)
        bad += text.count(BAD)
        good += len(text) - len(text.encode("ascii", "ignore"))
        if len(sample) < SAMPLE and not data.isascii():
            sample += b"".join(FOREIGN_LINE.findall(data))[:SAMPLE]
    bad += len(decoder.decode(b"", final=not file.read(1)))
    if 10 * bad <= good - bad:
        return "utf-8"
    if has_controls:
        raise CorpusError(f"{name} is binary, not text")
    import chardet

    guess = chardet.detect(sample)
    if (guess["confidence"] or 0) < CONFIDENT:
        raise CorpusError(f"{name} is not UTF-8, and its encoding is unclear: say it, for example --encoding cp1252")
    encoding = str(guess["encoding"]).replace("WINDOWS", "Windows")
    logger.warning("%s is not UTF-8; read as %s, a guess that --encoding overrules", name, encoding)
    return encoding
