// Draws the record of a reading: its letters, and what the model did at the one that is chosen.
import {drawCell, findMoment} from "./cell.js";
import {describe, markedPieces, markLetters, shareNew} from "./copies.js";
import {drawLetters, lineAway, placesOfLetters} from "./letters.js";
import {connectivityOf, drawConnectivity, drawHolds, drawStrip, drawTable, markStrip, shareOf} from "./more.js";
import {drawOdds} from "./odds.js";
import {ends, label, MEANING, tintOf} from "./quantities.js";
import {drawChips, drawTracks} from "./tracks.js";
import {isolated, isUnwritten, make, percent, quote} from "./words.js";

const RECENT = 28;  // characters of the past that a sentence quotes
const MOST_SURPRISING = 4;  // nats, the full tint
const OPENING = 48;  // characters: the first letter to be explained is the most surprising of these that has a past
const PACE = 700;  // milliseconds a letter

export function mount(element, props, watch) {
  const $ = name => element.querySelector("." + name);
  const rest = make("span", {className: "rest"});
  let seen, letters = [], spans, ahead, chosen, moment, timer, forked = null, quantity = "state";
  let tintedBy = null, inside = 0;  // the cells, by their places in the record, that tints the text and that is drawn


  const say = (name, detail) => element.dispatchEvent(new CustomEvent(name, {bubbles: true, detail}));
  const surprise = t => `surprise ${seen.surprisal[t].toFixed(2)} nats, ${percent(Math.exp(-seen.surprisal[t]))}`;
  const tint = t => tintedBy === null ? Math.min(1, seen.surprisal[t] / MOST_SURPRISING) : tintOf(seen, quantity, seen.cells[tintedBy].values[quantity][t]);

  function pastOf(t) {  // the last words before t
    const [start] = letters.find(([first]) => first >= t - RECENT) ?? [t];
    const past = seen.chars.slice(start, t).map(char => char === "\n" ? " ↵ " : char).join("").trim();
    return isolated((start ? "…" + past.replace(/^\S* /, "") : past) + (seen.chars[t - 1] === " " ? "␣" : ""));
  }

  function tintText() {  // a letter of several characters has the strongest tint of them
    for (const places of letters) {
      const strongest = places.map(tint).reduce((one, other) => Math.abs(other) > Math.abs(one) ? other : one);
      spans[places[0]].style.setProperty("--v", strongest.toFixed(3));
    }
    const [low, high] = tintedBy === null ? ["expected", `surprising (${MOST_SURPRISING} nats or more)`] : ends(seen, quantity);
    $("low").textContent = low;
    $("high").textContent = high;
    $("scale").className = "scale " + (tintedBy === null ? "one" : "two");
    $("tint-words").textContent = tintedBy === null ? "Each letter is tinted by how little the model expected it." : `Each letter is tinted by ${MEANING[quantity]}, after reading what stands before it.`;
  }

  function drawWords(t) {
    const char = seen.chars[t], [best, p] = seen.top[t][0];
    const came = best === char ? "and it came" : `but ${quote(char)} came (${percent(Math.exp(-seen.surprisal[t]))})`;
    $("words").textContent = `It expected ${quote(best)} (${percent(p)}), ${came}: ${seen.surprisal[t].toFixed(2)} nats of surprise.`;
    $("past").textContent = t ? pastOf(t) : "nothing yet: a text begins as after a line end";
  }

  function explain(t) {  // a letter that is chosen or only pointed at
    if (!seen) return;
    for (const places of letters) spans[places[0]].classList.toggle("shown", places.includes(t));
    $("which").textContent = quote(seen.chars[t]);
    drawWords(t);
    drawOdds($, seen, t, fork);
    if (seen.cells.length) drawCell($("picture"), $("arithmetic"), seen, seen.cells[inside], t);
  }

  function fork(position, character) {  // the text that answers is looked into where it branches off
    forked = position;
    say("fork", {position, character});
  }

  function hold(gate, value) {  // again: lets it go
    say("hold-gate", {gate, value: seen.held[gate] === value ? null : value});
  }

  function drawDetails() {
    const row = connectivityOf(seen, chosen);
    for (const places of letters) spans[places[0]].style.setProperty("--k", $("more").open ? Math.max(...places.map(t => shareOf(row, t))) : 0);
    if (!$("more").open) return drawTable($, seen, chosen);
    if (!row) say("want-connectivity", {position: chosen});
    drawConnectivity($, seen, chosen, ahead, row);
    drawTable($, seen, chosen);
    markStrip($, chosen);
  }

  async function drawMemories() {
    if (!$("helps").open) return;
    if (seen.differences === null) say("want-differences");
    const {drawDifferences} = await import("./differences.js");
    if (seen) drawDifferences($, seen);
  }

  function drawAnswers() {  // what comes after the record, when it is asked for
    drawDetails();
    drawMemories();
    const meet = markLetters(spans, seen), read = seen.chars.filter(char => !isUnwritten(char)).length;
    rest.replaceChildren(...markedPieces(props.rest ?? "", seen.novelty, read - seen.given));
    $("verdict").hidden = !seen.novelty;
    $("copies").textContent = seen.novelty ? describe(seen.novelty, meet) : "";
    if (!seen.novelty) return;
    $("share").textContent = shareNew(seen.novelty);
    $("longest").textContent = seen.novelty.items ? "" : `longest copy: ${seen.novelty.longest_copy} characters`;
  }

  function choose(t, {isWalk = false, isScrolled = true} = {}) {
    if (!isWalk) pause();
    chosen = Math.min(Math.max(t, 0), seen.chars.length - 1);
    letters.forEach(places => {
      const {classList} = spans[places[0]];
      classList.toggle("chosen", places.includes(chosen));
      classList.toggle("later", isWalk && places[0] > chosen);
      spans[places[0]].ariaSelected = places.includes(chosen);
    });
    $("text").setAttribute("aria-activedescendant", spans[chosen].id);
    $("place").textContent = `letter ${chosen + 1} of ${seen.chars.length}`;
    explain(chosen);
    drawDetails();
    if (isScrolled) spans[chosen].scrollIntoView({block: "nearest"});
  }

  function chooseCell(index) {
    tintedBy = index;
    if (index !== null) inside = index;
    drawCellChoices();
    tintText();
    if (seen.cells.length) drawTracks($, seen, seen.cells[inside], quantity, openAt);
    explain(chosen);
  }

  function drawCellChoices() {
    drawChips($("chips"), seen, tintedBy, chooseCell);
    $("quantity").hidden = tintedBy === null;
    $("quantity").replaceChildren(...seen.quantities.map(name => {
      const button = make("button", {type: "button", title: MEANING[name], onclick: () => {
        quantity = name;
        chooseCell(tintedBy);
        drawStrip($, seen, quantity, openAt);
        drawDetails();
      }}, label(seen, name));
      button.ariaPressed = name === quantity;
      return button;
    }));
  }

  function openAt(t) {  // pins a letter, and shows what it means
    $("explanation").hidden = false;
    choose(t);
  }

  function step() {
    $("explanation").hidden = false;
    choose(chosen + 1 < seen.chars.length ? chosen + 1 : 0, {isWalk: true});
  }

  function pause() {
    clearInterval(timer);
    timer = null;
    $("play").textContent = "Play";
    $("words").ariaLive = "polite";
  }

  function play() {
    if (timer) return pause();
    timer = setInterval(() => {
      if (!element.isConnected || chosen + 1 === seen.chars.length) return pause();
      step();
    }, PACE);
    $("play").textContent = "Pause";
    $("words").ariaLive = "off";
    step();
  }

  const letterAt = event => letters.find(places => spans[places[0]] === event.target.closest(".char"));
  $("text").addEventListener("click", event => {  // from one character of a letter to the next
    const places = letterAt(event);
    if (!places) return;
    openAt(places[(places.indexOf(chosen) + 1) % places.length]);
    $("explanation").scrollTop = 0;
  });
  $("text").addEventListener("pointerover", event => {
    const places = event.pointerType === "mouse" && letterAt(event);
    if (places && !timer) explain(places.includes(chosen) ? chosen : places[0]);
  });
  $("text").addEventListener("pointerleave", () => explain(chosen));
  const KEYS = {
    ArrowLeft: () => chosen - ahead, ArrowRight: () => chosen + ahead, ArrowUp: () => lineAway(spans, chosen, -1),
    ArrowDown: () => lineAway(spans, chosen, 1), Home: () => 0, End: () => seen.chars.length - 1,
  };
  $("text").addEventListener("keydown", event => {
    if (!seen || !(event.key in KEYS) || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    openAt(KEYS[event.key]());
  });
  $("step").onclick = () => { pause(); step(); };
  $("play").onclick = play;
  $("close").onclick = () => { $("explanation").hidden = true; $("text").focus({preventScroll: true}); };
  $("more").ontoggle = () => drawDetails();
  $("helps").ontoggle = () => drawMemories();
  $("moment").onclick = () => { chooseCell(moment.cell); openAt(moment.t); };

  const opening = () => {
    const [first, ...others] = seen.surprisal.slice(0, OPENING);
    return others.length ? 1 + others.indexOf(Math.max(...others)) : 0;
  };
  const fromAddress = () => choose(/^#\d+$/.test(location.hash) ? +location.hash.slice(1) : opening(), {isScrolled: location.hash !== ""});
  addEventListener("hashchange", () => seen && fromAddress());

  function draw() {
    const before = seen;
    seen = JSON.parse(props.value || null);
    $("inspector").classList.toggle("waiting", !seen);
    $("walk").inert = !seen;
    $("text").role = seen ? "listbox" : "group";
    if (seen && before?.model === seen.model && before.chars.join("") === seen.chars.join("")) return drawAnswers();
    pause();
    if (!seen) return $("text").removeAttribute("aria-activedescendant");
    if (!seen.quantities.includes(quantity)) quantity = "state";
    letters = placesOfLetters(seen.chars);
    const drawn = drawLetters(seen.chars, letters, surprise);
    spans = drawn.spans;
    $("text").replaceChildren(...drawn.nodes, rest);
    const {direction} = getComputedStyle($("text"));
    ahead = direction === "rtl" ? -1 : 1;
    for (const scroll of element.querySelectorAll(".scroll:has(.bars, .strip)")) scroll.dir = direction;
    $("sentence").textContent = seen.sentence ?? "";
    $("about").textContent = `${seen.title}: ${seen.layers} ${seen.layers === 1 ? "layer" : "layers"} of ${seen.units} ${seen.cell.toUpperCase()} cells${seen.nats ? `, ${seen.nats.toFixed(3)} nats a character on text it has not seen` : ""}. A nat is a unit of surprise: 0.69 is a coin toss.`
      + (letters.length < seen.chars.length ? " A letter of several characters has the tint of the most surprising; click again for the next." : "");
    $("cells-title").textContent = `${seen.cells.length} telling cells out of ${seen.layers * seen.units}, along the text`;
    $("holds").hidden = !props.holds || !Object.keys(seen.means).length;
    drawHolds($, seen, hold);
    moment = findMoment(seen);
    $("moment").hidden = !moment;
    $("moment").textContent = moment?.words ?? "";
    [tintedBy, inside] = [null, Math.max(0, seen.cells.findIndex(cell => cell.name))];
    chosen = 0;
    drawStrip($, seen, quantity, openAt);
    chooseCell(null);
    if (forked === null) fromAddress(); else choose(forked);
    forked = null;
    drawAnswers();
  }

  watch("value", draw);
  draw();
}
