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
  const cell = event.target.closest("button.cell");
  if (cell) {
    const [summary, results] = traces.cells[cell.dataset.cell];
    const texts = results.map((name) => traces.results[name]);
    dialog.querySelector("pre").textContent = [summary, ...texts].join("\n");
    dialog.showModal();
  }
});

const closed = () => document.querySelectorAll("details:not([open])");
let opened = [];
addEventListener("beforeprint", () => {
  opened = [...closed()];
  for (const own of opened) own.open = true;
});
addEventListener("afterprint", () => {
  for (const own of opened) own.open = false;
});
