'use strict';
/*
 * memory.js - canaries, and the search for them in a process's memory.
 *
 * A canary is a short random word. Content is that word over and over, so that
 * any remnant of some length holds it whole, wherever it was cut.
 */
const crypto = require('node:crypto');
const fs = require('node:fs');

const LENGTH = 12;

const newCanary = () =>
  `q${crypto.randomBytes(LENGTH).toString('hex').slice(0, LENGTH - 1)}`;

const escapedJson = (word) => [...word].map((c) =>
  `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`).join('');
const percent = (word) => [...word].map((c) =>
  `%${c.charCodeAt(0).toString(16)}`).join('');
const utf16 = (word) => Buffer.from(word, 'utf16le');

/* As base64 of the repeated word shows it at any of the three offsets. */
function base64(word) {
  return [0, 1, 2].map((skip) =>
    Buffer.from(word.repeat(3)).subarray(skip).toString('base64').slice(0, 16));
}

/* All forms that are looked for, by name. */
function forms(word) {
  return { plain: word, 'JSON-escaped': escapedJson(word),
    percent: percent(word), 'UTF-16': utf16(word),
    'UTF-16BE': utf16(word).swap16(), 'base64+0': base64(word)[0],
    'base64+1': base64(word)[1], 'base64+2': base64(word)[2] };
}

/* Writable ones: the others hold what a file does. */
function regions(pid) {
  return fs.readFileSync(`/proc/${pid}/maps`, 'latin1').split('\n')
    .map((line) => /^(\w+)-(\w+) \Sw\S+ \S+ \S+ \d+ *(.*)$/.exec(line))
    .filter((m) => m)
    .map(([, from, to, name]) =>
      ({ from: parseInt(from, 16), to: parseInt(to, 16), name }));
}

const PAGE = 4096;

/* Runs of pages that were ever touched: most of the stacks never were. */
function* touched(pid, { from, to }) {
  const fd = fs.openSync(`/proc/${pid}/pagemap`, 'r');
  const entries = Buffer.alloc((to - from) / PAGE * 8);
  const n = fs.readSync(fd, entries, 0, entries.length, from / PAGE * 8);
  let start = -1;

  fs.closeSync(fd);
  for (let at = 0; at <= n; at += 8) {
    /* Present, or in swap. */
    const is = at < n && (entries[at + 7] & 0xc0) !== 0;
    if (is && start < 0) start = at / 8;
    if (is || start < 0) continue;
    yield { from: from + start * PAGE, length: (at / 8 - start) * PAGE };
    start = -1;
  }
}

/*
 * { form, region, at, text }: each place of the word in any form, and of the
 * keys as they are.
 */
function remnants(pid, word, keys = []) {
  const wanted = [...Object.entries(forms(word)),
    ...keys.map((key) => ['key', key])];
  const fd = fs.openSync(`/proc/${pid}/mem`, 'r');
  const found = [];

  for (const region of regions(pid))
    for (const { from, length } of touched(pid, region)) {
      const bytes = Buffer.alloc(length);
      let n = 0;
      try {
        n = fs.readSync(fd, bytes, 0, length, from);
      } catch (error) {
        if (error.code !== 'EIO') throw error;
      }
      const memory = bytes.subarray(0, n);
      for (const [form, bits] of wanted)
        for (let at = memory.indexOf(bits); at >= 0;
          at = memory.indexOf(bits, at + 1))
          found.push({ form, region: region.name || 'anonymous',
            at: (from + at).toString(16),
            text: memory.toString('latin1', Math.max(0, at - 32), at + 48) });
    }
  fs.closeSync(fd);
  return found;
}

module.exports = { base64, escapedJson, forms, newCanary, percent, remnants, utf16 };
