// What a cell's numbers mean, and how strongly each is tinted.
export const MEANING = {
  state: "the state c, what the cell remembers",
  hidden: "the output h, what the cell shows to the next layer and the next step",
  input: "the input gate i: 1 writes the candidate into the state, 0 leaves it out",
  forget: "the forget gate f: 1 keeps the past state, 0 forgets it",
  candidate: "the candidate, the new content on offer",
  output: "the output gate o: 1 shows the state, 0 hides it",
  reset: "the reset gate r: 1 lets the candidate see the past output, 0 hides it",
  update: "the update gate z: 1 keeps the past output, 0 takes the candidate",
};
export const LABEL = {state: "state c", hidden: "output h", forget: "forget gate", input: "input gate", output: "output gate", reset: "reset gate", update: "update gate"};
export const RULE = {lstm: " c = forget × past c + input × candidate; h = output × tanh(c).", gru: " h = update × past h + (1 − update) × candidate."};
export const SIGNED = {state: true, hidden: true, candidate: true};  // the others are gates in 0..1, tinted around a half

const isUnbounded = (record, quantity) => quantity === "state" && record.cell === "lstm";  // tinted by its tanh, as the cell shows it
export const label = (record, quantity) => quantity === "state" && record.cell !== "lstm" ? "state h" : LABEL[quantity] ?? quantity;
export const tintOf = (record, quantity, value) => !SIGNED[quantity] ? 2 * value - 1 : isUnbounded(record, quantity) ? Math.tanh(value) : value;
export const ends = (record, quantity) => !SIGNED[quantity] ? ["0, closed", "1, open"] : isUnbounded(record, quantity) ? ["−3 or less", "+3 or more"] : ["−1", "+1"];
