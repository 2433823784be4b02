// What one cell tracks: the chips that choose a cell, and the passages in which it is strongest.
import {cellName, make, sign, tinted} from "./words.js";
import {tintOf} from "./quantities.js";

const PASSAGES = 3, BEFORE = 14, AFTER = 4;  // how many of each kind, and the characters shown around the strongest

export function drawChips(chips, record, chosen, choose) {
  const chip = (words, index, title) => {
    const made = make("button", {type: "button", title, onclick: () => choose(index)}, words);
    made.ariaPressed = index === chosen;
    return made;
  };
  const cells = record.cells.map((cell, index) => chip(`${cellName(cell)} ${cell.name ?? "no name found"}`, index, cell.why));
  chips.replaceChildren(chip("surprise", null, "how little the model expected each letter"), ...cells);
}

function strongest(along, sign) {  // the places of the largest values, not too near to each other
  const places = [];
  for (const t of along.map((_, t) => t).sort((a, b) => sign * (along[b] - along[a]))) {
    if (places.length === PASSAGES) break;
    if (sign * along[t] > 0 && places.every(other => Math.abs(other - t) > BEFORE)) places.push(t);
  }
  return places;
}

export function drawTracks($, record, cell, quantity, choose) {
  const along = cell.values[quantity].map(value => tintOf(record, quantity, value));
  $("cell-title").textContent = `Inside cell ${cellName(cell)}`;
  $("cell-name").textContent = cell.name ? `It tracks: ${cell.name} (${cell.why} along a text that the model wrote).` : `No name found for what it tracks (it ${cell.why}).`;
  const passage = t => make("button", {type: "button", className: "passage", onclick: () => choose(t), title: `${quantity} ${cell.values[quantity][t].toFixed(2)}`},
    ...record.chars.slice(Math.max(0, t - BEFORE), t + AFTER + 1).map((char, index) => {
      const place = Math.max(0, t - BEFORE) + index;
      return tinted("span", along[place], {className: place === t ? "peak" : ""}, sign(char));
    }));
  for (const [name, direction] of [["highest", 1], ["lowest", -1]]) {
    const found = strongest(along, direction).map(passage);
    $(name).replaceChildren(...found.length ? found : [make("span", {className: "quiet"}, "nowhere in this text")]);
  }
}
