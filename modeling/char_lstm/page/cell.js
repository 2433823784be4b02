// Draws one cell at one letter with its numbers, and finds the moment that shows why it has two states.
import {cellName, quote, signed} from "./words.js";

const LOUD = 1, SHUT = 0.1;  // |c| of much memory, and an output gate that hides it

function numbersAt({cell}, {values}, t) {  // of a cell at a letter; "past" is the state that the step starts from
  const at = Object.fromEntries(Object.entries(values).map(([name, along]) => [name, along[t]]));
  at.past = t ? values.state[t - 1] : 0;
  if (cell === "lstm") Object.assign(at, {kept: at.forget * at.past, added: at.input * at.candidate, tanh: Math.tanh(at.state)});
  if (cell === "gru") Object.assign(at, {kept: at.update * at.past, added: (1 - at.update) * at.candidate, taken: 1 - at.update});
  return at;
}

const SENTENCE = {
  lstm: n => `c was ${signed(n.past)}. The forget gate keeps ${n.forget.toFixed(2)} of it: ${signed(n.kept)}. The input gate lets in ${n.input.toFixed(2)} × ${signed(n.candidate)} = ${signed(n.added)}. So c = ${signed(n.state)}, what it remembers. The output gate shows ${n.output.toFixed(2)} × tanh(c) ${signed(n.tanh)}: h = ${signed(n.hidden)}, what it says.`,
  gru: n => `h was ${signed(n.past)}. The update gate keeps ${n.update.toFixed(2)} of it: ${signed(n.kept)}, and takes ${n.taken.toFixed(2)} of the candidate ${signed(n.candidate)}: ${signed(n.added)}. So h = ${signed(n.state)}: what it remembers is what it says. The reset gate let the candidate see ${n.reset.toFixed(2)} of the past.`,
  rnn: n => `h was ${signed(n.past)} and is now ${signed(n.state)}: all of it is made anew from the letter and every cell's past h. No gate keeps the old value.`,
};
const GATES = ["forget", "input", "output", "update", "reset"];

export function drawCell(picture, sentence, record, cell, t) {
  const numbers = numbersAt(record, cell, t);
  for (const svg of picture.children) svg.toggleAttribute("hidden", !svg.classList.contains(record.cell));
  const svg = picture.querySelector("." + record.cell);
  for (const text of svg.querySelectorAll("[data-n]")) {
    const {n} = text.dataset;
    text.textContent = GATES.includes(n) || n === "taken" ? "× " + numbers[n].toFixed(2) : signed(numbers[n]);
  }
  for (const bar of svg.querySelectorAll("[data-open]")) bar.setAttribute("width", 48 * numbers[bar.dataset.open]);
  for (const box of svg.querySelectorAll("[data-v]")) {
    const value = numbers[box.dataset.v];
    box.style.setProperty("--v", (record.cell === "lstm" && box.dataset.v !== "hidden" ? Math.tanh(value) : value).toFixed(3));
  }
  sentence.textContent = `In ${cellName(cell)}, ${SENTENCE[record.cell](numbers)}`;
}

export function findMoment({cell, cells, chars}) {  // where most is remembered and least of it said
  let best = null, most = 0;
  if (cell === "lstm") cells.forEach(({values: {state, output, hidden}}, index) => state.forEach((c, t) => {
    const held = Math.abs(Math.tanh(c)) * (1 - output[t]);
    if (Math.abs(c) < LOUD || output[t] > SHUT || held <= most) return;
    most = held;
    best = {cell: index, t, words: `Where this text is most remembered and least said: at letter ${t + 1}, ${quote(chars[t])}, cell ${cellName(cells[index])} holds c = ${signed(c)}, but its output gate is only ${output[t].toFixed(2)} open, so it says h = ${signed(hidden[t])}.`};
  }));
  return best;
}
