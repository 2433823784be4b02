// The text as letters that can be chosen, each a box of its own: of any script, in its direction.
import {isBlank, isUnwritten, make, plain, sign, tinted} from "./words.js";

const JOINED = /[\p{scx=Arab}\p{scx=Syrc}\p{scx=Mand}\p{scx=Mong}\p{scx=Nkoo}\p{scx=Adlm}\p{scx=Rohg}\p{scx=Deva}\p{scx=Beng}\p{scx=Guru}]/u;
const GRAPHEMES = new Intl.Segmenter(undefined, {granularity: "grapheme"});

export function placesOfLetters(chars) {  // the places of each grapheme's characters
  const starts = new Set(Array.from(GRAPHEMES.segment(chars.join("")), ({index}) => index)), found = [];
  let length = 0;
  chars.forEach((char, t) => {
    if (starts.has(length)) found.push([t]); else found.at(-1).push(t);
    length += char.length;
  });
  return found;
}

export function drawLetters(chars, letters, describe) {  // the nodes, and the span of each character
  const spans = [];
  const nodes = letters.flatMap(places => {
    const text = places.map(t => chars[t]).join("");
    const kind = isBlank(text) ? "char blank" : JOINED.test(text) ? "char joined" : "char";
    const span = tinted("span", 0, {className: kind, id: "seen-" + places[0], role: "option",
      title: places.map(t => `${plain(chars[t])}: ${describe(t)}`).join("\n")}, isUnwritten(text) ? "" : text);
    span.ariaLabel = span.title;
    if (sign(text) !== text) span.dataset.sign = isBlank(text) ? sign(text) : "◌";  // shown before what stands in the text
    for (const t of places) spans[t] = span;
    return isBlank(text) ? [span, make(text === "\n" ? "br" : "wbr")] : [span];
  });
  return {nodes, spans};
}

export function lineAway(spans, from, direction) {  // the nearest character one line up or down
  const here = spans[from].getBoundingClientRect();
  let best = from, least = Infinity;
  spans.forEach((span, t) => {
    const there = span.getBoundingClientRect(), down = (there.top - here.top) * direction;
    const cost = 1000 * Math.round(down / here.height) + Math.abs(there.left - here.left);
    if (down > here.height / 2 && cost < least) { least = cost; best = t; }
  });
  return best;
}
