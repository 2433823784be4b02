// The record of a reading, as `inspection.page.record_of` makes it in Python: what the components draw.
import {reshape, softmax} from "./sampling.js";

export const LONGEST = 1000;  // characters of a text that are looked into
const TOP = 5, REACH = 100, NEARBY = 20;  // REACH: of connectivity back, and of differences on
const LETTER = /\p{L}/u;
const NEUTRAL = {temperature: 1, top_k: 0, top_p: 1};

const round = (x, digits) => Number(x.toFixed(digits));
const mean = values => values.reduce((a, b) => a + b, 0) / values.length;

/** What the model expected before one character: its surprisal, the likeliest, and the same after the settings. */
export function expectation(tokenizer, scores, id, settings) {
  const odds = softmax(scores), known = Math.min(odds.length, tokenizer.tokens.length);
  const likeliest = Array.from({length: known}, (_, one) => one).sort((a, b) => odds[b] - odds[a]).slice(0, TOP);
  if (!likeliest.includes(id)) likeliest.push(id);
  const list = share => likeliest.map(one => [tokenizer.tokens[one], Number(share(one).toPrecision(4))]);
  const {ids, cumulative} = reshape(scores, settings ?? NEUTRAL), places = new Map(ids.map((one, rank) => [one, rank]));
  const shaped = one => places.has(one) ? (cumulative[places.get(one)] - (cumulative[places.get(one) - 1] ?? 0)) / cumulative.at(-1) : 0;
  return {surprisal: -Math.log(odds[id]), top: list(one => odds[one]), shaped: settings && list(shaped)};
}

/** The values of one cell along a reading, by quantity. */
function valuesOf({model, kept}, layer, unit) {
  const of = pick => kept.map(step => round(pick(step[layer]), 3));
  const values = {state: of(step => step.cell[unit])};
  if (model.cellType === "lstm") values.hidden = of(step => step.output[unit]);
  for (const [block, gate] of gatesOf(model)) values[gate] = of(step => step.gates[block * model.units + unit]);
  return values;
}

function gatesOf(model) {  // with their blocks, in the order in which Python has them
  const {gates} = model.cell, order = model.cellType === "lstm" ? ["forget", "input", "candidate", "output"] : gates;
  return order.map(gate => [gates.indexOf(gate), gate]);
}

function summary(chars, surprisal) {
  const nats = mean(surprisal), worst = surprisal.indexOf(Math.max(...surprisal)), character = chars[worst];
  const blank = at => /\s/.test(chars[at]);
  let start = 0, end = 0;  // of the word with the white space after it
  while (end <= worst) {
    start = end;
    while (end < chars.length && !blank(end)) end++;
    while (end < chars.length && blank(end)) end++;
  }
  const word = chars.slice(Math.max(start, worst - NEARBY), Math.min(end, worst + NEARBY)).join("").replace("\ufdd0", "").trim();
  const named = {" ": "space after", "\n": "line end after", "\ufdd0": "end after"};
  const place = word ? `${named[character] ?? `“\u2068${/^\p{M}/u.test(character) ? "◌" : ""}${character}\u2069” of`} “\u2068${word}\u2069”` : "very beginning";
  return `Over ${chars.length} characters, the surprise is ${nats.toFixed(2)} nats on average, as if the model chose blindly `
    + `among ${Math.exp(nats).toFixed(1)} characters each time; it is largest at the ${place}: ${surprisal[worst].toFixed(1)} nats.`;
}

/**
 * The record of a reading: `model`, `ids` and `chars` of a text, `kept` (what `Model.step` kept before each character),
 * `expected` (an `expectation` of each), `given`, `settings`, `held`. `about` is what the page says of its model.
 */
export function makeRecord(about, reading) {
  const {model, chars, kept, expected, given, settings, held} = reading;
  const surprisal = expected.map(one => round(one.surprisal, 3));
  return {
    model: about.model, title: about.title, nats: about.nats,
    cell: model.cellType, layers: model.layers.length, units: model.units,
    given, settings, held: held ?? {}, sentence: summary(chars, surprisal), chars, surprisal,
    top: expected.map(one => one.top), shaped: settings && expected.map(one => one.shaped),
    connectivity: null, differences: null, novelty: null,
    quantities: Object.keys(valuesOf(reading, 0, 0)),
    means: Object.fromEntries(gatesOf(model).map(([block, gate]) => [gate, model.layers.map((_, layer) =>
      kept.map(step => round(mean(step[layer].gates.subarray(block * model.units, (block + 1) * model.units)), 3)))])),
    cells: about.cells.map(cell => ({...cell, values: valuesOf(reading, cell.layer, cell.unit)})),
  };
}

/** What the prediction of chars[position] depends on: the largest gradient, and in thousandths of it the last ones. */
export function connectivityAt({model, kept, ids}, position) {
  const sizes = model.sizesOfGradient(kept, ids, position, softmax(model.scores(kept[position])));
  const largest = sizes.reduce((a, b) => Math.max(a, b), 0), recent = Array.from(sizes.slice(-REACH));
  return {position, largest: Number(largest.toPrecision(3)), thousandths: recent.map(size => largest ? Math.round(1000 * size / largest) : 0)};
}

/** How long one changed letter is remembered: what `compare_memories` in Python makes of one model. */
export function differencesOf({title}, {model, kept, ids, chars, held}) {
  const position = chars.findIndex((char, t) => LETTER.test(char) && LETTER.test(chars[t + 1] ?? "") && char !== chars[t + 1]);
  if (position < 0) return {position: null, was: "", now: "", curves: []};
  const state = model.start(held), output = [], cell = [];
  const share = (name, t) => {  // of the difference in the state, over all layers
    const of = pick => Math.hypot(...state.map((layer, index) => Math.hypot(...layer[name].map((value, unit) => pick(value, kept[t][index][name][unit])))));
    return Number((of((second, first) => second - first) / of((_, first) => first)).toPrecision(4));
  };
  for (let t = 0; t < Math.min(chars.length, position + 2 + REACH); t++) {
    model.step(state, t === 0 ? model.bos : ids[t === position + 1 ? t : t - 1]);
    if (t <= position) continue;
    output.push(share("output", t));
    cell.push(share("cell", t));
  }
  const curve = {title, cell: model.cellType, output, state: model.cellType === "lstm" ? cell : null};
  return {position, was: chars[position], now: chars[position + 1], curves: [curve]};
}
