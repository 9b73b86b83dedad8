'use strict';
/* numbers.js - medians, their spread, and how they are written. */

const sorted = (list) => [...list].sort((a, b) => a - b);

/* Of what is a number; null when nothing is. */
function median(list) {
  const v = sorted(list.filter(Number.isFinite));

  if (v.length === 0) return null;
  const half = v.length >> 1;
  return v.length % 2 ? v[half] : (v[half - 1] + v[half]) / 2;
}

/* { median, least, most } */
function spread(list) {
  const v = sorted(list.filter(Number.isFinite));

  return v.length === 0 ? null
    : { median: median(v), least: v[0], most: v.at(-1) };
}

/* Of what was measured in the same round, so that a busy moment strikes both. */
function ratio(these, those) {
  return median(these.map((x, i) => x / those[i]));
}

function difference(these, those) {
  return median(these.map((x, i) => x - those[i]));
}

/* Three digits that count, or a dash. */
function show(x) {
  if (x === null || x === undefined || !Number.isFinite(x)) return '-';
  if (Math.abs(x) >= 1000) return Math.round(x).toLocaleString('en');
  if (Math.abs(x) >= 100) return x.toFixed(0);
  if (Math.abs(x) >= 10) return x.toFixed(1);
  return x.toFixed(2);
}

/* "12.3 (11.0-14.1)" */
function showSpread(list) {
  const s = spread(list);

  return s === null ? '-'
    : `${show(s.median)} (${show(s.least)}-${show(s.most)})`;
}

/* A table of Markdown from an array of rows, the head first. */
function table(rows) {
  const [head, ...rest] = rows;

  return [head, head.map(() => '---'), ...rest]
    .map((row) => `| ${row.join(' | ')} |`).join('\n');
}

module.exports = { median, spread, ratio, difference, show, showSpread, table };
