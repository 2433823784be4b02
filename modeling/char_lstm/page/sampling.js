// The draw: numpy's generator with its seeding, and temperature, top-k and top-p as `generation_char_lstm.py` has them,
// so that a seed writes the text that it writes in Python.

const WORD = 0xffffffffn, UINT64 = (1n << 64n) - 1n, UINT128 = (1n << 128n) - 1n;
const MULTIPLIER = 0x2360ed051fc65da44385df649fccf645n;
const POOL = 4;  // words of a seed sequence

/** numpy's SeedSequence(seed).generate_state(4, uint64), of a BigInt that is 0 or more. */
function seedWords(seed) {
  const entropy = [];
  do { entropy.push(seed & WORD); seed >>= 32n; } while (seed);
  let constant = 0x43b0d7e5n;
  const hash = value => {
    value ^= constant;
    constant = constant * 0x931e8875n & WORD;
    value = value * constant & WORD;
    return value ^ value >> 16n;
  };
  const mix = (x, y) => {
    const mixed = x * 0xca01f9ddn - y * 0x4973f715n & WORD;
    return mixed ^ mixed >> 16n;
  };
  const pool = Array.from({length: POOL}, (_, index) => hash(entropy[index] ?? 0n));
  for (let from = 0; from < POOL; from++)
    for (let to = 0; to < POOL; to++) if (from !== to) pool[to] = mix(pool[to], hash(pool[from]));
  for (const word of entropy.slice(POOL))
    for (let to = 0; to < POOL; to++) pool[to] = mix(pool[to], hash(word));

  constant = 0x8b51f9ddn;
  const words = Array.from({length: 8}, (_, index) => {
    let value = pool[index % POOL] ^ constant;
    constant = constant * 0x58f38dedn & WORD;
    value = value * constant & WORD;
    return value ^ value >> 16n;
  });
  return [0, 2, 4, 6].map(index => words[index] | words[index + 1] << 32n);
}

/** numpy.random.default_rng(seed), of a BigInt: PCG64. */
export class Generator {
  constructor(seed) {
    const [high, low, streamHigh, streamLow] = seedWords(seed);
    this.increment = ((streamHigh << 64n | streamLow) << 1n | 1n) & UINT128;
    this.state = 0n;
    this.advance();
    this.state += high << 64n | low;
    this.advance();
  }

  advance() {
    this.state = this.state * MULTIPLIER + this.increment & UINT128;
  }

  /** 64 random bits, a BigInt. */
  word() {
    this.advance();
    const folded = (this.state >> 64n ^ this.state) & UINT64, turn = this.state >> 122n;
    return (folded >> turn | folded << (64n - turn)) & UINT64;
  }

  /** A number of [0, 1), with 53 random bits. */
  random() {
    return Number(this.word() >> 11n) * 2 ** -53;
  }
}

/** The model's own odds: probabilities of all ids, from scores. */
export function softmax(scores) {
  const largest = scores.reduce((a, b) => Math.max(a, b));
  const odds = Float64Array.from(scores, score => Math.exp(score - largest)), sum = odds.reduce((a, b) => a + b);
  return odds.map(one => one / sum);
}

/**
 * What may be drawn: `ids`, the likeliest first, and how much `cumulative` odds there are up to each, unnormalised.
 * Rounded to float32 where numpy is. `settings`: temperature, top_k, top_p, suppress_tokens.
 */
export function reshape(scores, {temperature, top_k, top_p, suppress_tokens = []}) {
  const allowed = Float32Array.from(scores);
  for (const id of suppress_tokens) allowed[id] = -Infinity;
  if (temperature === 0) return {ids: [allowed.indexOf(allowed.reduce((a, b) => Math.max(a, b)))], cumulative: [1]};
  const ids = Array.from(allowed.keys()).sort((a, b) => allowed[b] - allowed[a] || b - a), cumulative = [];
  let sum = 0;
  for (const id of top_k ? ids.slice(0, top_k) : ids) {
    const score = Math.fround(Math.fround(allowed[id] - allowed[ids[0]]) / Math.fround(temperature));
    cumulative.push(sum += Math.fround(Math.exp(score)));
  }
  const kept = cumulative.findIndex(some => some >= top_p * sum) + 1;
  return {ids: ids.slice(0, kept), cumulative: cumulative.slice(0, kept)};
}

/** One id of what `reshape` has left, by a number of [0, 1). */
export function draw({ids, cumulative}, uniform) {
  const rank = cumulative.findIndex(some => some > uniform * cumulative.at(-1));
  return ids[rank < 0 ? ids.length - 1 : rank];
}
