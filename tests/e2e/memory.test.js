'use strict';
/*
 * When a request ends, nothing of it stays in a responder's memory: neither
 * what was said nor the key. Only root may look.
 */
const { after, before, describe, test } = require('node:test');
const assert = require('node:assert/strict');
const fs = require('node:fs');
const { startStack, eventually } = require('./lib/stack');
const { CHAT, form, rawClient } = require('./lib/calls');

const SECRET = 'canary-of-a-witness';
const root = process.getuid() === 0;

/* Readable, and not the kernel's. */
function regions(pid) {
  return fs.readFileSync(`/proc/${pid}/maps`, 'latin1').split('\n')
    .map((line) => /^(\w+)-(\w+) r\S+ \S+ \S+ \d+ *(.*)$/.exec(line))
    .filter((m) => m && !m[3].startsWith('[v'))
    .map(([, from, to]) => [parseInt(from, 16), parseInt(to, 16)]);
}

/* What stands before each place of 'word' in a process's memory. */
function places(pid, word) {
  const fd = fs.openSync(`/proc/${pid}/mem`, 'r');
  const found = [];

  for (const [from, to] of regions(pid)) {
    const bytes = Buffer.alloc(to - from);
    let n = 0;
    try {
      n = fs.readSync(fd, bytes, 0, bytes.length, from);
    } catch (error) {
      assert.equal(error.code, 'EIO');
    }
    const memory = bytes.subarray(0, n);
    for (let at = memory.indexOf(word); at >= 0; at = memory.indexOf(word, at + 1))
      found.push(memory.toString('latin1', Math.max(0, at - 32), at + 48));
  }
  fs.closeSync(fd);
  return found;
}

/* A sanitizer keeps what was freed, to find its use. */
const sanitized = (pid) =>
  /lib[at]san/.test(fs.readFileSync(`/proc/${pid}/maps`, 'latin1'));

describe('memory of idle responders', { timeout: 60000,
  skip: !root && 'only root may read the memory of a responder' }, () => {
  let gate;
  before(async () => {
    gate = await startStack({ env: { PROCESSES: '1' } });
  });
  after(() => gate?.stop());

  const saying = (more) => ({ json: { model: 'gpt-oss-120b',
    messages: [{ role: 'user', content: `${SECRET} ${'x'.repeat(3000)}` }],
    ...more } });
  const requests = () => [
    [CHAT, saying()],
    [CHAT, saying({ stream: true })],
    [CHAT, saying({ model: SECRET })],
    [CHAT, saying({ model: 'standin/reset-after=2', stream: true })],
    [CHAT, saying({ model: 'standin/status=500' })],
    [CHAT, { body: `{"model":"x",${SECRET}`,
      headers: { 'content-type': 'application/json' } }],
    [`${CHAT}/${SECRET}?${SECRET}`, saying()],
    [`/v1/models/${SECRET}?${SECRET}`, {}],
    ['/v1/audio/transcriptions', form({ model: 'whisper-large-v3' },
      `${SECRET} ${'x'.repeat(300000)}`, `${SECRET}.wav`)],
    ['/v1/models', { key: SECRET }],
    ['/v1/models', { headers: { 'x-api-key': SECRET }, auth: false }],
  ];

  test('holds neither what was said nor a key', async (t) => {
    const pids = gate.responders();
    assert.equal(pids.length, 1);
    if (sanitized(pids[0])) return t.skip('a sanitizer keeps what was freed');
    for (let i = 0; i < 5; i++)
      for (const [path, options] of requests())
        await gate.request(path, options);
    await gate.standin.reset();
    const client = await rawClient(gate, saying({ stream: true,
      model: 'standin/delay-head=20000' }).json);
    await gate.standin.wait({ open: 1 });
    client.leave();
    await gate.standin.wait({ aborted: 1 });
    /* A thread wipes its blocks a moment after the last byte went out. */
    await eventually(() => places(pids[0], SECRET).length === 0)
      .catch(() => {}); /* the next lines say what is left */
    assert.deepEqual(places(pids[0], SECRET), []);
    assert.deepEqual(places(pids[0], gate.apiKey), []);
    assert.ok(places(pids[0], 'v1.fcgi').length > 0, 'the search is blind');
  });
});

test('neither the web server nor a responder dumps core', async () => {
  const gate = await startStack({ env: { PROCESSES: '1' } });
  const limit = (pid) => /^Max core file size +(\S+) +(\S+)/m
    .exec(fs.readFileSync(`/proc/${pid}/limits`, 'latin1')).slice(1);

  try {
    for (const pid of [gate.serverPid, ...gate.responders()])
      for (const bytes of limit(pid))
        assert.ok(bytes === '0' || bytes === '1', `${pid}: ${bytes}`);
  } finally {
    await gate.stop();
  }
});
