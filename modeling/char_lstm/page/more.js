// The details of one letter: what its prediction depends on, the means of the gates, a table, and all cells as strips.
import {cellName, make, plain, quote, sign, signed, tinted} from "./words.js";
import {label, MEANING, RULE, SIGNED, tintOf} from "./quantities.js";

const GATES = {  // one sentence on all the cells; of(gate, what) says what share of it the gate let through, by layer
  lstm: of => `the forget gates kept ${of("forget", "the past")}, the input gates let in ${of("input", "what was new")}, and the output gates showed ${of("output", "the state")}`,
  gru: of => `the update gates kept ${of("update", "the past")}, and the reset gates let the new content see ${of("reset", "it")}`,
};

export function connectivityOf({connectivity}, t) {  // of the prediction at t, or null where it has not been computed
  const found = Array.isArray(connectivity) ? connectivity[t] : connectivity;
  return found?.position === t ? found : null;
}

export function shareOf(row, t) {  // what a prediction depends on the character at t, as a share of the largest
  const start = row ? row.position - row.thousandths.length : 0;
  return row && t >= start && t < row.position ? row.thousandths[t - start] / 1000 : 0;
}

export function drawConnectivity($, {chars}, t, ahead, row) {
  const target = make("div", {className: "target chosen", title: "the prediction"}, sign(chars[t]));
  if (!row) {
    $("bars").replaceChildren(target);
    $("depends").textContent = "Not computed for this letter yet.";
    return;
  }
  const {largest, thousandths} = row, start = t - thousandths.length;
  $("bars").replaceChildren(...thousandths.map((share, index) => {
    const place = start + index, words = `${plain(chars[place])}, ${t - place} back: ${(share / 1000 * largest).toPrecision(2)}`;
    const made = make("div", {title: words}, sign(chars[place]));
    made.style.setProperty("--k", share / 1000);
    return made;
  }), target);
  $("bars").parentElement.scrollLeft = ahead * 1e6;
  const order = thousandths.map((_, index) => start + index).sort((a, b) => shareOf(row, b) - shareOf(row, a)).slice(0, 2);
  const back = place => t - place === 1 ? "just before" : `${t - place} back`;
  $("depends").textContent = largest === 0 ? "There is nothing before it to depend on."
    : `Mostly on ${order.map(place => `${quote(chars[place])} ${back(place)}`).join(", then on ")}. Each bar, under the letters too, is the size of the gradient of its log-probability; the tallest is ${largest.toPrecision(2)}.`;
}

export function drawTable($, record, t) {
  const {chars, cell, cells, means, quantities} = record;
  const step = `In the step that reads ${t ? quote(chars[t - 1]) : "the line end before the text"} and predicts ${quote(chars[t])}, `;
  const of = (gate, what) => means[gate].map((layer, index) => `${Math.round(100 * layer[t])}%${index ? "" : ` of ${what}`} in layer ${index + 1}`).join(" and ");
  $("gates").textContent = step + (GATES[cell]?.(of) ?? "every cell takes a new state: it has no gate to keep the old one") + ".";
  const head = (text, title = "") => make("th", {scope: "col", title}, text);
  const rows = cells.map(one => make("tr", {}, make("th", {scope: "row"}, cellName(one)),
    ...quantities.map(name => tinted("td", tintOf(record, name, one.values[name][t]), {},
      SIGNED[name] ? signed(one.values[name][t]) : one.values[name][t].toFixed(2))),
    make("td", {className: "quiet why"}, one.name ? `${one.name}, ${one.why}` : one.why)));
  const heads = [head("cell"), ...quantities.map(name => head(label(record, name), MEANING[name])), head("why it is shown")];
  $("numbers").replaceChildren(make("thead", {}, make("tr", {}, ...heads)), make("tbody", {}, ...rows));
}

export function drawHolds($, record, hold) {
  const gates = Object.keys(record.means).filter(gate => !SIGNED[gate]);
  const button = (gate, value) => {
    const made = make("button", {type: "button", onclick: () => hold(gate, value)}, `${label(record, gate)} ${value ? "open" : "shut"}`);
    made.ariaPressed = record.held[gate] === value;
    return made;
  };
  $("hold-buttons").replaceChildren(...gates.flatMap(gate => [button(gate, 1), button(gate, 0)]));
}

export function drawStrip($, record, quantity, choose) {
  const {chars, cells, cell} = record;
  const top = chars.map((char, t) => make("th", {scope: "col", onclick: () => choose(t)}, sign(char)));
  const rows = cells.map(one => make("tr", {}, make("th", {scope: "row", title: one.why}, cellName(one)),
    ...one.values[quantity].map((value, t) => tinted("td", tintOf(record, quantity, value),
      {title: `${cellName(one)} ${label(record, quantity)} at ${plain(chars[t])}: ${signed(value)}`, onclick: () => choose(t)}))));
  $("strip").replaceChildren(make("thead", {}, make("tr", {}, make("th", {scope: "col"}, "cell"), ...top)), make("tbody", {}, ...rows));
  $("cells-about").textContent = `The tint shows ${MEANING[quantity]}. Each column is the step that predicts the character above it.${RULE[cell] ?? ""}`;
}

export function markStrip($, t) {
  for (const row of $("strip").rows) {
    row.querySelector(".chosen")?.classList.remove("chosen");
    row.cells[t + 1].classList.add("chosen");
  }
  const cell = $("strip").rows[0].cells[t + 1].getBoundingClientRect(), box = $("strip-scroll");
  box.scrollLeft += cell.left - box.getBoundingClientRect().left - box.clientWidth / 2;
}
