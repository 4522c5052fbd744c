// See page_style.hpp.
#include "page_style.hpp"

namespace plimsoll::cli {

const std::string_view kPageStyle = R"css(
:root { color-scheme: light dark; --page: #ffffff; --ink: #1a1f26; --soft: #4a5563; --line: #c9d0d9; --panel: #f3f5f8; --link: #1d4f91;
  --weights: #2c66a8; --activation: #a03a78; --signal_buffer: #9a6700; --workspace: #6a4bb5; --vision_cache: #0b7a82; --overhead: #667080;
  --kv_cache: #2b7a46; --unused: #dfe4ea; --over: #c2201f; --good: #14532d; --good-back: #dcf5e4; --warn: #6b4200; --warn-back: #fdf0cf;
  --bad: #8f1414; --bad-back: #fde3e1; }
@media screen and (prefers-color-scheme: dark) {
  :root { --page: #14181d; --ink: #e9edf2; --soft: #b3bdc9; --line: #3c4652; --panel: #1e242b; --link: #9cc4f5;
    --weights: #6aa5e8; --activation: #dd83b8; --signal_buffer: #dba93d; --workspace: #ac93ec; --vision_cache: #4cc0c8; --overhead: #98a3b1;
    --kv_cache: #63bd83; --unused: #333c47; --over: #f2645f; --good: #c4f0d2; --good-back: #17402a; --warn: #f8dfa0; --warn-back: #493610;
    --bad: #ffc9c5; --bad-back: #55201f; }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
main { max-width: 62rem; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 0.75rem 0 0.25rem; }
h2 { font-size: 1.15rem; margin: 2rem 0 0.5rem; padding-bottom: 0.2rem; border-bottom: 1px solid var(--line); }
p { margin: 0.25rem 0; }
.soft, figcaption, .formula { color: var(--soft); }
.verdict { padding: 0.6rem 0.9rem; border-radius: 0.4rem; }
.fits { background: var(--good-back); color: var(--good); }
.tight { background: var(--warn-back); color: var(--warn); }
.does_not_fit, .error { background: var(--bad-back); color: var(--bad); }
figure { margin: 0.75rem 0; }
svg { display: block; width: 100%; }
.bar { height: 2.2rem; border: 1px solid var(--line); border-radius: 0.25rem; background: var(--page); }
.bar rect { stroke: var(--page); stroke-width: 1; vector-effect: non-scaling-stroke; }
.chart { max-width: 34rem; height: auto; }
.chart text { fill: var(--soft); font-size: 14px; }
.chart .grid { stroke: var(--line); stroke-width: 1; }
.curve { fill: none; stroke-width: 2.5; }
.weights { fill: var(--weights); background: var(--weights); }
.activation { fill: var(--activation); background: var(--activation); }
.signal_buffer { fill: var(--signal_buffer); background: var(--signal_buffer); }
.workspace { fill: var(--workspace); background: var(--workspace); }
.vision_cache { fill: var(--vision_cache); background: var(--vision_cache); }
.overhead { fill: var(--overhead); background: var(--overhead); }
.kv_cache { fill: var(--kv_cache); background: var(--kv_cache); }
.unused { fill: var(--unused); background: var(--unused); }
.over { fill: var(--over); background: var(--over); }
.outside { fill: var(--page); background: var(--page); }
.c0 { stroke: var(--weights); } .c1 { stroke: var(--activation); stroke-dasharray: 9 4; } .c2 { stroke: var(--kv_cache); stroke-dasharray: 3 3; }
.c3 { stroke: var(--signal_buffer); stroke-dasharray: 12 3 3 3; } .c4 { stroke: var(--vision_cache); stroke-dasharray: 1 4; }
.c5 { stroke: var(--overhead); stroke-dasharray: 16 5; }
circle.c0 { fill: var(--weights); } circle.c1 { fill: var(--activation); } circle.c2 { fill: var(--kv_cache); }
circle.c3 { fill: var(--signal_buffer); } circle.c4 { fill: var(--vision_cache); } circle.c5 { fill: var(--overhead); }
ul.legend { list-style: none; padding: 0; margin: 0.5rem 0; display: flex; flex-wrap: wrap; gap: 0.25rem 1.1rem; }
.swatch { display: inline-block; width: 0.85rem; height: 0.85rem; margin-right: 0.4rem; border: 1px solid var(--soft); border-radius: 0.15rem; vertical-align: -0.1rem; }
.stroke { display: inline-block; width: 2.2rem; height: 0.85rem; margin-right: 0.4rem; vertical-align: -0.1rem; }
.scroll { overflow-x: auto; overflow-wrap: normal; }
.scroll:focus-visible, summary:focus-visible, button:focus-visible, input:focus-visible { outline: 3px solid var(--link); outline-offset: 2px; }
table { border-collapse: collapse; margin: 0.4rem 0; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: 0.2rem 0.9rem 0.2rem 0; vertical-align: top; border-bottom: 1px solid var(--line); }
th { color: var(--soft); font-weight: 600; }
.number { text-align: right; white-space: nowrap; }
.formula { font-size: 0.9rem; overflow-wrap: anywhere; min-width: 12rem; }
dl { display: grid; grid-template-columns: minmax(7rem, max-content) 1fr; gap: 0.2rem 1rem; margin: 0.4rem 0; }
dt { color: var(--soft); } dd { margin: 0; grid-column: 2; }
details { margin: 0.35rem 0; }
details details { margin-left: 0.8rem; }
summary { cursor: pointer; padding: 0.2rem 0; font-weight: 600; }
pre { background: var(--panel); border: 1px solid var(--line); border-radius: 0.35rem; padding: 0.6rem 0.8rem; margin: 0.4rem 0; white-space: pre-wrap; font-size: 0.92rem; }
button, input { font: inherit; color: var(--ink); background: var(--panel); border: 1px solid var(--soft); border-radius: 0.3rem; padding: 0.2rem 0.6rem; }
th button { background: none; border: 0; padding: 0; font-weight: 600; color: var(--link); cursor: pointer; text-decoration: underline; }
footer { margin-top: 2.5rem; color: var(--soft); font-size: 0.9rem; }
@media (max-width: 30rem) { dl { grid-template-columns: 1fr; gap: 0; } dt { margin-top: 0.4rem; } dd { grid-column: 1; } .chart text { font-size: 19px; } }
@media print {
  :root { --page: #ffffff; --ink: #000000; --soft: #333333; --line: #999999; --panel: #ffffff; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  pre + button, label.filter { display: none; }
  th button { color: inherit; text-decoration: none; }
  details::details-content { content-visibility: visible; }
  figure, tr, pre { break-inside: avoid; }
  .scroll { overflow: visible; }
}
)css";
const std::string_view kPageStyleHash = "sha256-pZaDRMWnXISaDPyYBeNFsQWN7uitqHwSRc4x11jsgLM=";

const std::string_view kPageScript = R"js(
"use strict";
for (const pre of document.querySelectorAll("pre.command")) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = "Copy";
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(pre.textContent);
      button.textContent = "Copied";
    } catch (refused) {
      getSelection().selectAllChildren(pre);
      button.textContent = "Selected";
    }
  });
  pre.after(button);
}
for (const table of document.querySelectorAll("table.items")) {
  const body = table.tBodies[0];
  table.querySelectorAll("thead th").forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") !== "descending";
      for (const other of table.querySelectorAll("thead th")) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const value = row => row.cells[column].dataset.bytes === undefined ? row.cells[column].textContent : BigInt(row.cells[column].dataset.bytes);
      const order = (a, b) => value(a) === value(b) ? 0 : value(a) > value(b) ? 1 : -1;
      const rows = [...body.rows].sort((a, b) => down ? order(b, a) : order(a, b));
      body.replaceChildren(...rows);
    });
  });
}
const items = document.getElementById("every-byte");
if (items) {
  const label = document.createElement("label");
  label.className = "filter";
  label.textContent = "Show only items with ";
  const field = document.createElement("input");
  field.type = "search";
  label.append(field);
  items.querySelector("h2").after(label);
  field.addEventListener("input", () => {
    const wanted = field.value.trim().toLowerCase();
    for (const row of items.querySelectorAll("table.items tbody tr")) row.hidden = !row.textContent.toLowerCase().includes(wanted);
    if (wanted) for (const part of items.querySelectorAll("details")) part.open = part.querySelector("tbody tr:not([hidden])") !== null;
  });
}
addEventListener("beforeprint", () => {
  for (const part of document.querySelectorAll("details")) part.open = true;
});
)js";
const std::string_view kPageScriptHash = "sha256-3PGavvmhVDSnHiyb4gdkAdfEwj/kymWNViJBgE6271k=";

} // namespace plimsoll::cli
