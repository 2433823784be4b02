// What `tokenizer.json` says, in a tab: its normaliser, step by step as the file has it, and its alphabet.

const INVISIBLE = /[\xad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff]/;  // nobody misses these
const WORD = String.raw`[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}]`;
const NAMES = {  // what a regular expression of `tokenizers` calls otherwise, all white space and letters included
  "\\s": "\\p{White_Space}", "\\S": "\\P{White_Space}", "\\z": "$",
  "\\b": `(?:(?<=${WORD})(?!${WORD})|(?<!${WORD})(?=${WORD}))`, ".": "[^\\n]",
};
const QUANTIFIER = /^(?:[*+?]|\{\d+(?:,\d*)?\})/;

/** A regular expression of Oniguruma, the engine of `tokenizers`, as one of JavaScript. */
export function translate(pattern) {
  let at = 0, possessive = 0;

  function escaped() {
    const [whole, code, kind, property] = /^\\(?:x\{(\w+)\}|([pP])\{(\w+)\}|[\s\S])/u.exec(pattern.slice(at));
    at += whole.length;
    if (code) return `\\u{${code}}`;
    if (property) return `\\${kind}{${known(property)}}`;
    return NAMES[whole] ?? whole;
  }

  function characterClass() {  // with its brackets; classes stand inside classes, joined by &&
    let made = pattern[at++];
    if (pattern[at] === "^") made += pattern[at++];
    while (pattern[at] !== "]") {
      if (pattern[at] === "[") made += characterClass();
      else if (pattern[at] === "\\") made += escaped();
      else made += "(){}/|".includes(pattern[at]) ? `\\${pattern[at++]}` : pattern[at++];
    }
    at++;
    return `${made}]`;
  }

  function atom() {
    if (pattern[at] === "[") return characterClass();
    if (pattern[at] === "\\") return escaped();
    if (pattern[at] !== "(") {
      const character = String.fromCodePoint(pattern.codePointAt(at));
      at += character.length;
      return NAMES[character] ?? (/[{}\/\]]/.test(character) ? `\\${character}` : character);
    }
    const [open] = /^\((?:\?(?:<?[=!]|:))?/.exec(pattern.slice(at));
    at += open.length;
    const inside = alternatives();
    at++;
    return `${open === "(" ? "(?:" : open}${inside})`;
  }

  function alternatives() {  // up to the end, or to the bracket that closes
    let made = "";
    while (at < pattern.length && pattern[at] !== ")") {
      const one = atom(), [quantifier = ""] = QUANTIFIER.exec(pattern.slice(at)) ?? [];
      at += quantifier.length;
      if (quantifier && pattern[at] === "+") {  // gives nothing back: what a lookahead has found stays
        at++;
        made += `(?=(?<p${++possessive}>${one}${quantifier}))\\k<p${possessive}>`;
      } else if (quantifier && pattern[at] === "?") {
        at++;
        made += `${one}${quantifier}?`;
      } else made += one + quantifier;
    }
    return made;
  }

  return new RegExp(alternatives(), "gv");
}

function known(property) {  // a script's name stands alone there
  try {
    new RegExp(`\\p{${property}}`, "v");
    return property;
  } catch {
    return `Script=${property}`;
  }
}

const STEPS = {  // makes a function of a text of each step of a normaliser
  Replace: ({pattern, content}) => {
    const found = "Regex" in pattern ? translate(pattern.Regex) : pattern.String;
    return text => text.replaceAll(found, () => content);
  },
  Lowercase: () => text => Array.from(text, character => character.toLowerCase()).join(""),
  StripAccents: () => text => text.replace(/\p{M}/gu, ""),
  ...Object.fromEntries(["NFC", "NFD", "NFKC", "NFKD"].map(form => [form, () => text => text.normalize(form)])),
};

const partsOf = normalizer => normalizer?.normalizers ?? [normalizer].filter(Boolean);

/** What a normaliser, as tokenizer.json has it, makes of a text. */
export function normaliserOf(normalizer) {
  const steps = partsOf(normalizer).map(step => STEPS[step.type](step));
  return text => steps.reduce((some, step) => step(some), text);
}

/** One of our tokenizers of characters. `json` is tokenizer.json's content. */
export class CharacterTokenizer {
  constructor(json) {
    this.normalisePiece = normaliserOf(json.normalizer);
    this.accentsAreStripped = partsOf(json.normalizer).some(step => step.type === "StripAccents");
    this.ids = new Map(Object.entries(json.model.vocab));
    for (const {content, id} of json.added_tokens) this.ids.set(content, id);
    this.tokens = [];
    for (const [token, id] of this.ids) this.tokens[id] = token;
    this.special = json.added_tokens.filter(token => !token.normalized).map(token => token.content).sort((a, b) => b.length - a.length);
    const before = json.post_processor?.single ?? [], from = before.findIndex(part => part.Sequence);
    this.first = before.slice(0, Math.max(from, 0)).flatMap(part => json.post_processor.special_tokens[part.SpecialToken.id].ids);
    this.endOfItem = this.ids.has("\ufdd0") ? "\ufdd0" : "";
  }

  /** The text's pieces, and between them the special tokens in it, which are read first. */
  split(text) {
    text = text.toWellFormed().replaceAll(/[\uffff\ufdd0]/g, "\ufffd");
    const pieces = [""];
    for (let at = 0; at < text.length;) {
      const token = this.special.find(one => text.startsWith(one, at));
      if (token) pieces.push(token, "");
      else pieces[pieces.length - 1] += text[at];
      at += token?.length ?? 1;
    }
    return pieces;
  }

  /** A text as the model reads it. */
  normalise(text) {
    return this.split(text).map((piece, index) => index % 2 ? piece : this.normalisePiece(piece)).join("");
  }

  /** The characters of a text, each once, that are lost because the alphabet lacks them. */
  lost(text) {
    const pieces = this.split(text).filter((_, index) => index % 2 === 0);
    const characters = [...new Set(pieces.join("\n").normalize("NFC"))].sort((a, b) => a.codePointAt() - b.codePointAt());
    return characters.filter(character => !INVISIBLE.test(character)
      && !(this.accentsAreStripped && /\p{M}/u.test(character)) && this.normalisePiece(character) === "");
  }

  /** The ids of a normalised text; as a prompt's, what the tokenizer puts before it comes first. */
  encode(text, {prompt = false} = {}) {
    const ids = prompt ? [...this.first] : [];
    for (let at = 0; at < text.length;) {
      const token = this.special.find(one => text.startsWith(one, at)) ?? String.fromCodePoint(text.codePointAt(at));
      ids.push(this.ids.get(token));
      at += token.length;
    }
    return ids;
  }
}
