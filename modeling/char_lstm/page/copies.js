// What the copies in a text are called and how they are marked, for the sheet and for the inspector. A verdict has the fields
// of `Novelty`; or, of a list, `items`, how many there are, and the `spans` of those that stand in the training set.
import {make} from "./words.js";

const GRAPHEMES = new Intl.Segmenter(undefined, {granularity: "grapheme"});

const longest = spans => Math.max(...spans.map(([from, to]) => to - from));

export function marked({spans, book_spans = []}) {  // passages of the training text and of the books before it, in order
  const named = (spans, where) => spans.map(span => [...span, where]);
  return [...named(spans, "book"), ...named(book_spans, "books")].sort((one, other) => one[0] - other[0]);
}

export function shareNew({items, spans, share_new}) {
  if (items) return `${items - spans.length} of ${items} new`;
  const share = Math.round(100 * share_new);
  return `${share}% new, ${100 - share}% copied`;
}

export function describe({items, spans, book_spans = [], shortest, longest_copy}, meet) {  // meet: where one ends, another begins
  if (items) return spans.length ? "Marked items stand in the training set." : "";
  const sentences = [];
  if (spans.length) sentences.push(`Marked passages of ${shortest} characters or more are copied from the training text; the longest has ${longest(spans)}.`);
  if (book_spans.length) sentences.push(`Passages with a dashed line stand in books that it read before; the longest has ${longest(book_spans)}.`);
  if (meet) sentences.push("A bar stands where one copy ends and the next begins.");
  return sentences.join(" ") || `No passage of ${shortest} characters is copied from the training text; the longest that appears there has ${longest_copy}.`;
}

/** The nodes of a text that begins at a place of what the verdict is of: copies are marked; where two overlap, the second begins
 * where the first ends. A mark takes all of a letter or nothing. */
export function markedPieces(text, novelty, start = 0) {
  const nodes = [], characters = [...text], graphemes = GRAPHEMES.segment(text);
  const whole = place => graphemes.containing(characters.slice(0, place).join("").length) ?? {index: text.length, segment: ""};
  let end = 0;
  for (const [from, to, where] of novelty ? marked(novelty) : []) {
    if (to <= start) continue;
    const {index, segment} = whole(to - 1 - start), after = index + segment.length;
    if (after <= end) continue;
    const begin = Math.max(whole(Math.max(from - start, 0)).index, end), copy = text.slice(begin, after);
    const title = novelty.items ? "in the training set" : `${to - from} characters copied from the ${where === "book" ? "training text" : where}`;
    nodes.push(text.slice(end, begin), make("mark", {className: `copied ${where}${end && begin === end ? " meets" : ""}`, title}, copy));
    end = after;
  }
  return [...nodes, text.slice(end)];
}

/** Marks the letters (of a record, one span a character) that are copied; whether two copies meet. */
export function markLetters(spans, {given, novelty}) {
  let end = -given, meet = false;
  for (const [from, to, where] of novelty ? marked(novelty) : []) {
    if (to <= end) continue;
    const letters = spans.slice(given + Math.max(from, end), given + to), meets = end > -given && from <= end;
    for (const letter of letters) letter.classList.add("copied", where);
    if (meets) letters[0]?.classList.add("meets");
    meet ||= meets && letters.length > 0;
    end = to;
  }
  return meet;
}
