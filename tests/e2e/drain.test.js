'use strict';
/*
 * A responder that is told to end: what is under way gets ten seconds, then
 * its clients are told, and the journal has a line for each.
 */
const { test } = require('node:test');
const assert = require('node:assert/strict');
const { startStack, eventually } = require('./lib/stack');
const { journal } = require('./lib/journal');
const { CHAT, chat, chunks, endsWithDone, faulty } = require('./lib/calls');

test('SIGTERM: short requests end well, long ones honestly',
  { timeout: 60000 }, async () => {
    const gate = await startStack({ env: { PROCESSES: '1' } });

    try {
      const ask = (faults, stream) =>
        gate.request(CHAT, faulty(faults, { stream }));
      const short = ask('rate=20,words=40', true);
      const long = ask('rate=5,words=1000', true);
      const silent = ask('stall-after=3', true);
      const waiting = ask('delay-head=60000', false);
      await gate.standin.wait({ open: 4 });
      const [pid] = gate.responders();
      process.kill(pid, 'SIGTERM');
      endsWithDone((await short).text);
      for (const answer of [await long, await silent]) {
        const list = chunks(answer.text);
        assert.equal(list.at(-1).error.code, 'upstream_unreachable');
        assert.ok(!answer.text.includes('[DONE]'));
      }
      assert.equal((await waiting).json().error.type, 'invalid_request_error');
      assert.equal(journal(gate).length, 4);
      /* lighttpd starts another once this one is gone. */
      await eventually(async () =>
        (await gate.request(CHAT, chat())).status === 200);
      assert.ok(!gate.responders().includes(pid));
      assert.equal(journal(gate).filter((line) => line.estimated).length, 3);
    } finally {
      await gate.stop();
    }
  });
