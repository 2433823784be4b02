// The model at work, beside the page so that the page never freezes: it loads, writes, reads and explains.
import {Model, readSafetensors} from "./model.js";
import {connectivityAt, differencesOf, expectation, LONGEST, makeRecord} from "./record.js";
import {draw, Generator, reshape} from "./sampling.js";
import {CharacterTokenizer} from "./tokenizer.js";

const PACE = 30;  // milliseconds between two looks at the messages that have come
const ITEMS = 20, TRIES = 1000;  // of a list: how many, and how often in a row none may come
let model, tokenizer, about, reading, record, job = 0, stopping = false;

const post = (type, content = {}) => postMessage({type, ...content});
const others = () => new Promise(resume => setTimeout(resume));

/** Does something for each of a list, and lets messages in now and then. False if another job has begun since. */
async function inTurn(list, mine, each) {
  let looked = performance.now();
  for (const one of list) {
    if (each(one) === false) break;
    if (performance.now() - looked < PACE) continue;
    await others();
    if (mine !== job) return false;
    looked = performance.now();
  }
  return mine === job;
}

function load({page, tokenizerJson, files}) {
  about = page;
  tokenizer = new CharacterTokenizer(tokenizerJson);
  model = new Model(about.config, Object.assign({}, ...files.map(readSafetensors)));
  post("loaded");
}

/** Draws a text after a prompt's ids, each character of which `each` gets. Null if another job has begun since; else
 * how many there are, and whether it was `stopped` or came to the end of an item. */
async function compose(ids, seed, {settings, held}, mine, each) {
  const state = model.start(held), generator = new Generator(BigInt(seed)), shaping = {...settings, suppress_tokens: about.suppress_tokens};
  let count = 0, ended = false;
  if (!await inTurn(ids, mine, id => void model.step(state, id))) return null;
  const went = await inTurn(Array(settings.max_new_tokens).keys(), mine, () => {
    const id = stopping ? undefined : draw(reshape(model.scores(state), shaping), generator.random());
    ended = about.ends.includes(id);
    if (stopping || ended) return false;
    each(tokenizer.tokens[id]);
    count++;
    model.step(state, id);
  });
  return went ? {count, stopped: stopping, ended} : null;
}

async function write(asked) {
  const mine = ++job, given = tokenizer.normalise(asked.prompt), encoded = tokenizer.encode(given, {prompt: true});
  const ids = encoded.length ? encoded : [model.bos];
  [stopping, reading] = [false, null];
  post("begun", {given, lost: tokenizer.lost(asked.prompt)});
  let text = given, fresh = "", sent = performance.now();
  const say = () => {
    post("more", {fresh});
    fresh = "";
    sent = performance.now();
  };
  const done = await compose(ids, asked.seed, asked, mine, character => {
    fresh += character;
    text += character;
    if (performance.now() - sent >= PACE) say();
  });
  if (!done) return;
  say();
  post("done", done);
  await read({text, given: Array.from(given).length, ...asked}, mine);
  if (about.ends.length && mine === job) await list({text, ids, given, ...done}, asked, mine);
}

/** Posts whole items, the first of which is written: item k is what seed + k gives, as `generate_items` has it. */
async function list(first, asked, mine) {
  let found = 0, tries = 0, {text, ended} = first;
  for (let seed = BigInt(asked.seed) + 1n; ; seed++) {
    if (ended && text) {
      post("item", {item: text});
      [found, tries] = [found + 1, 0];
    }
    if (found === ITEMS || ++tries === TRIES || stopping) return;
    text = first.given;
    const done = await compose(first.ids, seed, asked, mine, character => { text += character; });
    if (!done) return;
    ended = done.ended;
  }
}

/** Reads a normalised text from the newline on, as Python's `inspect_text` does, and posts its record. */
async function read({text, given, settings, held}, mine = ++job) {
  const chars = [...Array.from(text), ...tokenizer.endOfItem].slice(0, LONGEST);
  if (!chars.length) return;
  const ids = chars.map(char => tokenizer.ids.get(char)), state = model.start(held);
  const next = {model, chars, ids, given: Math.min(given, chars.length), held, kept: [], expected: [],
    settings: settings && {temperature: settings.temperature, top_k: settings.top_k, top_p: settings.top_p}};
  const shaping = settings && {...next.settings, suppress_tokens: about.suppress_tokens};
  const went = await inTurn(ids.keys(), mine, t => {
    next.kept.push(model.step(state, t ? ids[t - 1] : model.bos, true));
    next.expected.push(expectation(tokenizer, model.scores(state), ids[t], shaping));
  });
  if (!went) return;
  reading = next;
  sendRecord(makeRecord(about, reading));
}

function sendRecord(made) {
  record = made;
  post("record", {record});
}

const ANSWERS = {
  load, write, read,
  stop() { stopping = true; },
  connectivity({position}) {
    if (reading?.ids[position] !== undefined) sendRecord({...record, connectivity: connectivityAt(reading, position)});
  },
  differences() {
    if (!reading) return;
    const isOpening = reading.chars.join("") === about.opening && about.differences;
    const differences = isOpening ? about.differences : differencesOf(about, reading);
    sendRecord({...record, differences, hasOthers: !!about.differences && !isOpening});
  },
};

addEventListener("message", async ({data}) => {
  try {
    await ANSWERS[data.type](data);
  } catch (error) {
    post("failed", {words: error.message});
  }
});
