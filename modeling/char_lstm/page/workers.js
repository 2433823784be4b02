/** A worker of one of our modules: a file beside the page, or a script that stands in the page itself. */
export function startWorker(name) {
  const source = document.getElementById(`${name}.js`);
  return source ? new Worker(URL.createObjectURL(new Blob([source.textContent], {type: "text/javascript"})))
    : new Worker(`${name}.js`, {type: "module"});
}
