// The model in a tab: its weights from the bytes of safetensors files, one step of an LSTM, a GRU or an RNN, and the
// gradient of one prediction. The step is that of `cells.py`: each gate is a block of rows, in torch's order.

const DECODERS = {  // of a tensor's bytes, an ArrayBuffer of its own
  F64: buffer => Float32Array.from(new Float64Array(buffer)),
  F32: buffer => new Float32Array(buffer),
  F16: buffer => Float32Array.from(new Uint16Array(buffer), halfPrecision),
  U8: buffer => new Uint8Array(buffer),
  U16: buffer => new Uint16Array(buffer),
  U32: buffer => new Uint32Array(buffer),
  U64: buffer => new BigUint64Array(buffer),
  I64: buffer => new BigInt64Array(buffer),
  BF16: buffer => new Float32Array(Uint32Array.from(new Uint16Array(buffer), half => half << 16).buffer),
};

function halfPrecision(half) {
  const sign = half >> 15 ? -1 : 1, exponent = half >> 10 & 31, fraction = half & 1023;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (exponent ? 2 ** (exponent - 15) * (1 + fraction / 1024) : 2 ** -24 * fraction);
}

/** The tensors of a safetensors file (an ArrayBuffer), by name: their numbers, row by row. */
export function readSafetensors(file) {
  const length = Number(new DataView(file).getBigUint64(0, true)), start = 8 + length;
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(file, 8, length)));
  delete header.__metadata__;
  return Object.fromEntries(Object.entries(header).map(([name, {dtype, data_offsets: [from, to]}]) =>
    [name, DECODERS[dtype](file.slice(start + from, start + to))]));
}

/** out = matrix x + bias; the matrix has a row for each number of `out`. Four rows at once share each number of x. */
function multiply(matrix, x, bias, out) {
  const rows = out.length, columns = x.length;
  let row = 0;
  for (; row + 4 <= rows; row += 4) {
    const first = row * columns, second = first + columns, third = second + columns, fourth = third + columns;
    let a = 0, b = 0, c = 0, d = 0;
    for (let column = 0; column < columns; column++) {
      const value = x[column];
      a += matrix[first + column] * value;
      b += matrix[second + column] * value;
      c += matrix[third + column] * value;
      d += matrix[fourth + column] * value;
    }
    out[row] = a + bias[row];
    out[row + 1] = b + bias[row + 1];
    out[row + 2] = c + bias[row + 2];
    out[row + 3] = d + bias[row + 3];
  }
  for (; row < rows; row++) {
    let sum = bias[row];
    for (let column = 0, at = row * columns; column < columns; column++, at++) sum += matrix[at] * x[column];
    out[row] = sum;
  }
}

/** out += the transposed matrix times y, the way back of `multiply`. */
export function addTransposed(matrix, y, out) {
  const columns = out.length;
  for (let row = 0; row < y.length; row++) {
    const value = y[row], at = row * columns;
    if (value) for (let column = 0; column < columns; column++) out[column] += matrix[at + column] * value;
  }
}

const sigmoid = x => 1 / (1 + Math.exp(-x));
const onOff = y => y * (1 - y);  // the slope of a sigmoid, by its value
const slope = y => 1 - y * y;  // of tanh

// What a cell makes of what comes from its input and from its past output, a block of numbers for each gate. `step`
// fills `gates` and the state in place; `back` turns the gradients of the new state into those of the past cell state
// (in place), of both sums, and returns what goes to the past output directly.
export const CELLS = {
  lstm: {
    gates: ["input", "forget", "candidate", "output"],
    activations: [sigmoid, sigmoid, Math.tanh, sigmoid],
    step({gates, units}, {output, cell}) {
      for (let unit = 0; unit < units; unit++) {
        cell[unit] = gates[units + unit] * cell[unit] + gates[unit] * gates[2 * units + unit];
        output[unit] = gates[3 * units + unit] * Math.tanh(cell[unit]);
      }
    },
    back({gates, cell, pastCell}, units, dOutput, dCell, dInput, dPast) {
      for (let unit = 0; unit < units; unit++) {
        const i = gates[unit], f = gates[units + unit], g = gates[2 * units + unit], o = gates[3 * units + unit];
        const shown = Math.tanh(cell[unit]), d = dCell[unit] + dOutput[unit] * o * slope(shown);
        dInput[unit] = d * g * onOff(i);
        dInput[units + unit] = d * pastCell[unit] * onOff(f);
        dInput[2 * units + unit] = d * i * slope(g);
        dInput[3 * units + unit] = dOutput[unit] * shown * onOff(o);
        dCell[unit] = d * f;
        dOutput[unit] = 0;
      }
      dPast.set(dInput);
    },
  },
  gru: {
    gates: ["reset", "update", "candidate"],
    activations: [sigmoid, sigmoid, null],  // the candidate is made in `step`: reset comes first
    step({gates, past, input, units, held}, {output}) {
      for (let unit = 0; unit < units; unit++) {
        const at = 2 * units + unit, update = gates[units + unit];
        gates[at] = held.candidate ?? Math.tanh(input[at] + gates[unit] * past[at]);
        output[unit] = update * output[unit] + (1 - update) * gates[at];
      }
    },
    back({gates, past, pastCell}, units, dOutput, dCell, dInput, dPast) {
      for (let unit = 0; unit < units; unit++) {
        const r = gates[unit], z = gates[units + unit], n = gates[2 * units + unit], d = dOutput[unit];
        const dCandidate = d * (1 - z) * slope(n);
        dInput[2 * units + unit] = dCandidate;
        dPast[2 * units + unit] = dCandidate * r;
        dInput[unit] = dPast[unit] = dCandidate * past[2 * units + unit] * onOff(r);
        dInput[units + unit] = dPast[units + unit] = d * (pastCell[unit] - n) * onOff(z);
        dOutput[unit] = d * z;
      }
    },
  },
  rnn: {
    gates: [],
    activations: [null],
    step({past, input, units}, {output}) {
      for (let unit = 0; unit < units; unit++) output[unit] = Math.tanh(input[unit] + past[unit]);
    },
    back({cell}, units, dOutput, dCell, dInput, dPast) {
      for (let unit = 0; unit < units; unit++) {
        dInput[unit] = dPast[unit] = dOutput[unit] * slope(cell[unit]);
        dOutput[unit] = 0;
      }
    },
  },
};

