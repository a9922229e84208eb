// The fixed parts of every page: how it looks, and the few lines that draw its charts.
#pragma once

namespace poolwise {

inline constexpr const char* page_style = R"css(
:root { color-scheme: light; --text: #1c2128; --muted: #57606a; --line: #d0d7de; --page: #fff; --raised: #f6f8fa;
  --good: #00664b; --open: #005c91; --bad: #9c4500; --spent: #0072b2; }
@media screen and (prefers-color-scheme: dark) {
  :root { color-scheme: dark; --text: #e6e8eb; --muted: #9da5ae; --line: #3a414a; --page: #14171b; --raised: #1e2329;
    --good: #3ecfa4; --open: #6cc3f5; --bad: #ff9a5c; --spent: #56b4e9; }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--text); font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 1040px; margin: 0 auto; padding: 24px 20px 40px; }
h1 { font-size: 1.75rem; line-height: 1.25; margin: 0 0 .5rem; overflow-wrap: anywhere; }
h2 { font-size: 1.25rem; margin: 2.5rem 0 .5rem; }
h3 { font-size: 1rem; margin: 1.5rem 0 .25rem; overflow-wrap: anywhere; }
p { margin: .25rem 0 .75rem; max-width: 75ch; }
figure { margin: 0; }
.caption { color: var(--muted); font-size: .875rem; max-width: 110ch; }
.scroll { overflow-x: auto; margin: .5rem 0; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .375rem .75rem; text-align: left; border-bottom: 1px solid var(--line); vertical-align: baseline; }
thead th { font-weight: 600; vertical-align: bottom; }
tbody th { font-weight: 500; }
.summary td, .summary thead th:not(:first-child) { text-align: right; }
.summary td, .summary thead th { white-space: nowrap; }
.summary tbody th { min-width: 12rem; overflow-wrap: anywhere; }
.summary .first { padding-left: 1.5rem; }
.summary .group { text-align: center !important; border-bottom-width: 0; padding-bottom: 0; }
.environment td, .environment th { overflow-wrap: anywhere; }
.environment th { min-width: 7rem; }
.swatch { display: inline-block; width: .75em; height: .75em; border-radius: 2px; margin-right: .5em; }
.chart { height: 480px; margin: .5rem 0; }
.chart text { fill: var(--text) !important; }
/* Plotly draws the signs of points that have a scale of colours in black. */
#map .legendpoints path { stroke: var(--muted) !important; }
#map .legendpoints path:not([style*="fill: none"]) { fill: var(--muted) !important; }
.chart .hoverlayer .bg { fill: var(--raised) !important; stroke: var(--line) !important; }
.chart .spikeline { stroke: var(--muted) !important; stroke-width: 1px !important; }
/* The line of equal shares crosses grey bars. */
#classes .shapelayer path { stroke: var(--text) !important; }
/* Above the chart its buttons would cover the legend. */
.chart .modebar-container { top: auto !important; bottom: 28px; }
.toggles label, .controls label { margin-right: 1.25rem; font-size: .875rem; }
.controls { display: flex; flex-wrap: wrap; gap: .25rem 1.5rem; }
.controls fieldset { border: 0; margin: 0; padding: 0; }
.controls legend { float: left; margin-right: .75rem; font-size: .875rem; color: var(--muted); }
.controls label { display: inline-block; }
.controls select { font: inherit; max-width: 100%; }
details { margin: .5rem 0; }
summary { cursor: pointer; color: var(--muted); font-size: .875rem; }
.figures { font-size: .875rem; }
.figures td, .figures thead th:not(:first-child) { text-align: right; }
.figures tbody th { min-width: 8rem; max-width: 22rem; overflow-wrap: anywhere; }
details .scroll { max-height: 24rem; overflow-y: auto; }
h1.name { font-size: 1rem; font-weight: 600; color: var(--muted); }
.status { font-size: 1.75rem; line-height: 1.25; font-weight: 600; max-width: none; overflow-wrap: anywhere;
  text-wrap: balance; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 18rem), 1fr)); gap: 1rem;
  margin: 1.25rem 0; }
.card { background: var(--raised); border: 1px solid var(--line); border-radius: 8px; padding: 1rem 1.25rem;
  min-width: 0; overflow-wrap: anywhere; }
.card h2 { margin: 0 0 .5rem; font-size: 1.125rem; }
.card h3 { font-size: .875rem; margin: 1rem 0 .25rem; }
.card ul, .card ol { margin: 0; padding-left: 1.25rem; }
.card .targets { list-style: none; padding: 0; }
.card li { margin-bottom: .5rem; }
.card li p { margin: 0; }
.chip { display: inline-block; border: 1px solid currentcolor; border-radius: 999px; padding: 0 .5em; font-size: .75rem;
  font-weight: 600; white-space: nowrap; color: var(--muted); }
.chip.good { color: var(--good); }
.chip.open { color: var(--open); }
.chip.bad { color: var(--bad); }
.bar { display: flex; height: .875rem; border: 1px solid var(--line); border-radius: 4px; overflow: hidden;
  background: var(--page); }
.bar .spent { background: var(--spent); }
.bar .committed { background: repeating-linear-gradient(45deg, var(--spent) 0 3px, transparent 3px 6px); }
nav { display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; font-size: .875rem; }
nav a { color: var(--open); }
:focus-visible { outline: 2px solid var(--open); outline-offset: 2px; }
.multiples { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 20rem), 1fr)); gap: .5rem 1.5rem; }
.multiples > div { min-width: 0; }
.multiples .modebar { display: none; }
.log { font-size: .875rem; }
.log td, .log th { padding: .375rem .5rem; max-width: 18rem; overflow-wrap: break-word; }
.log { min-width: 52rem; }
.pictures { display: flex; flex-wrap: wrap; gap: 8px; margin: .5rem 0; }
.pictures figcaption { font-size: .6875rem; line-height: 1.25; color: var(--muted); text-align: center;
  overflow-wrap: anywhere; margin-top: 2px; white-space: pre-line; }
