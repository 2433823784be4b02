// Draws a text, and which passages of it are copies.
import {describe, marked, shareNew} from "./copies.js";

export function mount(element, props, watch) {
  const $ = name => element.querySelector("." + name);
  const show = (name, text) => { $(name).hidden = !text; $(name).textContent = text || ""; };

  const GRAPHEMES = new Intl.Segmenter(undefined, {granularity: "grapheme"});

  function pieces(text, spans) {  // nodes: the copies marked, the rest plain; where two copies overlap, the second begins where the first ends
    const nodes = [], characters = [...text], graphemes = GRAPHEMES.segment(text);
    const whole = place => graphemes.containing(characters.slice(0, place).join("").length)  // the letter there, of which a mark takes all or nothing
      ?? {index: text.length, segment: ""};
    let end = 0;
    for (const [from, to, where] of spans) {
      const {index, segment} = whole(to - 1), after = index + segment.length;
      if (after <= end) continue;
      const mark = document.createElement("mark"), start = Math.max(whole(from).index, end);
      mark.textContent = text.slice(start, after);
      mark.className = end && start === end ? `${where} meets` : where;
      mark.title = props.novelty.items ? "in the training set" : `${to - from} characters copied from the ${where === "book" ? "training text" : where}`;
      nodes.push(text.slice(end, start), mark);
      end = after;
    }
    return [...nodes, text.slice(end)];
  }

  function draw() {
    const {value: text, prompt, note, novelty, remark, link, heading} = props;
    show("heading", heading);
    show("prompt", prompt);
    show("note", note);
    show("remark", remark);
    $("text").replaceChildren(...pieces(text, novelty ? marked(novelty) : []));
    $("count").textContent = text ? `${[...text].length} characters` : "";
    $("verdict").hidden = !novelty;
    if (novelty?.items) {
      $("share").textContent = `${novelty.items - novelty.spans.length} of ${novelty.items} new`;
      $("copies").textContent = novelty.spans.length ? "Marked items stand in the training set." : "";
    } else if (novelty) {
      $("share").textContent = shareNew(novelty);
      $("copies").textContent = describe(novelty, $("text").querySelector(".meets"));
    }
    $("copy").hidden = !text;
    $("link").hidden = !(text && link);
    if (link) $("link").href = link;
  }

  $("copy").addEventListener("click", async () => {
    await navigator.clipboard.writeText(props.prompt + props.value);
    $("copy").textContent = "Copied";
    setTimeout(() => { $("copy").textContent = "Copy"; }, 1500);
  });
  watch(["value", "prompt", "note", "remark", "link", "novelty", "heading"], draw);
  draw();
}
