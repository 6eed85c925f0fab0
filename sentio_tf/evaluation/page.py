"""How the page of `report` looks and what it does by itself: one style sheet, one script, no other file."""

from __future__ import annotations

STYLE = """
*{box-sizing:border-box}
html{scroll-padding-top:4rem;-webkit-text-size-adjust:100%}
body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,
"Helvetica Neue",sans-serif;overflow-wrap:anywhere}
main,footer,.masthead>div{max-width:1100px;margin:0 auto;padding:0 20px}
a{color:inherit;text-underline-offset:3px}
:focus-visible{outline:2px solid var(--valence);outline-offset:2px;border-radius:3px}
.skip{position:absolute;left:-999px}
.skip:focus{left:8px;top:8px;z-index:3;background:var(--paper);padding:4px 10px}
.masthead{position:sticky;top:0;z-index:2;background:var(--paper);border-bottom:1px solid var(--grid)}
.masthead>div{display:flex;align-items:center;gap:12px}
nav{display:flex;gap:2px;overflow-x:auto;flex:1;scrollbar-width:none;margin-left:-10px}
nav a{padding:12px 10px;text-decoration:none;color:var(--muted);font-size:14px;white-space:nowrap}
nav a:hover,nav a[aria-current]{color:var(--ink)}
nav a[aria-current]{box-shadow:inset 0 -2px var(--ink)}
h1,.lead{font-family:ui-serif,Charter,"Iowan Old Style",Georgia,Cambria,"Times New Roman",serif;font-weight:400}
h1{font-size:clamp(2rem,6vw,3.1rem);line-height:1.12;margin:.1em 0 .4em;letter-spacing:-.01em}
.lead{font-size:clamp(1.15rem,2.6vw,1.45rem);line-height:1.45;max-width:46rem;margin:0 0 1.2rem}
.lead strong{font-weight:600;white-space:nowrap}
.lead .quiet{font-size:.82em;white-space:nowrap}
.over{color:var(--muted);font-size:14px;margin:2.6rem 0 0}
h2{font-size:1.45rem;line-height:1.25;margin:0 0 .5rem;letter-spacing:-.01em}
h3{font-size:1.02rem;margin:1.8rem 0 .6rem}
h4{font-size:.9rem;font-weight:500;color:var(--muted);margin:1.2rem 0 .4rem}
section{padding:2.2rem 0;border-bottom:1px solid var(--grid)}
#top{padding-top:0}
section:last-of-type{border:0}
.say{max-width:46rem;color:var(--muted);margin:0 0 1.2rem}
.note{font-size:13.5px;color:var(--muted);margin:.4rem 0 0}
.quiet{color:var(--muted);font-weight:400}
.n{display:block;font-size:12px;line-height:1.3}
.chips{list-style:none;display:flex;flex-wrap:wrap;gap:8px;margin:0 0 1rem;padding:0}
.chips li{background:var(--raised);border:1px solid var(--grid);border-radius:99px;padding:3px 12px;font-size:13.5px}
code,pre{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;font-size:.92em}
.warning{border-left:4px solid var(--arousal);background:var(--raised);padding:12px 18px;margin:0 0 1rem;
max-width:46rem}
.warning ul{margin:.3rem 0 0;padding-left:1.1rem}
summary{cursor:pointer;color:var(--muted);font-size:14.5px;padding:4px 0}
summary:hover{color:var(--ink)}
.legend p{max-width:46rem;margin:.4rem 0}
.grid{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,420px),1fr));gap:36px 44px;align-items:start}
.grid.alone{grid-template-columns:minmax(0,640px)}
.grid.alone svg.chart{max-width:640px}
figure{margin:0;min-width:0}
figure svg+svg{margin-top:10px}
figcaption{font-weight:600;font-size:14.5px;margin-bottom:8px}
table{border-collapse:collapse;overflow-wrap:break-word;font-variant-numeric:tabular-nums;font-size:14.5px}
th{text-align:left;font-weight:500;vertical-align:top}
td{vertical-align:top}
thead th,thead td{color:var(--muted);font-size:12.5px;font-weight:400;vertical-align:bottom;padding:4px 10px 6px 0}
tbody th,tbody td{padding:7px 14px 7px 0;border-top:1px solid var(--grid)}
.scroll{overflow-x:auto}
.num{white-space:nowrap}
.sr{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}
.swatch{display:inline-block;width:9px;height:9px;border-radius:50%;background:var(--axis);margin-right:7px}
.mark-constant{display:inline-block;width:2px;height:13px;background:var(--ink);vertical-align:-2px;margin:0 4px}
.mark-ceiling{display:inline-block;width:8px;height:8px;border:1.5px solid var(--ink);transform:rotate(45deg);
margin:0 5px 0 4px}
.mark-hit{display:inline-block;width:8px;height:8px;border-radius:50%;background:var(--ink);margin:0 2px}
.mark-miss{color:var(--other);font-weight:700}
.forest{width:100%;table-layout:fixed}
.forest .plot{padding-left:14px;padding-right:24px}
.forest th:first-child{width:20%}
.forest .axis,.forest thead th:nth-child(2){width:11%}
.forest .bound,.forest thead th.bound{width:9%;white-space:nowrap}
.forest th.bound:last-child,.forest td.bound:last-child{width:12%}
.forest .value,.forest thead th.value{width:19%;white-space:nowrap}
.forest .line{display:block;line-height:22px}
.forest.key tr:not(:first-child)>*{border-top:0}
.small-n th,.small-n td{color:var(--muted)}
.flag{font-size:11.5px;border:1px solid var(--faint);border-radius:99px;padding:0 7px;color:var(--muted)}
.confusion{width:100%;table-layout:fixed;text-align:right}
.confusion th:first-child{width:36%}
.confusion thead th{text-align:right}
.confusion thead th:first-child{text-align:left}
.confusion tbody td{background:rgba(var(--heat),var(--p));padding:7px 8px;border:1px solid var(--paper)}
.confusion tbody td .quiet{color:inherit}
.all td,.all th{white-space:nowrap}
details .scroll{margin-top:8px}
.worst{min-width:700px}
.worst tbody td,.worst tbody th{vertical-align:middle;padding-top:3px;padding-bottom:3px}
.clamp{display:-webkit-box;-webkit-line-clamp:3;-webkit-box-orient:vertical;overflow:hidden;
max-width:22rem;min-width:6rem}
td .clamp{max-width:11rem;min-width:0}
th button{font:inherit;color:inherit;background:none;border:0;padding:0;cursor:pointer}
th[aria-sort=ascending] button::after{content:" ↑"}
th[aria-sort=descending] button::after{content:" ↓"}
.command{position:relative;margin-top:1rem}
.command pre{background:var(--raised);border:1px solid var(--grid);border-radius:8px;margin:0;
padding:14px 84px 14px 16px;white-space:pre-wrap}
.command button{position:absolute;right:10px;top:10px;font:inherit;font-size:13.5px;color:var(--ink);cursor:pointer;
background:var(--paper);border:1px solid var(--faint);border-radius:6px;padding:3px 12px}
.columns{columns:2 380px;column-gap:44px}
.facts{break-inside:avoid-column;padding-top:1px}
.facts table{width:100%;table-layout:fixed;font-size:14px}
.facts tbody th,.facts tbody td{padding-top:4px;padding-bottom:4px}
.facts th{width:36%;color:var(--muted)}
footer{color:var(--muted);font-size:13.5px;padding-top:1.2rem;padding-bottom:3rem}
.filter{position:relative;flex:none}
.filter>div{position:absolute;right:0;top:100%;width:min(310px,calc(100vw - 40px));background:var(--paper);
border:1px solid var(--faint);border-radius:10px;padding:14px 16px;box-shadow:0 8px 28px rgba(0,0,0,.18);font-size:14px}
.filter label{display:flex;white-space:nowrap;justify-content:space-between;gap:10px;align-items:center;
margin-bottom:8px}
.filter select{font:inherit;color:inherit;background:var(--raised);border:1px solid var(--faint);border-radius:6px;
padding:4px 6px;max-width:150px}
.filter p{margin:6px 0 0}
.filter.active summary{color:var(--ink);font-weight:600}
#tip{position:fixed;z-index:4;pointer-events:none;max-width:min(300px,calc(100vw - 16px));background:var(--ink);
color:var(--paper);border-radius:8px;padding:8px 12px;font-size:13px;line-height:1.4}
#tip bdi{font-weight:600;display:block}
[hidden]{display:none!important}
@media screen and (max-width:900px){
.forest,.forest tbody,.forest thead{display:block}
.forest tr{display:grid;grid-template-columns:1fr auto;column-gap:12px;padding:8px 0;border-top:1px solid var(--grid)}
.forest thead tr,.forest.key tr:not(:first-child){border-top:0}
.forest thead tr{padding:0}
.forest thead th{position:absolute;overflow:hidden;clip-path:inset(50%)}
.forest tbody th,.forest tbody td,.forest thead td{border:0;padding:0;width:auto!important}
.forest .plot{grid-column:1/-1;order:3;padding:2px 10px!important}
.forest .bound{order:4;color:var(--muted);font-size:12.5px}
.forest .bound::before{content:attr(data-name) " "}
.worst th .clamp{max-width:14rem}
.forest tbody th[rowspan]{grid-column:1/-1;display:flex;gap:10px;align-items:baseline;padding-bottom:4px}
section{padding:1.8rem 0}
}
@media print{
.masthead,.skip,button,#tip{display:none!important}
body{font-size:11pt}
main{max-width:none}
section{padding:1rem 0}
figure,tr,.warning{break-inside:avoid}
h2,h3,h4,.say{break-after:avoid}
.scroll{overflow:visible}
table{font-size:9pt}
.forest:not(.key) .value,.forest:not(.key) thead th.value{width:26%}
.forest .axis,.forest thead th:nth-child(2){width:13%;white-space:nowrap}
.all{font-size:7pt;overflow-wrap:anywhere}
.all .n{font-size:6.5pt}
.all th,.all td{padding-right:5px!important;white-space:normal}
.worst{min-width:0}
.worst th .clamp{max-width:14rem}
.grid{grid-template-columns:repeat(2,1fr)}
*{print-color-adjust:exact;-webkit-print-color-adjust:exact}
}
"""

