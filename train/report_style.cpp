#include "train/report_style.h"

namespace gesso {

const char* const kReportStyle = R"css(
:root {
  color-scheme: light dark;
  --page: #ffffff; --card: #f6f7f9; --ink: #1b1f24; --soft: #59636e; --rule: #d5dae0; --warn: #9a3412;
  --c0: #1b6ca8; --c1: #c8553d; --c2: #3f7d32; --c3: #7a5195; --c4: #9a6700; --c5: #0f766e; --c6: #be185d; --c7: #475569;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #14171b; --card: #1d2127; --ink: #e7eaee; --soft: #a3adb8; --rule: #363d46; --warn: #fdba74;
    --c0: #6cb6f0; --c1: #f08a72; --c2: #7fc66f; --c3: #c4a1de; --c4: #e3b341; --c5: #5eead4; --c6: #f48fb8; --c7: #b6c2cf;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; padding: 1rem; max-width: 1240px; background: var(--page); color: var(--ink);
  font: 15px/1.5 system-ui, "Segoe UI", Roboto, "Helvetica Neue", sans-serif; overflow-wrap: anywhere;
}
h1 { font-size: 1.5rem; line-height: 1.25; margin: 0.2rem 0 0.6rem; }
h2 { font-size: 1.15rem; margin: 2rem 0 0.6rem; }
h3 { font-size: 0.9rem; margin: 0 0 0.2rem; font-weight: 600; }
p { margin: 0.3rem 0; }
.soft { color: var(--soft); }
.warn { color: var(--warn); }
.cards { display: grid; gap: 0.8rem; grid-template-columns: repeat(auto-fill, minmax(min(100%, 330px), 1fr)); }
.wide { display: grid; gap: 0.8rem; grid-template-columns: repeat(auto-fit, minmax(min(100%, 480px), 1fr)); }
.wide > p { grid-column: 1 / -1; }
.card { background: var(--card); border-radius: 6px; padding: 0.7rem 0.8rem; min-width: 0; margin: 0; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: 0.87rem; }
th, td { text-align: left; padding: 0.25rem 0.9rem 0.25rem 0; border-bottom: 1px solid var(--rule); vertical-align: top; }
th { font-weight: 600; overflow-wrap: break-word; }
td { min-width: 5rem; max-width: 32rem; }
.incidents td { min-width: 3rem; }
td.note { min-width: 8rem; color: var(--soft); }
@media (max-width: 640px) {
  .several td.note { display: none; }
  .one, .one tbody { display: block; }
  .one tr { display: flex; flex-wrap: wrap; border-bottom: 1px solid var(--rule); }
  .one th, .one td { flex: 1 1 45%; border: 0; }
  .one td.note { flex-basis: 100%; padding-top: 0; }
}
td.number { font-variant-numeric: tabular-nums; }
code, pre { font: 0.82rem/1.45 ui-monospace, "SFMono-Regular", Menlo, Consolas, monospace; }
pre { background: var(--card); border-radius: 6px; padding: 0.7rem 0.8rem; margin: 0.3rem 0 0.8rem; white-space: pre-wrap; }
img { display: block; max-width: 100%; height: auto; border-radius: 3px; }
summary { cursor: pointer; }
.dot { display: inline-block; width: 0.75em; height: 0.75em; border-radius: 50%; margin-right: 0.4em; }
.legend { display: flex; flex-wrap: wrap; gap: 0.2rem 1.2rem; margin: 0 0 0.6rem; }
.chart { display: block; width: 100%; height: auto; touch-action: pan-y; }
.chart text { font-size: 12px; fill: var(--soft); }
.chart .end { text-anchor: end; }
.chart .middle { text-anchor: middle; }
.chart path { fill: none; }
.rule { stroke: var(--rule); stroke-width: 1; }
.mark { stroke: var(--soft); stroke-width: 1; stroke-dasharray: 3 3; }
.trouble { stroke: var(--warn); }
.cursor { stroke: var(--ink); stroke-width: 0.7; }
.line { stroke-width: 1.7; stroke-linejoin: round; stroke-linecap: round; }
.raw { stroke-width: 1; opacity: 0.3; stroke-linejoin: round; }
.readout { min-height: 1.4em; font-size: 0.8rem; color: var(--soft); font-variant-numeric: tabular-nums; }
.c0 { stroke: var(--c0); } .c1 { stroke: var(--c1); } .c2 { stroke: var(--c2); } .c3 { stroke: var(--c3); }
.c4 { stroke: var(--c4); } .c5 { stroke: var(--c5); } .c6 { stroke: var(--c6); } .c7 { stroke: var(--c7); }
.b0 { background: var(--c0); } .b1 { background: var(--c1); } .b2 { background: var(--c2); } .b3 { background: var(--c3); }
.b4 { background: var(--c4); } .b5 { background: var(--c5); } .b6 { background: var(--c6); } .b7 { background: var(--c7); }
.frames { display: flex; gap: 0.6rem; overflow-x: auto; scroll-snap-type: x mandatory; }
.frames figure { flex: 0 0 100%; margin: 0; scroll-snap-align: start; }
.playing .frames { display: block; overflow: visible; }
.playing .frames figure { display: none; }
.playing .frames figure.shown { display: block; }
.controls { display: none; gap: 0.6rem; align-items: center; margin-top: 0.5rem; }
.playing .controls { display: flex; }
.controls input { flex: 1; min-width: 0; accent-color: var(--c0); }
button { font: inherit; padding: 0.15rem 0.8rem; }
)css";

