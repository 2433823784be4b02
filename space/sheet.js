// Draws a sheet; runs as the body of a function of `element`, `props` and `watch`.
const $ = name => element.querySelector("." + name);
const show = (name, text) => { $(name).hidden = !text; $(name).textContent = text || ""; };

const GRAPHEMES = new Intl.Segmenter(undefined, {granularity: "grapheme"});

function pieces(text, spans) {  // nodes: the copies marked, the rest plain; where two copies overlap, the second begins where the first ends
  const nodes = [], characters = [...text], graphemes = GRAPHEMES.segment(text);
  const whole = place => graphemes.containing(characters.slice(0, place).join("").length)  // the letter there, of which a mark takes all or nothing
    ?? {index: text.length, segment: ""};
  let end = 0;
  for (const [from, to] of spans) {
    const mark = document.createElement("mark");
    const start = Math.max(whole(from).index, end), {index, segment} = whole(to - 1);
    mark.textContent = text.slice(start, index + segment.length);
    mark.title = props.novelty.items ? "in the training set" : `${to - from} characters copied from the book`;
    nodes.push(text.slice(end, start), mark);
    end = index + segment.length;
  }
  return [...nodes, text.slice(end)];
}

function draw() {
  const {value: text, prompt, novelty, link, heading} = props;
  show("heading", heading);
  show("prompt", prompt);
  $("note").hidden = !props.changed;
  $("text").replaceChildren(...pieces(text, novelty?.spans ?? []));
  $("count").textContent = text ? `${[...text].length} characters` : "";
  $("verdict").hidden = !novelty;
  if (novelty?.items) {
    $("share").textContent = `${novelty.items - novelty.spans.length} of ${novelty.items} new`;
    $("copies").textContent = novelty.spans.length ? "Marked items stand in the training set." : "";
  } else if (novelty) {
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
