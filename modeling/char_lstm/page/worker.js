// The model at work, beside the page so that the page never freezes: it loads, writes, reads and explains.
import {Model, readSafetensors} from "./model.js";
import {connectivityAt, expectation, LONGEST, makeRecord} from "./record.js";
import {draw, Generator, reshape} from "./sampling.js";
import {CharacterTokenizer} from "./tokenizer.js";

const PACE = 30;  // milliseconds between two looks at the messages that have come
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

async function write({prompt, seed, settings, held}) {
  const mine = ++job, given = tokenizer.normalise(prompt);
  stopping = false;
  post("begun", {given, lost: tokenizer.lost(prompt)});
  const ids = tokenizer.encode(given, {prompt: true}), state = model.start(held), generator = new Generator(BigInt(seed));
  if (!await inTurn(ids.length ? ids : [model.bos], mine, id => void model.step(state, id))) return;
  let text = given, fresh = "", count = 0, sent = performance.now();
  const say = () => {
    post("more", {fresh});
    fresh = "";
    sent = performance.now();
  };
  const went = await inTurn(Array(settings.max_new_tokens).keys(), mine, () => {
    const id = stopping ? undefined : draw(reshape(model.scores(state), {...settings, suppress_tokens: about.suppress_tokens}), generator.random());
    if (stopping || about.ends.includes(id)) return false;
    fresh += tokenizer.tokens[id];
    text += tokenizer.tokens[id];
    count++;
    model.step(state, id);
    if (performance.now() - sent >= PACE) say();
  });
  if (!went) return;
  say();
  post("done", {count, stopped: stopping});
  await read({text, given: Array.from(given).length, settings, held}, mine);
}

/** Reads a normalised text from the newline on, as Python's `inspect_text` does, and posts its record. */
async function read({text, given, settings, held}, mine = ++job) {
  const chars = [...Array.from(text), ...tokenizer.endOfItem].slice(0, LONGEST);
  if (!chars.length) return;
  const ids = chars.map(char => tokenizer.ids.get(char)), state = model.start(held);
  const next = {model, chars, ids, given: Math.min(given, chars.length), wanted: [], kept: [], expected: [],
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
  post("record", {record: JSON.stringify(record)});
}

const ANSWERS = {
  load, write, read,
  stop() { stopping = true; },
  connectivity({position}) {
    if (reading?.ids[position] !== undefined) sendRecord({...record, connectivity: connectivityAt(reading, position)});
  },
  cell({layer, unit}) {
    if (!model?.layers[layer] || !(unit in model.layers[layer].input) || record?.cells.some(cell => cell.layer === layer && cell.unit === unit)) return;
    reading.wanted.push({layer, unit, why: "asked for", name: null});
    sendRecord({...makeRecord(about, reading), connectivity: record.connectivity});
  },
};

addEventListener("message", async ({data}) => {
  try {
    await ANSWERS[data.type](data);
  } catch (error) {
    post("failed", {words: error.message});
  }
});
