// What the copies in a text are called, for the sheet and for the inspector. A verdict has the fields of `Novelty`.

const longest = spans => Math.max(...spans.map(([from, to]) => to - from));

export function marked({spans, book_spans = []}) {  // passages of the training text and of the books before it, in order
  const named = (spans, where) => spans.map(span => [...span, where]);
  return [...named(spans, "book"), ...named(book_spans, "books")].sort((one, other) => one[0] - other[0]);
}

export const shareNew = ({share_new}) => `${Math.round(100 * share_new)}% new, ${100 - Math.round(100 * share_new)}% copied`;

export function describe({spans, book_spans = [], shortest, longest_copy}, meet) {  // meet: where one ends, another begins
  const sentences = [];
  if (spans.length) sentences.push(`Marked passages of ${shortest} characters or more are copied from the training text; the longest has ${longest(spans)}.`);
  if (book_spans.length) sentences.push(`Passages with a dashed line stand in books that it read before; the longest has ${longest(book_spans)}.`);
  if (meet) sentences.push("A bar stands where one copy ends and the next begins.");
  return sentences.join(" ") || `No passage of ${shortest} characters is copied from the training text; the longest that appears there has ${longest_copy}.`;
}

/** Marks the letters (of a record, one span a character) that are copied; whether two copies meet. */
export function markLetters(spans, {given, novelty}) {
  let end = 0, meet = false;
  for (const [from, to, where] of novelty ? marked(novelty) : []) {
    if (to <= end) continue;
    const letters = spans.slice(given + Math.max(from, end), given + to), meets = end > 0 && from <= end;
    for (const letter of letters) letter.classList.add("copied", where);
    if (meets) letters[0]?.classList.add("meets");
    meet ||= meets && letters.length > 0;
    end = to;
  }
  return meet;
}
