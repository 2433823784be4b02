// Draws an inspection.
export function mount(element, props, watch) {
const $ = name => element.querySelector("." + name);
const SIGNS = {" ": "␣", "\n": "↵", "\t": "⇥", "\ufdd0": "∎", "\uffff": "∅"};
const NAMES = {" ": "space", "\n": "line end", "\t": "tab", "\ufdd0": "end", "\uffff": "pad", "\u200c": "non-joiner", "\u200d": "joiner"};
const UNATTACHED = /^[\p{M}\p{Cf}]/u;  // shown on a circle
const JOINED = /[\p{scx=Arab}\p{scx=Syrc}\p{scx=Mand}\p{scx=Mong}\p{scx=Nkoo}\p{scx=Adlm}\p{scx=Rohg}\p{scx=Deva}\p{scx=Beng}\p{scx=Guru}]/u;
const GRAPHEMES = new Intl.Segmenter(undefined, {granularity: "grapheme"});
const RECENT = 28;  // characters of the past that a sentence quotes
const MOST_SURPRISING = 6;  // nats, the full tint
const MEANING = {
  state: "the state, what the cell remembers",
  input: "the input gate i: 1 writes the candidate into the state, 0 leaves it out",
  forget: "the forget gate f: 1 keeps the past state, 0 forgets it",
  candidate: "the candidate, the new content on offer",
  output: "the output gate o: 1 shows the state, 0 hides it",
  reset: "the reset gate r: 1 lets the candidate see the past output, 0 hides it",
  update: "the update gate z: 1 keeps the past output, 0 takes the candidate",
};
const GATES = {  // one sentence on all the cells; of(gate, what) says what share of it the gate let through, by layer
  lstm: of => `the forget gates kept ${of("forget", "the past")}, the input gates let in ${of("input", "what was new")}, and the output gates showed ${of("output", "the state")}`,
  gru: of => `the update gates kept ${of("update", "the past")}, and the reset gates let the new content see ${of("reset", "it")}`,
};
const RULE = {lstm: " state = forget × past state + input × candidate.", gru: " state = update × past state + (1 − update) × candidate."};
const SIGNED = {state: true, hidden: true, candidate: true};  // the others are gates in 0..1, tinted around a half
let seen, letters, spans, ahead, chosen, quantity = "state";  // letters: the places of each grapheme's characters

const unbounded = () => seen.cell === "lstm";  // its state grows beyond 1: tinted by its tanh, as the cell shows it
const share = (name, value) => !SIGNED[name] ? 2 * value - 1 : name === "state" && unbounded() ? Math.tanh(value) : value;
const sign = text => SIGNS[text] || (UNATTACHED.test(text) ? "◌" + text : text);
const isolated = text => "\u2068" + text + "\u2069";  // its direction is its own
const plain = char => NAMES[char] || isolated(sign(char));
const quote = char => NAMES[char] ? "the " + NAMES[char] : "“" + plain(char) + "”";
const percent = p => p >= 0.995 || p < 0.0005 ? (100 * p).toPrecision(2) + "%" : (100 * p).toFixed(p < 0.1 ? 1 : 0) + "%";
const number = x => (x < 0 ? "−" : "+") + Math.abs(x).toFixed(2);
const cellName = cell => `L${cell.layer + 1}·${cell.unit}`;
const surprise = t => `${seen.surprisal[t].toFixed(2)} nats, ${percent(Math.exp(-seen.surprisal[t]))}`;
const tintOf = t => Math.min(1, seen.surprisal[t] / MOST_SURPRISING);

function make(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

function tinted(tag, value, properties, ...children) {
  const made = make(tag, properties, ...children);
  made.classList.add("tint");
  made.style.setProperty("--v", value.toFixed(3));
  return made;
}

function placesOfLetters(chars) {
  const starts = new Set(Array.from(GRAPHEMES.segment(chars.join("")), ({index}) => index)), found = [];
  let length = 0;
  chars.forEach((char, t) => {
    if (starts.has(length)) found.push([t]); else found.at(-1).push(t);
    length += char.length;
  });
  return found;
}

function drawLetter(places) {  // with the strongest tint of its characters; a click goes from one to the next
  const text = places.map(t => seen.chars[t]).join("");
  const kind = text in SIGNS ? "char blank" : JOINED.test(text) ? "char joined" : "char";
  const span = tinted("span", Math.max(...places.map(tintOf)), {className: kind, id: "seen-" + places[0], role: "option",
    title: places.map(t => `${plain(seen.chars[t])}: surprise ${surprise(t)}`).join("\n"),
    onclick: () => choose(places[(places.indexOf(chosen) + 1) % places.length])}, sign(text));
  span.ariaLabel = span.title;
  for (const t of places) spans[t] = span;
  return text in SIGNS ? [span, make(text === "\n" ? "br" : "wbr")] : [span];
}

function drawText() {
  letters = placesOfLetters(seen.chars);
  spans = [];
  $("text").replaceChildren(...letters.flatMap(drawLetter));
  const {direction} = getComputedStyle($("text"));
  ahead = direction === "rtl" ? -1 : 1;
  for (const scroll of element.querySelectorAll(".scroll:has(.bars, .strip)")) scroll.dir = direction;
}

function connectivityAt(t) {  // of the chosen prediction to the character at t, as a share of the largest
  const row = seen.connectivity?.[chosen].thousandths ?? [], start = chosen - row.length;
  return t >= start && t < chosen ? row[t - start] / 1000 : 0;
}

function markText() {
  for (const places of letters) {
    const made = spans[places[0]];
    made.style.setProperty("--k", Math.max(...places.map(connectivityAt)));
    made.classList.toggle("chosen", places.includes(chosen));
    made.ariaSelected = places.includes(chosen);
  }
  $("text").setAttribute("aria-activedescendant", spans[chosen].id);
}

function pastOf(t) {  // the last words before t
  const [start] = letters.find(([first]) => first >= t - RECENT) ?? [t];
  const past = seen.chars.slice(start, t).map(char => char === "\n" ? " ↵ " : char).join("").trim();
  return isolated((start ? "…" + past.replace(/^\S* /, "") : past) + (seen.chars[t - 1] === " " ? "␣" : ""));
}

function drawPredictions() {
  const char = seen.chars[chosen], probability = Math.exp(-seen.surprisal[chosen]);
  const rows = [...seen.top[chosen]];
  if (!rows.some(([other]) => other === char)) rows.push([char, probability]);
  $("predictions").replaceChildren(...rows.flatMap(([other, p]) => {
    const bar = make("span");
    bar.style.width = Math.max(0.3, 100 * p) + "%";
    const letter = make("b", {title: plain(other), className: other === char ? "came" : ""}, sign(other));
    return [letter, bar, make("output", {}, percent(p))];
  }));
  const place = chosen ? `After “${pastOf(chosen)}”` : "Before anything was read";
  const [best, p] = seen.top[chosen][0];
  const came = best === char ? "and it came" : `but ${quote(char)} came (${percent(probability)})`;
  $("words").textContent = `${place} it expected ${quote(best)} (${percent(p)}), ${came}: ${seen.surprisal[chosen].toFixed(2)} nats of surprise.`;
}

function drawConnectivity() {
  const target = tinted("div", tintOf(chosen), {className: "target chosen", title: "the prediction"}, sign(seen.chars[chosen]));
  if (!seen.connectivity) {
    $("bars").replaceChildren(target);
    $("depends").textContent = "Computing one gradient for each character …";
    return;
  }
  const {largest, thousandths} = seen.connectivity[chosen], start = chosen - thousandths.length;
  $("bars").replaceChildren(...thousandths.map((_, index) => {
    const t = start + index, k = connectivityAt(t);
    const made = make("div", {title: `${plain(seen.chars[t])}, ${chosen - t} back: ${(k * largest).toPrecision(2)}`}, sign(seen.chars[t]));
    made.style.setProperty("--k", k);
    return made;
  }), target);
  $("bars").parentElement.scrollLeft = ahead * 1e6;
  const order = thousandths.map((_, index) => start + index).sort((a, b) => connectivityAt(b) - connectivityAt(a)).slice(0, 2);
  const back = t => chosen - t === 1 ? "just before" : `${chosen - t} back`;
  $("depends").textContent = largest === 0 ? "There is nothing before it to depend on."
    : `Mostly on ${order.map(t => `${quote(seen.chars[t])} ${back(t)}`).join(", then on ")}. Each bar is the size of the gradient of its log-probability; the tallest is ${largest.toPrecision(2)}.`;
}

function drawGates() {
  const step = `In the step that reads ${chosen ? quote(seen.chars[chosen - 1]) : "the line end before the text"} and predicts ${quote(seen.chars[chosen])}, `;
  const of = (gate, what) => seen.means[gate].map((layer, index) => `${Math.round(100 * layer[chosen])}%${index ? "" : ` of ${what}`} in layer ${index + 1}`).join(" and ");
  $("gates").textContent = step + (GATES[seen.cell]?.(of) ?? "every cell takes a new state: it has no gate to keep the old one") + ".";
  const heads = ["cell", ...seen.quantities].map(name => make("th", {scope: "col", title: MEANING[name] || ""}, name));
  const rows = seen.cells.map(cell => make("tr", {}, make("th", {scope: "row"}, cellName(cell)),
    ...seen.quantities.map(name => tinted("td", share(name, cell.values[name][chosen]), {},
      SIGNED[name] ? number(cell.values[name][chosen]) : cell.values[name][chosen].toFixed(2))),
    make("td", {className: "quiet why"}, cell.why)));
  $("numbers").replaceChildren(make("thead", {}, make("tr", {}, ...heads, make("th", {scope: "col"}, "why it is shown"))), make("tbody", {}, ...rows));
}

function drawStrip() {
  const top = seen.chars.map((char, t) => make("th", {scope: "col", onclick: () => choose(t)}, sign(char)));
  const rows = seen.cells.map(cell => make("tr", {}, make("th", {scope: "row", title: cell.why}, cellName(cell)),
    ...cell.values[quantity].map((value, t) => tinted("td", share(quantity, value),
      {title: `${cellName(cell)} ${quantity} at ${plain(seen.chars[t])}: ${number(value)}`, onclick: () => choose(t)}))));
  $("strip").replaceChildren(make("thead", {}, make("tr", {}, make("th", {scope: "col"}, "cell"), ...top)), make("tbody", {}, ...rows));
  [$("low").textContent, $("high").textContent] = !SIGNED[quantity] ? ["0, closed", "1, open"]
    : quantity === "state" && unbounded() ? ["−3 or less", "+3 or more"] : ["−1", "+1"];
  $("cells-about").textContent = `The tint shows ${MEANING[quantity]}. Each column is the step that predicts the character above it.${RULE[seen.cell] ?? ""}`;
}

function markStrip() {
  for (const row of $("strip").rows) {
    row.querySelector(".chosen")?.classList.remove("chosen");
    row.cells[chosen + 1].classList.add("chosen");
  }
  const cell = $("strip").rows[0].cells[chosen + 1].getBoundingClientRect(), box = $("strip-scroll");
  box.scrollLeft += cell.left - box.getBoundingClientRect().left - box.clientWidth / 2;
}

function drawChoices() {
  $("choices").replaceChildren(...seen.quantities.map(name => {
    const button = make("button", {type: "button", onclick: () => {
      quantity = name;
      for (const other of $("choices").children) other.ariaPressed = other === button;
      drawStrip(); markStrip();
    }}, name);
    button.ariaPressed = name === quantity;
    return button;
  }));
}

function choose(t) {
  chosen = Math.min(Math.max(t, 0), seen.chars.length - 1);
  markText(); drawPredictions(); drawConnectivity(); drawGates(); markStrip();
}

function lineAway(direction) {  // the nearest character one line up or down
  const here = spans[chosen].getBoundingClientRect();
  let best = chosen, least = Infinity;
  spans.forEach((span, t) => {
    const there = span.getBoundingClientRect(), down = (there.top - here.top) * direction;
    const cost = 1000 * Math.round(down / here.height) + Math.abs(there.left - here.left);
    if (down > here.height / 2 && cost < least) { least = cost; best = t; }
  });
  return best;
}

const KEYS = {
  ArrowLeft: () => chosen - ahead, ArrowRight: () => chosen + ahead, ArrowUp: () => lineAway(-1), ArrowDown: () => lineAway(1),
  Home: () => 0, End: () => seen.chars.length - 1,
};
$("text").addEventListener("keydown", event => {
  if (!(event.key in KEYS) || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  choose(KEYS[event.key]());
});

const mostSurprising = () => seen.surprisal.indexOf(Math.max(...seen.surprisal.slice(seen.chars.length > 1 ? 1 : 0)));  // of those that have a past
const fromAddress = () => choose(/^#\d+$/.test(location.hash) ? +location.hash.slice(1) : mostSurprising());
addEventListener("hashchange", () => seen && fromAddress());

function draw() {
  const before = seen;
  seen = JSON.parse(props.value || null);
  $("inspector").hidden = !seen;
  if (!seen) return;
  if (before?.model === seen.model && before.chars.join("") === seen.chars.join("")) return choose(chosen);  // connectivity has come
  if (!seen.quantities.includes(quantity)) quantity = "state";
  $("sentence").textContent = seen.sentence;
  drawText();
  $("about").textContent = `${seen.model}: ${seen.layers} ${seen.layers === 1 ? "layer" : "layers"} of ${seen.units} ${seen.cell.toUpperCase()} cells. Click a character, or move with the arrow keys.`
    + (letters.length < seen.chars.length ? " A letter of several characters has the tint of the most surprising; click again for the next." : "");
  $("cells-title").textContent = `${seen.cells.length} telling cells out of ${seen.layers * seen.units}, along the text`;
  drawChoices(); drawStrip(); fromAddress();
}

watch("value", draw);
draw();
}
