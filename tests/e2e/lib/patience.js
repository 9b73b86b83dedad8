'use strict';
/*
 * patience.js - under a sanitizer all takes longer: PATIENCE in the environment
 * multiplies the time limits of tests and of what they wait for. scripts/test
 * has node load this before each file.
 */
const tests = require('node:test');

const PATIENCE = Number(process.env.PATIENCE || 1);

const longer = (option) => (typeof option?.timeout === 'number'
  ? { ...option, timeout: option.timeout * PATIENCE } : option);

if (PATIENCE !== 1)
  for (const name of ['test', 'it', 'describe']) {
    const plain = tests[name];
    tests[name] = Object.assign((...given) => plain(...given.map(longer)),
      plain);
  }

module.exports = { PATIENCE };
