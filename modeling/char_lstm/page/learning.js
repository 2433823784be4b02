// Trains a small LSTM on a text, in a worker of its own, which the page starts when it is asked to.
import {Learner, newWeights} from "./learner.js";
import {draw, Generator, reshape} from "./sampling.js";

const UNITS = 64, LANES = 12, LENGTH = 32, SAMPLE = 160, SECOND = 1000;
let learner, tokens, lanes, going = false;

/** Makes a network for a text: its alphabet, and places in it from which it is read side by side. */
function begin(text) {
  tokens = [...new Set(text)].sort();
  const ids = Array.from(text, character => tokens.indexOf(character));
  learner = new Learner(tokens.length, UNITS, newWeights(tokens.length, UNITS, 0n));
  lanes = Array.from({length: LANES}, (_, lane) => ({at: Math.floor(lane * ids.length / LANES), all: ids, state: learner.model.start()}));
}

function nextRow(lane) {  // of LENGTH characters and the one after; the end of the text is followed by its beginning
  lane.ids = Array.from({length: LENGTH + 1}, (_, index) => lane.all[(lane.at + index) % lane.all.length]);
  lane.at = (lane.at + LENGTH) % lane.all.length;
  return lane;
}

function sample() {
  const state = learner.model.start(), generator = new Generator(BigInt(learner.steps));
  let id = Math.max(tokens.indexOf("\n"), 0), text = "";
  for (let count = 0; count < SAMPLE; count++) {
    learner.model.step(state, id);
    id = draw(reshape(learner.model.scores(state), {temperature: 0.6, top_k: 0, top_p: 1}), generator.random());
    text += tokens[id];
  }
  return text;
}

async function train() {
  let said = -Infinity, losses = [];
  while (going) {
    losses.push(learner.lossOf(lanes.map(nextRow)));
    learner.update();
    if (performance.now() - said >= SECOND) {
      postMessage({steps: learner.steps, loss: losses.reduce((a, b) => a + b) / losses.length, sample: sample(), letters: tokens.length});
      [said, losses] = [performance.now(), []];
    }
    await new Promise(resume => setTimeout(resume));
  }
}

addEventListener("message", ({data: {text, go}}) => {
  if (text !== undefined) begin(text);
  const began = go && !going;
  going = go;
  if (began) train();
});
