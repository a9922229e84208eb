// The fixed parts of the report's page: how it looks, and the few lines that draw its charts.
#pragma once

namespace poolwise {

inline constexpr const char* page_style = R"css(
:root { color-scheme: light; --text: #1c2128; --muted: #57606a; --line: #d0d7de; --page: #fff; --raised: #f6f8fa; }
@media screen and (prefers-color-scheme: dark) {
  :root { color-scheme: dark; --text: #e6e8eb; --muted: #9da5ae; --line: #3a414a; --page: #14171b; --raised: #1e2329; }
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
.environment td { overflow-wrap: anywhere; }
.swatch { display: inline-block; width: .75em; height: .75em; border-radius: 2px; margin-right: .5em; }
.chart { height: 480px; margin: .5rem 0; }
.chart text { fill: var(--text) !important; }
.chart .hoverlayer .bg { fill: var(--raised) !important; stroke: var(--line) !important; }
.chart .spikeline { stroke: var(--muted) !important; stroke-width: 1px !important; }
/* The line of equal shares crosses grey bars. */
#classes .shapelayer path { stroke: var(--text) !important; }
/* Above the chart its buttons would cover the legend. */
.chart .modebar-container { top: auto !important; bottom: 28px; }
.toggles label { margin-right: 1.25rem; font-size: .875rem; }
.pictures { display: flex; flex-wrap: wrap; gap: 8px; margin: .5rem 0; }
.pictures figcaption { font-size: .6875rem; line-height: 1.25; color: var(--muted); text-align: center;
  overflow-wrap: anywhere; margin-top: 2px; white-space: pre-line; }
.pictures img { display: block; margin: 0 auto; image-rendering: pixelated; border: 1px solid var(--line); }
.picture-only main { padding: 0; margin: 0; max-width: none; }
.picture-only main > :not(#learning), .picture-only #learning > :not(figure),
.picture-only #learning figure > :not(.chart) { display: none; }
.picture-only .chart .modebar { display: none; }
.picture-only .chart { width: 900px; height: 520px; margin: 0; }
@media (max-width: 700px) { .chart .modebar { display: none; } }
@page { margin: 14mm; }
@media print {
  main { padding: 0; }
  .toggles, .chart .modebar { display: none; }
  h2, h3, h3 + .caption { break-after: avoid; }
  .chart { height: 380px; }
  figure, tr { break-inside: avoid; }
  .swatch, .pictures img { print-color-adjust: exact; }
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
const resize = (width, height) => Object.keys(charts).forEach(id => Plotly.relayout(id, {width, height}));
addEventListener('beforeprint', () => resize(680, 380));
addEventListener('afterprint', () => resize(null, null));
)js";

}  // namespace poolwise
