// A small LSTM that learns, in a tab: the gradient of every weight, written out, and Adam.
import {addTransposed, Model} from "./model.js";
import {Generator, softmax} from "./sampling.js";

const RATE = 0.01, MOMENTUM = 0.9, SPREAD = 0.99, LONGEST_STEP = 1;  // of Adam; the norm to which a gradient is cut
const IH = "model.layers.0.weight_ih_l0", HH = "model.layers.0.weight_hh_l0", EMBEDDING = "model.embed_tokens.weight";
const BIASES = ["model.layers.0.bias_ih_l0", "model.layers.0.bias_hh_l0"];

function addOuter(matrix, rows, columns) {
  for (let row = 0, at = 0; row < rows.length; row++)
    for (let column = 0; column < columns.length; column++, at++) matrix[at] += rows[row] * columns[column];
}

function add(sum, more) {
  for (let at = 0; at < sum.length; at++) sum[at] += more[at];
}

/** Random weights of one layer of LSTM cells with one-hot characters, by their names. */
export function newWeights(vocabulary, units, seed) {
  const generator = new Generator(seed), bound = units ** -0.5;
  const random = (size, reach) => Float64Array.from({length: size}, () => (2 * generator.random() - 1) * reach);
  const [bias, zero] = [new Float64Array(4 * units).fill(1, units, 2 * units), new Float64Array(4 * units)];  // it remembers at first
  const one = Float64Array.from({length: vocabulary ** 2}, (_, at) => at % (vocabulary + 1) ? 0 : 1);
  return {[EMBEDDING]: one, [IH]: random(4 * units * vocabulary, 1), [HH]: random(4 * units * units, bound),
    [BIASES[0]]: bias, [BIASES[1]]: zero, "lm_head.weight": random(vocabulary * units, bound), "lm_head.bias": new Float64Array(vocabulary)};
}

export class Learner {
  constructor(vocabulary, units, tensors) {
    this.model = new Model({cell_type: "lstm", hidden_size: units, num_hidden_layers: 1, vocab_size: vocabulary, bos_token_id: 0}, tensors);
    this.tensors = tensors;
    this.steps = 0;
    const zeros = () => Object.fromEntries(Object.entries(tensors).map(([name, {length}]) => [name, new Float64Array(length)]));
    [this.gradients, this.means, this.squares] = [zeros(), zeros(), zeros()];
  }

  /**
   * The mean loss, in nats, of `lanes`, each {ids, state}: every id but the last is read and the next one is predicted,
   * on from a state, which goes on. Fills `gradients`: backward through time, from the last character to the first.
   */
  lossOf(lanes) {
    const {model, gradients} = this, {units, layers: [layer], vocabulary} = model;
    for (const gradient of Object.values(gradients)) gradient.fill(0);
    const share = 1 / lanes.reduce((sum, {ids}) => sum + ids.length - 1, 0);
    let loss = 0;
    for (const {ids, state} of lanes) {
      const kept = ids.slice(0, -1).map((id, time) => {
        const pastOutput = Float64Array.from(state[0].output), [step] = model.step(state, id, true);
        const errors = softmax(model.scores(state));
        loss -= share * Math.log(errors[ids[time + 1]]);
        errors[ids[time + 1]] -= 1;
        return {...step, pastOutput, errors: errors.map(error => share * error)};
      });
      const dOutput = new Float64Array(units), dCell = new Float64Array(units);
      const dInput = new Float64Array(4 * units), dPast = new Float64Array(4 * units);
      for (let time = kept.length - 1; time >= 0; time--) {
        const {errors, output, pastOutput} = kept[time];
        addOuter(gradients["lm_head.weight"], errors, output);
        add(gradients["lm_head.bias"], errors);
        addTransposed(model.head, errors, dOutput);
        model.cell.back(kept[time], units, dOutput, dCell, dInput, dPast);
        for (let row = 0; row < dInput.length; row++) gradients[IH][row * vocabulary + ids[time]] += dInput[row];
        addOuter(gradients[HH], dPast, pastOutput);
        for (const bias of BIASES) add(gradients[bias], dInput);
        addTransposed(layer.fromPast, dPast, dOutput);
      }
    }
    return loss;
  }

  /** One step of Adam (Kingma and Ba 2015) along the gradients, which are cut to a norm first. */
  update() {
    this.steps++;
    const names = Object.keys(this.tensors).filter(name => name !== EMBEDDING);
    const norm = Math.sqrt(names.reduce((sum, name) => sum + this.gradients[name].reduce((some, one) => some + one * one, 0), 0));
    const cut = Math.min(1, LONGEST_STEP / norm), [early, earlySquare] = [1 - MOMENTUM ** this.steps, 1 - SPREAD ** this.steps];
    for (const name of names) {
      const [weights, gradient, mean, square] = [this.tensors, this.gradients, this.means, this.squares].map(all => all[name]);
      for (let at = 0; at < weights.length; at++) {
        const slope = cut * gradient[at];
        mean[at] += (1 - MOMENTUM) * (slope - mean[at]);
        square[at] += (1 - SPREAD) * (slope * slope - square[at]);
        weights[at] -= RATE * mean[at] / early / (Math.sqrt(square[at] / earlySquare) + 1e-8);
      }
    }
    this.model.firstInputs.clear();
  }
}
