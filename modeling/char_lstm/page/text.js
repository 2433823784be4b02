// A text that is looked into: as it is written, then as letters, with the record of its reading once `props.record` has come.
import {mount as mountInspector} from "./inspector.js";
import {isUnwritten, make} from "./words.js";

export function mount(element, props, watch) {
  const $ = name => element.querySelector("." + name);
  const shown = {value: null, rest: "", holds: false};
  let look = () => {};
  mountInspector(element, shown, (name, then) => { look = then; });
  const note = make("p", {className: "quiet note"}), said = make("span", {className: "said", role: "status"});
  const copy = make("button", {type: "button", className: "copy", onclick: async () => {
    await navigator.clipboard.writeText(props.prompt + props.value);
    copy.textContent = "Copied";
    setTimeout(() => { copy.textContent = "Copy"; }, 1500);
  }}, "Copy");
  const link = make("a", {className: "link"}, "Link to this text");
  $("text").before(note);
  $("copies").after(make("p", {className: "after"}, said, copy, link));

  function draw() {
    const {value, prompt, record, novelty} = props, text = prompt + value, read = JSON.parse(record || null);
    shown.value = read && JSON.stringify({...read, novelty});
    shown.rest = read ? Array.from(text).slice(read.chars.filter(char => !isUnwritten(char)).length).join("") : "";
    shown.holds = Boolean(read?.settings);  // of what was only read, nothing can be written anew
    look();
    if (!read) $("text").textContent = text;
    note.textContent = props.note;
    said.textContent = props.said;
    copy.hidden = !value;
    link.hidden = !props.link;
    link.href = props.link;
  }

  watch(["value", "prompt", "record", "novelty", "note", "said", "link"], draw);
  draw();
}
