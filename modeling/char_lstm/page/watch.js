// "Watch it learn": a text goes in, a loss curve and a sample every second come out. The training is in learning.js.
import {startWorker} from "./workers.js";

const WIDTH = 600, HEIGHT = 160, SHORTEST = 200, LONGEST = 100000;
const RHYME = `mary had a little lamb\nits fleece was white as snow\nand everywhere that mary went\nthe lamb was sure to go\n
it followed her to school one day\nwhich was against the rule\nit made the children laugh and play\nto see a lamb at school\n`;
const DIGITS = "zero one two three four five six seven eight nine".split(" ");
const TEXTS = {  // to take instead of one's own
  "the text above": () => document.getElementById("text").textContent,
  "a nursery rhyme": () => RHYME,
  "numbers, counted": () => Array.from({length: 400}, (_, n) => Array.from(String(n), digit => DIGITS[digit]).join(" ")).join("\n"),
};

export function mountLearning(element) {
  const $ = name => element.querySelector(`.${name}`);
  let worker, going = false, points = [], learnt = null;

  function draw() {
    const high = Math.max(...points.map(({loss}) => loss), 1), last = Math.max(points.at(-1).steps, 1);
    const line = points.map(({steps, loss}) => `${(WIDTH * steps / last).toFixed(1)},${(HEIGHT * (1 - loss / high)).toFixed(1)}`);
    $("line").setAttribute("points", line.join(" "));
  }

  function hear({data: {steps, loss, sample, letters}}) {
    points.push({steps, loss});
    draw();
    $("sample").textContent = sample;
    $("told").textContent = `After ${steps} steps it is surprised by ${loss.toFixed(2)} nats a character; blind guessing among ${letters} would be ${Math.log(letters).toFixed(2)}.`;
  }

  function set(go) {
    going = go;
    $("go").textContent = go ? "Stop" : learnt === null ? "Learn" : "Go on";
  }

  $("go").addEventListener("click", () => {
    const text = $("own").value.slice(0, LONGEST), message = {go: !going};
    if (!going && text.length < SHORTEST) {
      $("told").textContent = `A text to learn needs ${SHORTEST} characters or more; this one has ${text.length}.`;
      return;
    }
    if (!going && text !== learnt) {
      [points, learnt, message.text] = [[], text, text];
      if (!worker) {
        worker = startWorker("learning");
        worker.onmessage = hear;
      }
    }
    worker.postMessage(message);
    set(!going);
  });
  $("own").addEventListener("input", () => { if (!going) $("go").textContent = $("own").value === learnt ? "Go on" : "Learn"; });
  $("texts").replaceChildren(...Object.entries(TEXTS).map(([name, make]) => {
    const button = Object.assign(document.createElement("button"), {type: "button", textContent: name});
    button.addEventListener("click", () => { $("own").value = make(); $("own").dispatchEvent(new Event("input")); });
    return button;
  }));
}
