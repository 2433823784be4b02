// `hash_item` of items.py: BLAKE2b (RFC 7693) with 8 bytes, in BigInt.
const UINT64 = (1n << 64n) - 1n, BLOCK = 128, ROUNDS = 12, BYTES = 8n;
const START = [0x6a09e667f3bcc908n, 0xbb67ae8584caa73bn, 0x3c6ef372fe94f82bn, 0xa54ff53a5f1d36f1n, 0x510e527fade682d1n, 0x9b05688c2b3e6c1fn, 0x1f83d9abfb41bd6bn, 0x5be0cd19137e2179n];
const ORDERS = ["0123456789abcdef", "ea489fd61c02b753", "b8c052fdae367194", "7931dcbe265a40f8", "905724afe1bc683d",
  "2c6a0b834d75fe19", "c51fed4a0763928b", "db7ec13950f4862a", "6fe9b308c2d714a5", "a2847615fb9e3cd0"].map(row => Array.from(row, digit => parseInt(digit, 16)));
const MIXED = [[0, 4, 8, 12], [1, 5, 9, 13], [2, 6, 10, 14], [3, 7, 11, 15], [0, 5, 10, 15], [1, 6, 11, 12], [2, 7, 8, 13], [3, 4, 9, 14]];

const turn = (x, bits) => (x >> bits | x << (64n - bits)) & UINT64;

function compress(state, block, read, isLast) {
  const v = [...state, ...START];
  v[12] ^= read;
  if (isLast) v[14] ^= UINT64;
  for (let round = 0; round < ROUNDS; round++) {
    MIXED.forEach(([a, b, c, d], pair) => {
      const [first, second] = [0, 1].map(one => block[ORDERS[round % 10][2 * pair + one]]);
      v[a] = v[a] + v[b] + first & UINT64;
      v[d] = turn(v[d] ^ v[a], 32n);
      v[c] = v[c] + v[d] & UINT64;
      v[b] = turn(v[b] ^ v[c], 24n);
      v[a] = v[a] + v[b] + second & UINT64;
      v[d] = turn(v[d] ^ v[a], 16n);
      v[c] = v[c] + v[d] & UINT64;
      v[b] = turn(v[b] ^ v[c], 63n);
    });
  }
  return state.map((word, index) => word ^ v[index] ^ v[index + 8]);
}

/** 64 bits of an item, a BigInt. */
export function hashItem(item) {
  const bytes = new TextEncoder().encode(item), blocks = Math.max(1, Math.ceil(bytes.length / BLOCK));
  const padded = new Uint8Array(blocks * BLOCK);
  padded.set(bytes);
  let state = [START[0] ^ 0x01010000n ^ BYTES, ...START.slice(1)];
  for (let index = 0; index < blocks; index++) {
    const isLast = index === blocks - 1, view = new DataView(padded.buffer, index * BLOCK, BLOCK);
    const block = Array.from({length: 16}, (_, word) => view.getBigUint64(8 * word, true));
    state = compress(state, block, BigInt(isLast ? bytes.length : (index + 1) * BLOCK), isLast);
  }
  return state[0];
}
