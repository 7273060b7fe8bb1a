"use strict";
const traces = JSON.parse(document.getElementById("traces").textContent);
const dialog = document.getElementById("provenance");

function valueOf(row, index) {
  const cell = row.cells[index];
  const text = (cell.dataset.value ?? cell.textContent).trim();
  const plain = text.replace("−", "-");
  return /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?( ±.*)?$/.test(plain) ? parseFloat(plain) : text;
}

function compare(a, b) {
  if (typeof a === "number" && typeof b === "number") return a - b;
  if (typeof a === "number") return -1;
  if (typeof b === "number") return 1;
  return a.localeCompare(b);
}

document.addEventListener("click", (event) => {
  const sort = event.target.closest("button.sort");
  if (sort) {
    const head = sort.closest("th");
    const table = head.closest("table");
    const down = head.getAttribute("aria-sort") === "ascending";
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const body = table.tBodies[0];
    const rows = [...body.rows];
    const index = head.cellIndex;
    rows.sort((a, b) => (down ? -1 : 1) * compare(valueOf(a, index), valueOf(b, index)));
    body.append(...rows);
    return;
  }
  const toggle = event.target.closest("button.toggle");
  if (toggle) {
    const shown = toggle.getAttribute("aria-pressed") !== "true";
    toggle.setAttribute("aria-pressed", String(shown));
    const group = toggle.dataset.group;
    for (const row of document.querySelectorAll(`.forest li[data-group="${group}"]`)) row.hidden = !shown;
    return;
  }
  const cell = event.target.closest("button.cell");
  if (cell) {
    const [summary, results] = traces.cells[cell.dataset.cell];
    const texts = results.map((name) => traces.results[name]);
    dialog.querySelector("pre").textContent = [summary, ...texts].join("\n");
    dialog.showModal();
  }
});

document.addEventListener("input", (event) => {
  if (!event.target.matches(".filter input")) return;
  const words = event.target.value.toLowerCase().split(/\s+/);
  const table = event.target.closest(".filter").nextElementSibling.querySelector("table");
  for (const row of table.tBodies[0].rows) {
    const text = row.textContent.toLowerCase();
    row.hidden = !words.every((word) => text.includes(word));
  }
});

function openTarget() {
  const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (target instanceof HTMLDetailsElement) target.open = true;
}
addEventListener("hashchange", openTarget);
openTarget();

const closed = () => document.querySelectorAll("details:not([open])");
let opened = [];
addEventListener("beforeprint", () => {
  opened = [...closed()];
  for (const own of opened) own.open = true;
});
addEventListener("afterprint", () => {
  for (const own of opened) own.open = false;
});
