// How the components name characters and write numbers, and small elements.
const SIGNS = {" ": "␣", "\n": "↵", "\t": "⇥", "\ufdd0": "∎", "\uffff": "∅"};
const NAMES = {" ": "space", "\n": "line end", "\t": "tab", "\ufdd0": "end", "\uffff": "pad", "\u200c": "non-joiner", "\u200d": "joiner"};
const UNATTACHED = /^[\p{M}\p{Cf}]/u;  // shown on a circle

export const isBlank = text => text in SIGNS;
export const isUnwritten = text => text === "\ufdd0" || text === "\uffff";  // the end of an item and the pad
export const sign = text => SIGNS[text] || (UNATTACHED.test(text) ? "◌" + text : text);
export const isolated = text => "\u2068" + text + "\u2069";  // its direction is its own
export const plain = char => NAMES[char] || isolated(sign(char));
export const quote = char => NAMES[char] ? "the " + NAMES[char] : "“" + plain(char) + "”";

export function percent(p) {
  if (p >= 0.995) return "over 99%";
  if (p > 0 && p < 0.001) return "under 0.1%";
  return (100 * p).toFixed(p > 0 && p < 0.0995 ? 1 : 0) + "%";
}
export const signed = x => (x < 0 ? "−" : "+") + Math.abs(x).toFixed(2);
export const cellName = cell => `L${cell.layer + 1}·${cell.unit}`;

export function make(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

export function tinted(tag, value, properties, ...children) {  // value: -1 to 1
  const made = make(tag, properties, ...children);
  made.classList.add("tint");
  made.style.setProperty("--v", value.toFixed(3));
  return made;
}
