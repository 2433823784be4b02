// The static page: its form, its address and its text. The model is at work in worker.js.
import {mount} from "./inspector.js";
import {make} from "./words.js";
import {startWorker} from "./workers.js";

const LONGEST_TEXT = 10000, SHOWN = 20;
const $ = id => document.getElementById(id);
const about = JSON.parse($("page").textContent), opening = $("text").textContent, fields = $("settings").elements;
const FIELDS = {  // what each field must hold, in words
  temperature: {read: Number, fits: x => x >= 0 && x < Infinity, words: "0 (always the likeliest) or a positive number"},
  top_k: {read: Number, fits: x => Number.isInteger(x) && x >= 0, words: "a whole number, 0 for all characters"},
  top_p: {read: Number, fits: x => x > 0 && x <= 1, words: "a number above 0 and at most 1"},
  seed: {read: String, fits: x => /^\d{0,40}$/.test(x), words: "a whole number of 0 or more, or nothing"},
  max_new_tokens: {read: Number, fits: x => Number.isInteger(x) && x >= 1 && x <= LONGEST_TEXT, words: `a whole number from 1 to ${LONGEST_TEXT}`},
};
let worker, checker, written = null, held = {}, look = () => {}, ready = false, waiting = false;
let record = null, novelty = null, fresh = opening, items = [];  // fresh: what is new of the text, by the model

const props = {value: null, holds: true};
const say = (id, words) => { $(id).textContent = words; };
const number = x => x.toLocaleString("en");

function readForm() {  // null, and a word to the visitor, if a field cannot be used
  const read = {prompt: fields.prompt.value};
  for (const [name, {read: convert, fits, words}] of Object.entries(FIELDS)) {
    const value = fields[name].value.trim(), wrong = (!value && name !== "seed") || !fits(convert(value));
    fields[name].ariaInvalid = wrong;
    if (wrong) {
      $("more").open ||= $("more").contains(fields[name]);
      say("trouble", `${fields[name].labels[0].textContent.trim()}: ${words}, please; this is “${value.slice(0, 40)}”.`);
      return null;
    }
    read[name] = convert(value);
  }
  say("trouble", "");
  return read;
}

function labelButton() {
  const count = FIELDS.max_new_tokens.fits(+fields.max_new_tokens.value) ? number(+fields.max_new_tokens.value).replaceAll(",", " ") : "…";
  say("write", about.ends.length ? `Write one, of at most ${count} characters` : `Write ${count} characters`);
}

function write(asked = readForm()) {
  if (!asked) return;
  if (!ready) { waiting = true; return; }
  const {prompt, seed, ...settings} = asked;
  written = {...asked, seed: seed || String(crypto.getRandomValues(new Uint32Array(1))[0])};
  worker.postMessage({type: "write", prompt, seed: written.seed, settings, held});
}

function showState(state) {
  $("text").dataset.state = state;
  $("stop").hidden = state !== "writing";
}

function show() {  // the record and what was found of copies, whichever has come
  props.value = record && JSON.stringify({...record, novelty});
  look();
}

function check(asked) {  // whether the text, or an item, stands in what the model was trained on
  if (about.indexes.length) checker?.postMessage(asked);
}

function showItems(known) {
  $("items").hidden = !items.length;
  $("items").replaceChildren(...items.map(item => make("li", {className: known.has(item) ? "known" : ""}, make("bdi", {}, item), known.has(item) ? " (known)" : "")));
  const count = items.filter(item => !known.has(item)).length;
  say("items-words", !items.length ? "" : about.indexes.length ? `${count} of ${items.length} new. Those marked “known” stand in the training set.`
    : "Which of them it was trained on is not known: this model came without its index.");
}

function showAddress() {
  const {prompt, temperature, top_k, top_p, seed, max_new_tokens} = written;
  const query = new URLSearchParams({prompt, temperature, seed, max_new_tokens});
  if (top_k !== about.settings.top_k) query.set("top_k", top_k);
  if (top_p !== about.settings.top_p) query.set("top_p", top_p);
  query.set("write", 1);
  try {
    history.replaceState(null, "", `?${query}`);
  } catch {}  // some browsers keep the address of a file as it is
}

