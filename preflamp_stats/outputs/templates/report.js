"use strict";
// Headings of tables become buttons that sort the rows of each group; without scripts the tables stay as they are.
for (const table of document.querySelectorAll("table")) {
  const head = table.tHead.rows[table.tHead.rows.length - 1];
  const key = (row, place) => {
    const cell = row.cells[place].cloneNode(true);
    for (const part of cell.querySelectorAll(".interval, sup, .hidden")) part.remove();
    const text = cell.textContent.trim();
    const digits = text.replace(/\u2212/g, "-").replace(/[,<]/g, "").replace("\u221e", "Infinity");
    const number = digits === "" ? NaN : Number(digits);
    return { text, number, missing: text === "" || text === "\u2013" };
  };
  const compare = (a, b, sign) => {
    if (a.missing || b.missing) return a.missing - b.missing;
    if (!Number.isNaN(a.number) && !Number.isNaN(b.number)) return sign * (a.number - b.number || 0);
    return sign * a.text.localeCompare(b.text, "en", { numeric: true });
  };
  [...head.cells].forEach((heading, place) => {
    if (heading.tagName !== "TH") return; // an empty corner
    const button = document.createElement("button");
    button.type = "button";
    button.append(...heading.childNodes);
    heading.append(button);
    button.addEventListener("click", () => {
      const falling = heading.getAttribute("aria-sort") === "ascending";
      for (const other of head.cells) other.removeAttribute("aria-sort");
      heading.setAttribute("aria-sort", falling ? "descending" : "ascending");
      for (const group of table.tBodies) {
        const rows = [...group.rows].filter((row) => !row.classList.contains("group"));
        const keyed = rows.map((row) => [key(row, place), row]);
        keyed.sort(([a], [b]) => compare(a, b, falling ? -1 : 1));
        group.append(...keyed.map(([, row]) => row));
      }
    });
  });
}
addEventListener("beforeprint", () => {
  for (const folded of document.querySelectorAll("details")) folded.open = true;
});
