"""Style and script of the benchmark's page. Nothing is loaded from anywhere."""

STYLE = """
:root { --ink: #1b1f24; --soft: #5d6671; --line: #e2e5ea; --paper: #fff; --shade: #f6f7f9; --accent: #d1362f; }
* { box-sizing: border-box; }
body { margin: 0; background: var(--shade); color: var(--ink);
       font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
main { max-width: 1640px; margin: 0 auto; padding: 28px 24px 60px; }
h1 { font-size: 27px; margin: 0 0 6px; letter-spacing: -0.01em; }
h2 { font-size: 18px; margin: 0 0 12px; }
section { background: var(--paper); border: 1px solid var(--line); border-radius: 10px; padding: 20px 22px;
          margin-top: 20px; }
.facts { margin: 0; padding: 0; list-style: none; color: var(--soft); font-size: 13.5px; }
.hint { color: var(--soft); font-size: 13px; margin: -6px 0 12px; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; font-size: 13.5px; }
th, td { text-align: right; padding: 7px 6px; border-bottom: 1px solid var(--line); white-space: nowrap;
         vertical-align: top; }
th { font-weight: 600; font-size: 12.5px; color: var(--soft); border-bottom: 2px solid var(--line);
     vertical-align: bottom; white-space: normal; }
th:first-child, td:first-child, .words td, .words th { text-align: left; }
.words td, .sortable td.budget { white-space: normal; }
.sortable th:first-child, .sortable td:first-child { position: sticky; left: 0; background: var(--paper); }
.sortable th { cursor: pointer; user-select: none; }
.sortable th:hover { color: var(--ink); }
th[aria-sort=ascending]::after { content: " \\25B2"; font-size: 9px; }
th[aria-sort=descending]::after { content: " \\25BC"; font-size: 9px; }
tbody tr:hover td { background: var(--shade); }
td small { display: block; color: var(--soft); font-size: 11px; letter-spacing: -0.01em; }
td.best { font-weight: 700; }
td.best small { font-weight: 400; }
.swatch { display: inline-block; width: 10px; height: 10px; border-radius: 50%; margin-right: 8px; }
.failed { color: var(--accent); font-size: 12px; white-space: normal; display: block; width: 300px; }
.plot { display: block; max-width: 100%; height: auto; margin: 0 auto; }
.notes { color: var(--soft); font-size: 13px; margin: 12px 0 0; padding-left: 18px; }
.quoted { border-left: 4px solid #e69f00; }
.controls { display: flex; flex-wrap: wrap; gap: 8px 26px; align-items: center; margin-bottom: 14px; font-size: 14px; }
.controls label { display: flex; gap: 8px; align-items: center; cursor: pointer; }
.face-row { border-top: 1px solid var(--line); padding: 10px 0 14px; }
.face-name { margin: 0 0 6px; color: var(--soft); font-size: 12px; }
.tiles { display: flex; gap: 8px; overflow-x: auto; }
figure { margin: 0; flex: 0 0 var(--tile, 140px); min-width: 0; }
figcaption { font-size: 12.5px; font-weight: 600; margin-bottom: 3px; white-space: nowrap; overflow: hidden;
             text-overflow: ellipsis; }
.view { position: relative; width: 100%; background-image: var(--img); background-repeat: no-repeat; margin-bottom: 4px;
        image-rendering: pixelated; border-radius: 3px; overflow: hidden; }
.view svg { position: absolute; inset: 0; width: 100%; height: 100%; display: none; }
.view path { stroke: #4dff6a; stroke-width: calc(var(--dot) * 1px); stroke-linecap: round; fill: none; }
.show-landmarks .view svg { display: block; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 4px 18px; margin: 0; font-size: 13.5px; }
dt { font-weight: 600; } dd { margin: 0; color: var(--soft); }
"""

SCRIPT = """
for (const table of document.querySelectorAll('table.sortable')) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, index) => head.addEventListener('click', () => {
    const down = head.getAttribute('aria-sort') !== 'descending';
    heads.forEach(other => other.removeAttribute('aria-sort'));
    head.setAttribute('aria-sort', down ? 'descending' : 'ascending');
    const value = row => row.cells[index].dataset.value;
    const rows = [...table.tBodies[0].rows].sort((a, b) => {
      const x = value(a), y = value(b);
      if (x === '' || y === '') return (x === '') - (y === '');
      const order = head.dataset.words ? x.localeCompare(y) : x - y;
      return down ? -order : order;
    });
    table.tBodies[0].append(...rows);
  }));
}
const gallery = document.getElementById('gallery');
if (gallery) {
  const box = document.getElementById('landmarks'), size = document.getElementById('size');
  const landmarks = () => gallery.classList.toggle('show-landmarks', box.checked);
  const resize = () => gallery.style.setProperty('--tile', size.value + 'px');
  box.addEventListener('change', landmarks);
  size.addEventListener('input', resize);
  const tiles = gallery.querySelector('.tiles');  // at first as large as fits without scrolling
  size.value = Math.min(220, Math.floor(tiles.clientWidth / tiles.children.length) - 8);
  landmarks();
  resize();
}
"""