const HEARD = {
  loaded() {
    ready = true;
    $("loading").hidden = true;
    if (waiting) write();
    else worker.postMessage({type: "read", text: opening, given: 0, settings: about.settings});
    startChecking();
  },
  begun({given, lost}) {
    [record, novelty, props.rest, items, fresh] = [null, null, "", [], ""];
    showState("writing");  // first: of a text without it nothing would be shown, and the page would jump
    show();
    showItems(new Set());
    $("text").textContent = given;
    if (!about.ends.length && $("text").getBoundingClientRect().top > innerHeight / 2) $("inspector").scrollIntoView();
    const shown = lost.slice(0, SHOWN).join(" ") + (lost.length > SHOWN ? " …" : "");
    say("lost", lost.length ? `Left out of your beginning: ${lost.length} ${lost.length === 1 ? "character" : "characters"} that this model's alphabet lacks: ${shown}` : "");
    say("status", "Writing …");
  },
  more(more) {
    $("text").append(more.fresh);
    fresh += more.fresh;
  },
  done({count, stopped}) {
    showState("done");
    if (document.activeElement === document.body) $("write").focus({preventScroll: true});
    const holding = Object.keys(held).length ? " A gate was held, so the address does not repeat it." : " The address of this page writes it again.";
    const unknown = about.indexes.length || about.ends.length ? "" : " What is copied is not known: this model came without an index of its training text.";
    written.max_new_tokens = stopped ? Math.max(count, 1) : written.max_new_tokens;
    say("status", `${stopped ? "Stopped, so unfinished: " : ""}${number(count)} new ${count === 1 ? "character" : "characters"} from seed ${written.seed}.${holding}${unknown}`);
    if (!Object.keys(held).length) showAddress();
    check({text: fresh});
  },
  record({record: made}) {
    if (!record) props.rest = Array.from($("text").textContent).slice(made.chars.length).join("");
    record = made;
    show();
  },
  item({item}) {
    items.push(item);
    showItems(new Set());
    check({items});
  },
  checked({of, found}) {
    if (of.text !== fresh) return;
    novelty = found;
    if (record) show();
  },
  known({of, known}) {
    if (of.items.join() === items.join()) showItems(new Set(known));
  },
  failed({words}) {
    showState("idle");
    say("status", "");
    say("trouble", `This did not work: ${words}. Reload the page; if that does not help, try a newer browser.`);
  },
};

function hear(event, then) {  // what the inspector asks for
  $("inspector").addEventListener(event, ({detail}) => then(detail));
}
hear("want-connectivity", ({position}) => worker.postMessage({type: "connectivity", position}));
hear("want-differences", () => worker.postMessage({type: "differences"}));
hear("hold-gate", ({gate, value}) => {
  held = {...held, [gate]: value};
  if (value === null) delete held[gate];
  write(written ?? readForm());
});
hear("fork", ({position, character}) => {
  const {chars} = record, last = written ?? readForm();
  if (!last) return;
  fields.prompt.value = [...chars.slice(0, position), character].join("");
  write({...last, prompt: fields.prompt.value, max_new_tokens: Math.max(1, Array.from($("text").textContent).length - position - 1)});
});

async function fetched(name, size, progress) {
  const response = await fetch(name);
  if (!response.ok) throw new Error(`${name}: ${response.status} ${response.statusText}`);
  const bytes = new Uint8Array(size), reader = response.body.getReader();
  let at = 0;
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    bytes.set(part.value, at);
    at += part.value.length;
    progress(part.value.length);
  }
  return bytes.buffer;
}

function inside(name) {  // a file that stands in the page itself, as base64
  return Uint8Array.from(atob($(name).textContent), character => character.charCodeAt(0)).buffer;
}

/** Fetches some files, or finds them in the page: their contents, an ArrayBuffer each. */
function filesOf(list, progress = () => {}) {
  return Promise.all(list.map(({name, bytes}) => $(name) ? inside(name) : fetched(name, bytes, progress)));
}

async function startChecking() {  // once the model is there: its index may be as large
  if (!about.indexes.length) return;
  const files = await filesOf(about.indexes);
  checker = startWorker("checking");
  checker.onmessage = ({data}) => HEARD[data.type](data);
  checker.onerror = event => HEARD.failed({words: event.message ?? "the search for copies did not start"});
  checker.postMessage({files, forget: about.forget}, files);
  if ($("text").dataset.state !== "writing") check({text: fresh});
  if (items.length) check({items});
}

async function start() {
  worker = startWorker("worker");
  worker.onmessage = ({data}) => HEARD[data.type](data);
  worker.onerror = event => HEARD.failed({words: event.message ?? "the model's worker did not start"});
  const all = about.files.reduce((sum, {bytes}) => sum + bytes, 0);
  $("loading").querySelector("progress").max = all;
  const progress = bytes => { $("loading").querySelector("progress").value += bytes; };
  const files = await filesOf(about.files, progress);
  const tokenizerJson = $("tokenizer.json") ? JSON.parse($("tokenizer.json").textContent) : await (await fetch("tokenizer.json")).json();
  worker.postMessage({type: "load", page: {...about, opening}, tokenizerJson, files}, files);
}

for (const [name, value] of Object.entries(about.settings)) fields[name].value = value;
const query = new URLSearchParams(location.search);
for (const [name, value] of query) if (name in FIELDS || name === "prompt") fields[name].value = value;
labelButton();
fields.max_new_tokens.addEventListener("input", labelButton);
$("settings").addEventListener("submit", event => {
  event.preventDefault();
  held = {};
  write();
});
$("stop").addEventListener("click", () => {
  worker.postMessage({type: "stop"});
  $("write").focus();
});
$("learn").addEventListener("toggle", async () => {
  const {mountLearning} = await import("./watch.js");
  mountLearning($("learn"));
}, {once: true});
mount($("inspector"), props, (name, then) => { look = then; });
if (query.get("write") === "1") write();
start().catch(error => HEARD.failed({words: error.message}));