/** A language model. `config` is config.json's content, `tensors` what `readSafetensors` makes of its weights. */
export class Model {
  constructor(config, tensors) {
    this.cell = CELLS[config.cell_type];
    this.cellType = config.cell_type;
    this.units = config.hidden_size;
    this.vocabulary = config.vocab_size;
    this.bos = config.bos_token_id;
    this.embedding = tensors["model.embed_tokens.weight"];  // (vocabulary, width)
    this.width = this.embedding.length / this.vocabulary;
    this.head = config.tie_word_embeddings ? this.embedding : tensors["lm_head.weight"];  // (vocabulary, units)
    this.headBias = tensors["lm_head.bias"];
    this.layers = Array.from({length: config.num_hidden_layers}, (_, index) => {
      const part = name => tensors[`model.layers.${index}.${name}_l0`];
      const rows = part("bias_ih").length;
      return {
        fromInput: part("weight_ih"), fromPast: part("weight_hh"), inputBias: part("bias_ih"), pastBias: part("bias_hh"),
        units: this.units, held: {}, input: new Float64Array(rows), past: new Float64Array(rows), gates: new Float64Array(rows),
      };
    });
    this.firstInputs = new Map();  // of the first layer, for each character that was read
  }

  /** The state before the first character; `held` fixes gates by their names, in every cell, until it is given again. */
  start(held = {}) {
    for (const layer of this.layers) layer.held = held;
    return this.layers.map(() => {
      const output = new Float64Array(this.units);
      return {output, cell: this.cellType === "lstm" ? new Float64Array(this.units) : output};
    });
  }

  /** What the first layer gets from a character: for a one-hot, a column of its weights. */
  firstInput(id) {
    if (!this.firstInputs.has(id)) {
      const {fromInput, inputBias} = this.layers[0], vector = this.embedding.subarray(id * this.width, (id + 1) * this.width);
      const made = Float64Array.from(inputBias), used = [...vector.keys()].filter(column => vector[column]);
      for (let row = 0; row < made.length; row++)
        for (const column of used) made[row] += fromInput[row * this.width + column] * vector[column];
      this.firstInputs.set(id, made);
    }
    return this.firstInputs.get(id);
  }

  /** Reads a character into the state. With `keep`, returns for each layer what `sizesOfGradient` and a record need. */
  step(state, id, keep = false) {
    const {gates: names, activations, step} = this.cell;
    const kept = this.layers.map((layer, index) => {
      const {units, held, input, past, gates} = layer, own = state[index];
      const pastCell = keep && Float32Array.from(own.cell);
      if (index) multiply(layer.fromInput, state[index - 1].output, layer.inputBias, input);
      else input.set(this.firstInput(id));
      multiply(layer.fromPast, own.output, layer.pastBias, past);
      activations.forEach((activation, block) => {
        const value = held[names[block]];
        if (activation) for (let at = block * units; at < (block + 1) * units; at++) gates[at] = value ?? activation(input[at] + past[at]);
      });
      step(layer, own);
      return keep && {gates: Float32Array.from(gates), past: this.cellType === "gru" ? Float32Array.from(past) : null,
        pastCell, cell: Float32Array.from(own.cell), output: Float32Array.from(own.output)};
    });
    return keep ? kept : null;
  }

  /** Scores of the next character, (vocabulary), as float32. */
  scores(state) {
    const scores = new Float32Array(this.vocabulary);
    multiply(this.head, state.at(-1).output, this.headBias, scores);
    return scores;
  }

  /**
   * How strongly one prediction depends on each character before it: the size of the gradient of log p(ids[position])
   * with respect to the vector of each of the characters that were read before it, bos left out. `kept` holds what
   * `step` kept as it read bos, ids[0], ids[1], ...; `odds` are the probabilities of that prediction.
   */
  sizesOfGradient(kept, ids, position, odds) {
    const {units, layers} = this, sizes = new Float64Array(position);
    const dOutputs = layers.map(() => new Float64Array(units)), dCells = layers.map(() => new Float64Array(units));
    const dScores = Float64Array.from(odds, (p, id) => (id === ids[position] ? 1 : 0) - p);
    addTransposed(this.head, dScores, dOutputs.at(-1));
    for (let time = position; time > 0; time--) {
      for (let index = layers.length - 1; index >= 0; index--) {
        const {fromInput, fromPast, inputBias} = layers[index];
        const dInput = new Float64Array(inputBias.length), dPast = new Float64Array(inputBias.length);
        this.cell.back(kept[time][index], units, dOutputs[index], dCells[index], dInput, dPast);
        addTransposed(fromPast, dPast, dOutputs[index]);
        const below = index ? dOutputs[index - 1] : new Float64Array(this.width);
        addTransposed(fromInput, dInput, below);
        if (!index) sizes[time - 1] = Math.hypot(...below);
      }
    }
    return sizes;
  }
}
