"""Known ways to break the corpus and the stream."""

from mutation import Mutation

MUTATIONS = [
    Mutation(
        "splits overlapping",
        "char_lstm.corpus.build:split_rows",
        '"validation": range(train, validation)',
        '"validation": range(train - 1, validation)',
        "tests/corpus/test_build.py::test_the_rows_joined_are_the_normalised_text",
    ),
    Mutation(
        "a row lost between the splits",
        "char_lstm.corpus.build:split_rows",
        '"test": range(validation, len(rows))',
        '"test": range(validation + 1, len(rows))',
        "tests/corpus/test_build.py::test_the_rows_joined_are_the_normalised_text",
    ),
    Mutation(
        "rows without the newline before them",
        "char_lstm.corpus.sequences:encode_rows",
        r'f"\n{row}"',
        'f" {row}"',
        "tests/corpus/test_build.py::test_each_row_is_a_newline_and_its_text_then_masked_padding",
    ),
    Mutation(
        "a blank where a block begins",
        "char_lstm.corpus.sequences:fold_in_place",
        r'return normalise(f"\n{block}")[1:] if number else normalise(block)',
        "return normalise(block)",
        "tests/corpus/test_build.py::TestALongText",
    ),
    Mutation(
        "the licence after the last block kept",
        "char_lstm.corpus.text:Cleaning.cut_books",
        "bool(rest), ",
        "False, ",
        "tests/corpus/test_build.py::TestALongText",
    ),
    Mutation(
        "every corpus with one fingerprint",
        "char_lstm.corpus.build:save_splits",
        'state["_fingerprint"] = digest_of(split, tokenizer, max_length)',
        "pass",
        "tests/corpus/test_build.py::test_two_corpora_are_never_taken_for_each_other",
    ),
    Mutation(
        "a stream's readers all read the same blocks",
        "char_lstm.corpus.stream:TextStream.rows",
        "is_own = has_files or (place + block) % self.readers == start.reader",
        "is_own = True",
        "tests/corpus/test_stream.py::test_every_sentence_is_read_once_by_all_readers_together",
    ),
    Mutation(
        "a stream's readers all read the same files",
        "char_lstm.corpus.stream:TextStream.rows",
        "if has_files and place % self.readers != start.reader:",
        "if False:",
        "tests/corpus/test_stream.py::test_every_sentence_is_read_once_by_all_readers_together",
    ),
    Mutation(
        "a stream trains on what it holds out",
        "char_lstm.corpus.stream:TextStream.rows",
        "is_held_out = self.hold_out and (file, block) == (0, 0)",
        "is_held_out = False",
        "tests/corpus/test_stream.py::test_every_sentence_is_read_once_by_all_readers_together",
    ),
    Mutation(
        "a stream goes on at the beginning of its block",
        "char_lstm.corpus.stream:TextStream.read_on",
        "islice(enumerate(batches, 1), here.batch, None)",
        "enumerate(batches, 1)",
        "tests/corpus/test_stream.py::test_a_stream_goes_on_with_the_same_batches_after_a_stop",
    ),
    Mutation(
        "a stream remembers what its workers have read, not what was used",
        "char_lstm.corpus.stream:TextStream.note",
        "        self.places.append(place)\n",
        "",
        "tests/corpus/test_stream.py::test_a_stream_goes_on_with_the_same_batches_after_a_stop",
    ),
    Mutation(
        "a stream goes on for the length of a whole run",
        "char_lstm.corpus.stream:TextStream.__iter__",
        "len(range(self.read + turn, self.length, turns))",
        "len(range(turn, self.length, turns))",
        "tests/corpus/test_stream.py::test_a_stream_ends_with_the_run",
    ),
    Mutation(
        "a stream is not cleaned",
        "char_lstm.corpus.stream:Documents.blocks",
        "yield from Cleaning().blocks(document.lines for document in self.parts[file]())",
        "yield from (''.join(document.lines) for document in self.parts[file]())",
        "tests/corpus/test_stream.py::test_a_stream_of_a_text_has_the_rows_of_its_stored_corpus",
    ),
]
