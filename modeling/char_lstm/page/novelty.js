// What of a text is copied, as `novelty.py` and `novelty_books.py` find it: by hashes of passages that the model has read.
import {readSafetensors} from "./model.js";
import {Generator} from "./sampling.js";
import {normaliserOf} from "./tokenizer.js";

const GRAM = 8, PASSAGE = 28, UINT64 = (1n << 64n) - 1n;  // characters of a hash, in the text and in the books
const generator = new Generator(1979n), MULTIPLIERS = Array.from({length: PASSAGE}, () => generator.word() | 1n);

/** Hashes, of 64 bits, of the `length` characters from each place on where enough are left. */
function hashPassages(chars, length) {
  const codes = chars.map(char => BigInt(char.codePointAt()));
  return Array.from({length: Math.max(0, codes.length - length + 1)}, (_, at) =>
    MULTIPLIERS.slice(0, length).reduce((sum, multiplier, offset) => sum + codes[at + offset] * multiplier, 0n) & UINT64);
}

/** The index in the files of a model (ArrayBuffers), and the normaliser in whose form books are compared. */
export function readIndex(files, forget) {
  const all = Object.assign({}, ...files.map(readSafetensors));
  return {grams: all.grams ?? new Uint32Array(), shortest: Number(all.shortest?.[0] ?? 20),
    books: all.low && {hashes: sorted(all), places: all.places[0], stride: Number(all.stride[0]), forget: normaliserOf(forget)}};
}

function sorted({low, high}) {  // the hashes of the books: the upper halves are the zeros before each 1 of the bits in `high`
  const hashes = new Float64Array(low.length);
  let upper = 0, found = 0;
  for (const byte of high) for (let bit = 128; bit; bit >>= 1) if (byte & bit) hashes[found] = 65536 * upper + low[found++]; else upper++;
  return hashes;
}

function has(hashes, one) {
  let from = 0, to = hashes.length;
  while (from < to) {
    const middle = (from + to) >> 1;
    if (hashes[middle] < one) from = middle + 1; else to = middle;
  }
  return hashes[from] === one;
}

/** How many characters from each place on stand verbatim in the training text; 0 if fewer than 8. */
function longestMatches({grams}, chars) {
  const hashes = hashPassages(chars, GRAM).map(hash => Number(hash >> 32n)), places = new Map(hashes.map(hash => [hash, []]));
  grams.forEach((gram, place) => places.get(gram)?.push(place));
  const lengths = chars.map(() => 0);
  let agreeing = new Map();  // place in the training text -> characters that agree from there on
  for (let here = hashes.length - 1; here >= 0; here--) {
    agreeing = new Map(places.get(hashes[here]).map(place => [place, 1 + (agreeing.get(place + 1) ?? GRAM - 1)]));
    for (const length of agreeing.values()) lengths[here] = Math.max(lengths[here], length);
  }
  return lengths;
}

/** The same in the books, where at least 28 characters are found in the form in which they are compared. */
function longestInBooks({hashes, places, stride, forget}, chars) {
  const letters = lettersOf(forget, chars), lengths = chars.map(() => 0), ends = new Map();
  const found = hashPassages(letters.map(({letter}) => letter), PASSAGE).map(hash => has(hashes, Number((hash >> 22n) * places >> 26n)));
  for (let start = found.length - 1; start >= 0; start--) {
    if (!found[start]) continue;
    ends.set(start, ends.get(start + stride) ?? start + PASSAGE);
    lengths[letters[start].from] = letters[ends.get(start) - 1].to - letters[start].from;
  }
  return lengths;
}

function lettersOf(forget, chars) {  // of a text in the forgetful form, each with where in the text it comes from
  const plain = chars.map(char => char.normalize("NFKD").toLowerCase());
  let at = 0;
  return Array.from(forget(chars.join("")).replaceAll("\n", " "), letter => {
    if (letter === " ") return {letter, from: at, to: Math.min(at + 1, chars.length)};
    let from = at;
    while (from < chars.length && !plain[from].includes(letter)) from++;
    if (from < chars.length) at = from + 1;
    return {letter, from: at - 1, to: at};
  });
}

function copies(matches, shortest) {  // start and end of each match of so many characters that no other contains
  const spans = [];
  matches.forEach((length, start) => {
    if (length >= shortest && start + length > (spans.at(-1)?.[1] ?? 0)) spans.push([start, start + length]);
  });
  return spans;
}

/** The fields of Python's `Novelty`. */
export function measureNovelty(text, index) {
  const chars = Array.from(text), matches = longestMatches(index, chars), inBooks = index.books ? longestInBooks(index.books, chars) : [];
  const spans = copies(matches, index.shortest), book_spans = copies(inBooks, 1), copied = new Set();
  for (const [from, to] of [...spans, ...book_spans]) for (let t = from; t < to; t++) copied.add(t);
  const longest_copy = [...matches, ...inBooks].reduce((a, b) => Math.max(a, b), 0);
  return {share_new: chars.length ? 1 - copied.size / chars.length : 1, longest_copy, spans, book_spans, shortest: index.shortest};
}
