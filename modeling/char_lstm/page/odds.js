// Draws the odds of one letter: the model's own and, beside them, those that it was drawn from.
import {make, percent, plain, quote, sign} from "./words.js";

function describeSettings({temperature, top_k: k, top_p: p}) {
  const parts = [temperature === 0 ? "temperature 0: always the likeliest" : `temperature ${temperature}`];
  if (k) parts.push(`top-k ${k}`);
  if (p < 1) parts.push(`top-p ${p}`);
  return parts.join(", ");
}

function bar(kind, p) {
  const made = make("span", {className: "odds " + kind});
  made.style.setProperty("--p", p);
  return [made, make("output", {}, percent(p))];
}

export function drawOdds($, record, t, fork) {
  const {chars, given, settings} = record, char = chars[t], rows = record.top[t].slice();
  if (!rows.some(([other]) => other === char)) rows.push([char, Math.exp(-record.surprisal[t])]);
  const shaped = settings && new Map(record.shaped[t]), isDrawn = settings && t >= given;
  const heads = ["", "model’s odds", "", ...(shaped ? [`at temperature ${settings.temperature}`, "", ""] : [])];
  $("predictions").classList.toggle("two", !!shaped);
  $("predictions").replaceChildren(...heads.map(head => make("span", {className: "quiet head"}, head)), ...rows.flatMap(([other, p]) => {
    const came = other === char, letter = make("b", {title: plain(other), className: came ? "came" : ""}, sign(other));
    if (!shaped) return [letter, ...bar("own", p)];
    const take = came ? make("span", {className: "quiet"}, isDrawn ? "drawn" : "given")
      : make("button", {type: "button", className: "fork", ariaLabel: `Go on with ${quote(other)} instead`, onclick: () => fork(t, other)}, "instead");
    return [letter, ...bar("own", p), ...bar("shaped", shaped.get(other) ?? 0), take];
  }));
  $("reshaped").textContent = shaped ? describeReshaping(rows, char, shaped, settings) : "";
  const own = Math.exp(-record.surprisal[t]);
  $("draw-words").textContent = (isDrawn ? `${capital(quote(char))} was drawn` : `${capital(quote(char))} was given, not drawn`)
    + (isDrawn ? `, at odds of ${percent(shaped.get(char) ?? 0)} after ${describeSettings(settings)} (${percent(own)} before).` : ".")
    + (t + 1 < chars.length ? " The model now reads it back, and guesses again." : " Here the text ends: nothing reads it.");
}

function describeReshaping(rows, char, shaped, {temperature, top_k: k, top_p: p}) {  // by each setting alone
  const sentences = [], [best, most] = rows[0], [other, odds] = rows.find(([letter]) => letter === char && letter !== best) ?? rows[1] ?? [];
  const times = ratio => ratio.toPrecision(2);
  if (odds > 0 && temperature > 0 && temperature !== 1) sentences.push(`${capital(quote(best))} was ${times(most / odds)} times as likely as ${quote(other)}: temperature ${temperature} makes it ${times((most / odds) ** (1 / temperature))} times.`);
  const out = temperature > 0 ? rows.filter(([letter]) => !shaped.get(letter)).map(([letter]) => quote(letter)) : [];
  if (out.length && (k || p < 1)) sentences.push(`${[...k ? ["Top-k"] : [], ...p < 1 ? ["top-p"] : []].join(" and ")} ${k && p < 1 ? "leave" : "leaves"} out ${out.join(", ")}.`);
  return sentences.join(" ");
}

const capital = words => words[0].toUpperCase() + words.slice(1);
