// Finds copies, in a worker of its own: in a text, passages of what the model has read; in a list, the items it was trained on.
import {hashItem} from "./hashing.js";
import {readSafetensors} from "./model.js";
import {measureNovelty, readIndex} from "./novelty.js";

let index = null, known = null;

addEventListener("message", ({data: {files, forget, text, items}}) => {
  if (files) {
    const {hashes} = readSafetensors(files[0]);
    if (hashes) known = new Set(hashes); else index = readIndex(files, forget);
  } else if (items && known) postMessage({type: "known", of: {items}, known: items.filter(item => known.has(hashItem(item)))});
  else if (text && index) postMessage({type: "checked", of: {text}, found: measureNovelty(text, index)});
});
