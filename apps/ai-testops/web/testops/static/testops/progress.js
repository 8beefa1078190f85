// Keeps the numbers of a run up to date, and loads the page anew once nothing more will change.
"use strict";

(function () {
  const section = document.getElementById("progress");
  const bar = document.getElementById("bar");
  const everyMs = 1000;

  function show(name, value) {
    const place = section.querySelector(`[data-shown="${name}"]`);
    if (place && place.textContent !== String(value)) {
      place.textContent = value;
    }
  }

  async function look() {
    try {
      const response = await fetch(section.dataset.url, { headers: { Accept: "application/json" }, redirect: "error" });
      const run = await response.json();
      if (run.settled) {
        window.location.reload();
        return;
      }
      show("status", run.status);
      for (const [name, value] of Object.entries(run.counts)) {
        show(name, value);
      }
      bar.value = run.counts.done;
    } catch {
      // The network or the server is away for a moment: the next look may see it again.
    }
    window.setTimeout(look, everyMs);
  }

  window.setTimeout(look, everyMs);
})();