SCRIPT = r"""
(() => {
'use strict';
const all = (selector, root = document) => [...root.querySelectorAll(selector)];
const data = JSON.parse(document.getElementById('songs-data').textContent);
const tip = document.getElementById('tip');
const chosen = {corpus: '', fold: '', quadrant: ''};
const quadrant = (v, a) => a > 0 ? (v > 0 ? 'Q1' : 'Q2') : (v > 0 ? 'Q4' : 'Q3');
const sign = x => (x < 0 ? '−' : '') + Math.abs(x).toFixed(2);

// Charts of songs: places are read from the marks when first needed.
const charts = all('svg[data-songs]').map(svg => ({svg, songs: data[svg.dataset.songs]}));
const ready = chart => {
  if (!chart.groups) {
    chart.groups = all('[data-marks]', chart.svg).map(g => [...g.children]);
    chart.places = chart.groups[chart.groups.length - 1].map(
      mark => mark.getAttribute('d').match(/-?[\d.]+/g).slice(0, 2).map(Number));
    chart.order = chart.places.map((_, i) => i).sort((i, j) => chart.places[i][0] - chart.places[j][0]);
  }
  return chart;
};
const visible = (songs, i) => {
  const [v, a] = songs.points[i];
  return (!chosen.fold || songs.folds[i] === chosen.fold) && (!chosen.quadrant || quadrant(v, a) === chosen.quadrant);
};
let hot = null;
const hide = () => {
  tip.hidden = true;
  if (hot) all('.hot').forEach(mark => mark.classList.remove('hot'));
  hot = null;
};
const show = (chart, i) => {
  if (hot && hot[0] === chart && hot[1] === i) return;
  hide();
  hot = [chart, i];
  const songs = chart.songs, [rv, ra, ev, ea] = songs.points[i];
  const name = document.createElement('bdi');
  name.textContent = songs.names[i].length > 120 ? songs.names[i].slice(0, 119) + '…' : songs.names[i];
  const more = [songs.corpus];
  if (songs.folds[i]) more.push('fold ' + songs.folds[i]);
  if (songs.genres[songs.genre[i]]) more.push(songs.genres[songs.genre[i]]);
  const truth = songs.rated ? `listeners (${sign(rv)}, ${sign(ra)})` : `truly ${quadrant(rv, ra)}`;
  tip.replaceChildren(name, more.join(' · '), document.createElement('br'),
    `${truth} → model (${sign(ev)}, ${sign(ea)})`);
  charts.filter(c => c.songs === songs).forEach(c => ready(c).groups.forEach(g => g[i].classList.add('hot')));
  tip.hidden = false;
  const p = new DOMPoint(...chart.places[i]).matrixTransform(chart.svg.getScreenCTM());
  const box = tip.getBoundingClientRect(), width = document.documentElement.clientWidth;
  tip.style.left = Math.max(8, Math.min(p.x - box.width / 2, width - box.width - 8)) + 'px';
  tip.style.top = (p.y - box.height - 14 > 8 ? p.y - box.height - 14 : p.y + 16) + 'px';
};
const REACH = 16; // units around a song within which the pointer finds it
const find = (chart, event) => {
  const p = new DOMPoint(event.clientX, event.clientY).matrixTransform(chart.svg.getScreenCTM().inverse());
  let best = -1, least = REACH * REACH;
  ready(chart).places.forEach(([x, y], i) => {
    const d = (x - p.x) ** 2 + (y - p.y) ** 2;
    if (d < least && visible(chart.songs, i)) { best = i; least = d; }
  });
  if (best < 0) hide(); else show(chart, best);
};
charts.forEach(chart => {
  const svg = chart.svg;
  svg.tabIndex = 0;
  svg.setAttribute('aria-description', 'Arrow keys go from song to song.');
  svg.addEventListener('pointermove', event => find(chart, event));
  svg.addEventListener('pointerdown', event => find(chart, event));
  svg.addEventListener('pointerleave', event => { if (event.pointerType === 'mouse') hide(); });
  svg.addEventListener('blur', hide);
  svg.addEventListener('keydown', event => {
    const step = {ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1}[event.key];
    if (!step) return;
    event.preventDefault();
    const order = ready(chart).order.filter(i => visible(chart.songs, i));
    const at = hot && hot[0] === chart ? order.indexOf(hot[1]) : step > 0 ? -1 : order.length;
    const next = order[Math.max(0, Math.min(order.length - 1, at + step))];
    if (next !== undefined) show(chart, next);
  });
});
document.addEventListener('keydown', event => { if (event.key === 'Escape') hide(); });
document.addEventListener('scroll', hide, {passive: true});

// Filter
const panel = document.querySelector('.filter');
const apply = () => {
  hide();
  all('[data-corpus]').forEach(e => { e.hidden = chosen.corpus !== '' && e.dataset.corpus !== chosen.corpus; });
  charts.forEach(chart => ready(chart).groups.forEach(group => group.forEach(
    (mark, i) => mark.classList.toggle('off', !visible(chart.songs, i)))));
  all('.worst tbody tr').forEach(row => {
    row.hidden = (chosen.fold && row.dataset.fold !== chosen.fold) ||
      (chosen.quadrant && row.dataset.q !== chosen.quadrant);
  });
  let n = 0;
  Object.entries(data).forEach(([key, songs]) => {
    if (!chosen.corpus || key === chosen.corpus) songs.names.forEach((_, i) => { n += visible(songs, i); });
  });
  const active = Object.values(chosen).some(Boolean);
  panel.classList.toggle('active', active);
  panel.querySelector('summary').textContent = active ? `Filter: ${n}` : 'Filter';
  document.getElementById('shown').textContent = active ? `${n} songs are shown.` : '';
};
if (panel) {
  panel.hidden = false;
  all('select', panel).forEach(select => {
    select.value = '';
    select.addEventListener('change', () => { chosen[select.dataset.filter] = select.value; apply(); });
  });
  document.addEventListener('pointerdown', event => { if (!panel.contains(event.target)) panel.open = false; });
  panel.addEventListener('keydown', event => { if (event.key === 'Escape') panel.open = false; });
}

// Sorting
all('table.sortable').forEach(table => all('th[scope=col]', table).forEach(th => {
  const button = document.createElement('button');
  button.type = 'button';
  button.textContent = th.textContent;
  th.replaceChildren(button);
  button.addEventListener('click', () => {
    const down = th.getAttribute('aria-sort') === 'ascending';
    all('th[scope=col]', table).forEach(other => other.removeAttribute('aria-sort'));
    th.setAttribute('aria-sort', down ? 'descending' : 'ascending');
    const key = row => row.cells[th.cellIndex].dataset.v || row.cells[th.cellIndex].textContent;
    const rows = [...table.tBodies[0].rows].sort(
      (a, b) => key(a).localeCompare(key(b), undefined, {numeric: true}) * (down ? -1 : 1));
    table.tBodies[0].append(...rows);
  });
}));

// Copy
all('button[data-copy]').forEach(button => {
  if (!navigator.clipboard) return;
  button.hidden = false;
  button.addEventListener('click', async () => {
    await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
    button.textContent = 'Copied';
    setTimeout(() => { button.textContent = 'Copy'; }, 1500);
  });
});

// Where one is
const links = new Map(all('nav a').map(a => [a.hash.slice(1), a]));
const watch = new IntersectionObserver(entries => entries.forEach(entry => {
  if (!entry.isIntersecting || window.scrollY < 80) return;
  links.forEach(a => a.removeAttribute('aria-current'));
  const link = links.get(entry.target.id);
  link.setAttribute('aria-current', 'true');
  link.parentElement.scrollLeft = link.offsetLeft - link.parentElement.clientWidth / 2;
}), {rootMargin: '-20% 0px -75% 0px'});
all('main>section').forEach(section => watch.observe(section));
// On a tall screen the first sections are all above the line that is watched.
const top = () => {
  if (window.scrollY >= 80) return;
  links.forEach(a => a.removeAttribute('aria-current'));
  links.values().next().value.setAttribute('aria-current', 'true');
};
document.addEventListener('scroll', top, {passive: true});
top();

window.addEventListener('beforeprint', () => all('main details').forEach(d => { d.open = true; }));
})();
"""
