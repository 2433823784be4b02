// Draws a text, and which passages of it are copies.
import {describe, markedPieces, shareNew} from "./copies.js";

export function mount(element, props, watch) {
  const $ = name => element.querySelector("." + name);
  const show = (name, text) => { $(name).hidden = !text; $(name).textContent = text || ""; };

  function draw() {
    const {value: text, prompt, note, novelty, heading, figures} = props;
    show("heading", heading);
    show("figures", figures);
    show("prompt", prompt);
    show("note", note);
    $("text").replaceChildren(...markedPieces(text, novelty));
    $("count").textContent = text ? `${[...text].length} characters` : "";
    $("verdict").hidden = !novelty;
    if (novelty) {
      $("share").textContent = shareNew(novelty);
      $("copies").textContent = describe(novelty, $("text").querySelector(".meets"));
    }
    $("copy").hidden = !text;
  }

  $("copy").addEventListener("click", async () => {
    await navigator.clipboard.writeText(props.prompt + props.value);
    $("copy").textContent = "Copied";
    setTimeout(() => { $("copy").textContent = "Copy"; }, 1500);
  });
  watch(["value", "prompt", "note", "novelty", "heading", "figures"], draw);
  draw();
}
