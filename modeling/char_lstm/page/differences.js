// "How gates help": how far the states of two readings that differ in one letter are apart, by cell, on a logarithmic scale.
import {make, quote} from "./words.js";

const WIDTH = 600, HEIGHT = 200, MOST = 2, LEAST = 0.001, REACH = 100;  // of the drawing; shares; letters
const LEFT = 0.01;  // of a state: what of the difference is still said to be there
const ALIKE = 3;  // letters by which curves may differ and yet be called the same

const x = letters => WIDTH * letters / REACH;
const y = share => HEIGHT * Math.log(MOST / share) / Math.log(MOST / LEAST);

function curvesOf({curves}) {  // one for each state of each model, with its name; the title too where two cells are of one kind
  const kinds = curves.map(({cell}) => cell), several = new Set(kinds).size < kinds.length;
  return curves.flatMap(({title, cell, output, state}) => {
    const of = several ? `${cell.toUpperCase()} (${title})` : cell.toUpperCase();
    return [{name: `h of the ${of}`, cell, along: output}, ...state ? [{name: `c of the ${of}`, cell, along: state, isState: true}] : []];
  });
}

const lasts = along => along.findLastIndex(share => share >= LEFT);  // letters after the changed one; −1: it is nowhere

function sentenceOf({position, was, now, curves: {length: kinds}}, found, chars) {
  const past = chars.slice(Math.max(0, position - 12), position).join(""), word = [...past, now, ...chars.slice(position + 1, position + 12)].join("").trim();
  const counts = found.map(({along}) => lasts(along)), ended = found.map(({along}, at) => counts[at] === along.length - 1);
  const told = found.map(({name}, at) => `in ${name} for ${Math.max(0, counts[at])}${ended[at] ? " or more" : ""}`);
  const spread = Math.max(...counts) - Math.min(...counts);
  const alike = found.length < 2 ? "" : spread <= ALIKE && kinds > 1 ? " On this text the cells hardly differ." : ` Longest in ${found[counts.indexOf(Math.max(...counts))].name}.`;
  return `Read again with ${quote(now)} for ${quote(was)}, as “\u2068${word} …\u2069”, the states still differ by a hundredth or more: ${told.join(", ")} letters.${alike}`;
}

export function drawDifferences($, {differences, hasOthers, chars}) {
  const found = differences ? curvesOf(differences) : [], draw = drawerIn($("memories"));
  $("memories").toggleAttribute("hidden", !found.length);
  $("remembers").textContent = found.length ? sentenceOf(differences, found, chars) : differences === null ? "Not computed for this text yet." : "This text has no two different letters in a row, so none was changed.";
  if (hasOthers) $("remembers").append(" The page compares other networks too, on the text that it opens with.");
  $("memories").replaceChildren(...[1, 0.1, 0.01, 0.001].flatMap(share => [draw("path", {d: `M0 ${y(share)}H${WIDTH}`, class: "grid"}), draw("text", {x: WIDTH + 6, y: y(share) + 4, class: "start small"}, `${100 * share}%`)]),
    ...[0, 25, 50, 75, 100].map(letters => draw("text", {x: x(letters), y: HEIGHT + 24, class: "small"}, letters || "the letter")),
    ...found.map(({cell, along, isState}) => draw("polyline", {class: `curve ${cell} ${isState ? "state" : ""}`,
      points: along.slice(0, 1 + along.findLastIndex(share => share >= LEAST)).map((share, at) => `${x(at).toFixed(1)},${y(Math.max(share, LEAST)).toFixed(1)}`).join(" ")})));
  $("key").replaceChildren(...found.map(({name, cell, isState}) => make("span", {}, make("i", {className: `${cell} ${isState ? "state" : ""}`}), ` ${name}`)));
}

function drawerIn(svg) {
  return (tag, attributes, text = "") => {
    const made = document.createElementNS(svg.namespaceURI, tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    made.textContent = text;
    return made;
  };
}