const char* const kReportScript = R"js(
"use strict";
const short = v => v !== 0 && (Math.abs(v) < 1e-3 || Math.abs(v) >= 1e6) ? v.toExponential(2) : String(+v.toPrecision(4));
for (const svg of document.querySelectorAll(".chart")) {
  const [x0, x1, left, right] = svg.dataset.x.split(" ").map(Number);
  const [y0, y1, bottom, top, log] = svg.dataset.y.split(" ").map(Number);
  const lines = [...svg.querySelectorAll(".line")].map(path => ({
    number: path.getAttribute("class").match(/c(\d+)/)[1],
    points: [...path.getAttribute("d").matchAll(/[ML]([-\d.]+) ([-\d.]+)/g)].map(m => [+m[1], +m[2]]),
  }));
  const out = svg.parentElement.querySelector(".readout"), cursor = svg.querySelector(".cursor");
  const show = event => {
    const box = svg.getBoundingClientRect();
    const at = (event.clientX - box.left) / box.width * svg.viewBox.baseVal.width;
    let x = at, text = [];
    for (const { number, points } of lines) {
      if (!points.length) continue;
      const near = points.reduce((a, b) => Math.abs(b[0] - at) < Math.abs(a[0] - at) ? b : a);
      const share = (near[1] - bottom) / (top - bottom);
      text.push([number, short(log ? y0 * Math.pow(y1 / y0, share) : y0 + (y1 - y0) * share)]);
      if (text.length === 1) x = near[0];
    }
    cursor.setAttribute("d", `M${x} ${top}V${bottom}`);
    const where = svg.dataset.name + " " + Math.round(x0 + (x1 - x0) * (x - left) / (right - left));
    out.replaceChildren(where + ": ");
    for (const [number, value] of text) {
      const dot = document.createElement("span");
      dot.className = "dot b" + number;
      out.append(dot, value + "  ");
    }
  };
  svg.addEventListener("pointermove", show);
  svg.addEventListener("pointerdown", show);
}
for (const film of document.querySelectorAll(".film")) {
  const frames = [...film.querySelectorAll("figure")], slider = film.querySelector("input");
  const button = film.querySelector("button");
  let timer = null, at = frames.length - 1;
  const show = i => {
    at = slider.value = i;
    frames.forEach((frame, k) => frame.classList.toggle("shown", k === i));
  };
  const stop = () => { clearInterval(timer); timer = null; button.textContent = "Play"; };
  film.classList.add("playing");
  show(at);
  slider.addEventListener("input", () => { stop(); show(+slider.value); });
  button.addEventListener("click", () => {
    if (timer) return stop();
    if (at === frames.length - 1) show(0);
    button.textContent = "Pause";
    timer = setInterval(() => {
      show(at + 1);
      if (at === frames.length - 1) stop();
    }, 500);
  });
}
)js";

}  // namespace gesso
