// Draws a sheet; runs as the body of a function of `element`, `props` and `watch`.
const $ = name => element.querySelector("." + name);
const show = (name, text) => { $(name).hidden = !text; $(name).textContent = text || ""; };

function pieces(text, spans) {  // nodes: the copies marked, the rest plain; where two copies overlap, the second begins where the first ends
  const nodes = [];
  let end = 0;
  for (const [from, to] of spans) {
    const mark = document.createElement("mark");
    const start = Math.max(from, end);
    mark.textContent = text.slice(start, to);
    mark.title = `${to - from} characters copied from the book`;
    nodes.push(text.slice(end, start), mark);
    end = to;
  }
  return [...nodes, text.slice(end)];
}

function draw() {
  const {value: text, prompt, novelty, link, heading} = props;
  show("heading", heading);
  show("prompt", prompt);
  $("note").hidden = !props.changed;
  $("text").replaceChildren(...pieces(text, novelty?.spans ?? []));
  $("count").textContent = text ? `${text.length} characters` : "";
  $("verdict").hidden = !novelty;
  if (novelty) {
    $("share").textContent = `${Math.round(100 * novelty.share_new)}% new`;
    $("copies").textContent = novelty.spans.length
      ? `Marked passages of ${novelty.shortest} characters or more are copied from the book; the longest has ${novelty.longest_copy}.`
      : `No passage of ${novelty.shortest} characters is copied from the book; the longest that appears there has ${novelty.longest_copy}.`;
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
watch(["value", "prompt", "changed", "link", "novelty", "heading"], draw);
draw();
