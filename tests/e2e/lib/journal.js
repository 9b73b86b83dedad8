'use strict';
/* journal.js - the usage journal of a gate, read line by line. */
const fs = require('node:fs');
const path = require('node:path');

const FIELDS = ['version', 'key', 'model', 'endpoint', 'status', 'prompt',
  'completion', 'cached', 'total', 'audioBytes', 'audioMs', 'ms',
  'firstByteMs', 'estimated', 'end'];
const TEXTS = new Set(['version', 'key', 'model', 'endpoint', 'end']);

function record(line) {
  const values = line.split('\t');

  if (values.length !== FIELDS.length || values[0] !== '1' || values[14] !== '.')
    throw new Error(`not a journal line: ${line}`);
  return Object.fromEntries(FIELDS.map((name, i) =>
    [name, TEXTS.has(name) ? values[i] : Number(values[i])]));
}

/* All records so far, oldest hour first; { key, model, endpoint, ... } each. */
function journal(gate) {
  const dir = path.join(gate.stateDir, 'journal');

  return fs.readdirSync(dir).sort().flatMap((hour) =>
    fs.readFileSync(path.join(dir, hour), 'utf8').split('\n')
      .filter((line) => line !== '').map(record));
}

module.exports = { journal };
