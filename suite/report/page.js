"use strict";
const filters = [...document.querySelectorAll(".filters select")];
const none = document.getElementById("none");
function applyFilters() {
  let shown = 0;
  for (const section of document.querySelectorAll("section[data-kind]")) {
    const fits = filters.every((select) => {
      const offered = section.dataset[select.name];
      return select.value === "" || offered === undefined || offered === select.value;
    });
    section.hidden = !fits;
    shown += fits ? 1 : 0;
  }
  if (none) none.hidden = shown > 0;
}
filters.forEach((select) => select.addEventListener("change", applyFilters));

function sortBy(button) {
  const head = button.closest("th");
  const table = head.closest("table");
  const column = [...head.parentElement.children].indexOf(head);
  const direction = head.getAttribute("aria-sort") === "descending" ? "ascending" : "descending";
  for (const other of table.querySelectorAll("thead th[aria-sort]")) other.setAttribute("aria-sort", "none");
  head.setAttribute("aria-sort", direction);
  const sign = direction === "ascending" ? 1 : -1;
  const value = (row) => row.children[column].dataset.value ?? row.children[column].textContent;
  const compare = (one, other) => {
    const a = value(one), b = value(other);
    if (a === "" || b === "") return (a === "") - (b === ""); // what is missing comes last
    const x = Number(a), y = Number(b);
    return sign * (Number.isNaN(x) || Number.isNaN(y) ? a.localeCompare(b, "en") : x - y);
  };
  const body = table.tBodies[0];
  [...body.rows].sort(compare).forEach((row) => body.append(row));
}
document.querySelectorAll("thead button").forEach((b) => b.addEventListener("click", () => sortBy(b)));

function openTarget() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!target) return;
  for (let node = target; node; node = node.parentElement) {
    if (node.tagName === "DETAILS") node.open = true;
    node.hidden = false;
  }
  target.scrollIntoView({ block: "start" });
}
addEventListener("hashchange", openTarget);
openTarget();