.pictures img { display: block; margin: 0 auto; image-rendering: pixelated; border: 1px solid var(--line); }
.picture-only main { padding: 0; margin: 0; max-width: none; }
.picture-only main > :not(#learning), .picture-only #learning > :not(figure),
.picture-only #learning figure > :not(.chart) { display: none; }
.picture-only .chart .modebar { display: none; }
.picture-only .chart { width: 900px; height: 520px; margin: 0; }
@media (max-width: 700px) {
  .chart .modebar { display: none; }
  .status { font-size: 1.375rem; }
}
@page { margin: 14mm; }
@media print {
  main { padding: 0; }
  .toggles, .controls, nav, .chart .modebar, details:not([open]) { display: none; }
  h2, h3, h3 + .caption { break-inside: avoid; break-after: avoid; }
  .chart { height: 380px; }
  figure, tr, .card, .multiples > div { break-inside: avoid; }
  .swatch, .bar span, .pictures img { print-color-adjust: exact; }
  .status { font-size: 1.375rem; }
  .cards { grid-template-columns: repeat(auto-fit, minmax(11rem, 1fr)); gap: .5rem; font-size: .8125rem; }
  .card { padding: .625rem .75rem; }
  .log, .environment { font-size: .6875rem; }
  .log { min-width: 0; }
  .log th, .log td { padding: .25rem; }
  .summary { font-size: .75rem; }
  .summary th, .summary td { padding: .25rem .375rem; }
}
)css";

inline constexpr const char* page_script = R"js(
const charts = JSON.parse(document.getElementById('charts').textContent);
// The buttons by name: some versions of Plotly offer another that sends the chart to a server.
const config = {responsive: true, displaylogo: false, modeBarButtons: [['toImage'], ['zoom2d', 'pan2d', 'resetScale2d']]};
document.body.classList.toggle('picture-only', location.hash === '#figure');
for (const [id, chart] of Object.entries(charts))
  Plotly.newPlot(id, chart.data, chart.layout, {...config, toImageButtonOptions: {filename: id, format: 'svg'}});
for (const box of document.querySelectorAll('input[data-toggle]')) {
  const toggle = charts.curves.toggles[box.dataset.toggle];
  box.onchange = () => Plotly.restyle('curves', {opacity: box.checked ? toggle.opacity : 0}, toggle.traces);
}
for (const control of document.querySelectorAll('[data-choice]')) {
  const {chart, choice} = control.dataset;
  control.onchange = () => {
    const {traces, layout} = charts[chart].choices[choice][control.value];
    Plotly.update(chart, traces, layout);
  };
}
// Charts of a height of their own keep it on paper; small ones stand in two columns.
const on_paper = place => ({width: place.closest('.multiples') ? 330 : 680, height: parseInt(place.style.height) || 380});
const resize = size => document.querySelectorAll('.chart').forEach(place => Plotly.relayout(place, size(place)));
addEventListener('beforeprint', () => resize(on_paper));
addEventListener('afterprint', () => resize(() => ({width: null, height: null})));
)js";

}  // namespace poolwise
