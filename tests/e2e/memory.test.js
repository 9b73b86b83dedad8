'use strict';
/*
 * When a request ends, nothing of it stays in a responder's memory: neither
 * what was said nor a key, in no form, however the request ended. Only root
 * may look.
 */
const { after, before, describe, test } = require('node:test');
const assert = require('node:assert/strict');
const fs = require('node:fs');
const { startStack, eventually } = require('./lib/stack');
const { CHAT, ENDPOINTS, form, rawClient } = require('./lib/calls');
const memory = require('./lib/memory');

const root = process.getuid() === 0;
const POST = 'gpt-oss-120b';

/* What the word looks like to all who might keep it. */
const long = (word) => `${word.repeat(300)}`;
const chat = (word, more = {}) => ({ json: { model: POST,
  messages: [{ role: 'user', content: long(word) }], ...more } });
const faulty = (word, fault, more) =>
  chat(word, { model: `standin/${fault}`, ...more });
const raw = (body, type = 'application/json') =>
  ({ body, headers: { 'content-type': type } });

/* Each endpoint, whole and as a stream, with the word wherever it takes text. */
function everyEndpoint(word) {
  const wordy = (value) => (value === 'hello world' ? long(word) : value);
  const put = (options) => (options.json
    ? { ...options, json: JSON.parse(JSON.stringify(options.json,
      (_, value) => wordy(value))) } : options);

  return ENDPOINTS.flatMap(({ path, model, options, streamed }) =>
    [false, true].filter((stream) => !stream || streamed)
      .map((stream) => [path, put(options(model, stream))]))
    .concat([
      ['/v1/audio/transcriptions', form({ model: 'whisper-large-v3',
        prompt: long(word), [word]: word }, long(word), `${word}.wav`)],
      ['/v1/audio/translations', form({ model: word }, long(word))],
      ['/unstructured/general/v0/general', form({ strategy: word },
        long(word), `${word}.txt`)],
      ['/v1/embeddings', { json: { model: 'qwen3-embedding-4b',
        input: [long(word), word] } }],
      ['/v1/audio/transcriptions', form({ model: 'whisper-large-v3' },
        Buffer.alloc(30 << 20, word), `${word}.wav`)],
    ]);
}

function everyForm(word) {
  const say = (content) =>
    raw(`{"model":"${POST}","messages":[{"role":"user","content":"${content}"}]}`);
  const streamed = (content) => raw('{"stream":true,"model":"' + POST +
    `","messages":[{"role":"user","content":"${content}"}]}`);
  const wide = Buffer.from(JSON.stringify({ model: long(word) }), 'utf16le');

  return [
    [CHAT, say(memory.escapedJson(word).repeat(200))],
    [CHAT, streamed(memory.escapedJson(word).repeat(200))],
    [CHAT, say(memory.percent(word).repeat(200))],
    [CHAT, say(Buffer.from(long(word)).toString('base64'))],
    [CHAT, streamed(Buffer.from(long(word)).toString('base64'))],
    [CHAT, raw(wide)],
    [CHAT, raw(wide.swap16())],
    [CHAT, say(word.repeat(200000))],
    ['/v1/audio/transcriptions', form({ model: 'whisper-large-v3' },
      memory.utf16(long(word)))],
    ['/v1/audio/transcriptions',
      raw(`model=${memory.percent(word).repeat(20)}`,
        'application/x-www-form-urlencoded')],
  ];
}

/* Refused at each step; and the upstream refuses, or fails. */
function everyEnd(word, keys) {
  const streams = { stream: true };

  return [
    [CHAT, { ...chat(word), auth: false }],
    [CHAT, { ...chat(word), key: `pm_${word}` }],
    [CHAT, { ...chat(word), key: keys.expired }],
    [CHAT, { ...chat(word), key: keys.disabled }],
    [CHAT, { ...chat(word), key: keys.narrow }],
    [CHAT, { ...chat(word), key: keys.spent }],
    [CHAT, { ...chat(word), key: keys.spent }],
    [CHAT, { ...chat(word), method: 'PUT' }],
    [CHAT, chat(word, { model: word })],
    [CHAT, chat(word, { model: memory.escapedJson(word) })],
    [CHAT, chat(word, { [word]: word, stream: word })],
    [CHAT, chat(word, { model: 7 })],
    [CHAT, raw(`{"model":"x",${long(word)}`)],
    [CHAT, raw(`{"model":"${long(word)}`)],
    [CHAT, raw(`{"${long(word)}":1,"model":"${word}","model":"${word}"}`)],
    [CHAT, raw(long(word), word)],
    [CHAT, raw(long(word).repeat(300))],
    ['/v1/audio/transcriptions', raw(long(word),
      `multipart/form-data; boundary=${word}`)],
    ['/v1/audio/transcriptions', raw(
      `--${word}\r\nContent-Disposition: form-data; name="${long(word)}`,
      `multipart/form-data; boundary=${word}`)],
    [`${CHAT}/${word}?${word}=${word}`, chat(word)],
    [`${CHAT}?${word}`, chat(word)],
    [`/v1/models/${word}?${word}`, {}],
    [`/v1/models/${memory.percent(word)}`, {}],
    [`/v1/${word}`, { json: { [word]: word } }],
    ['/v1/models', { key: word.repeat(30) }],
    ['/v1/models', { headers: { 'x-api-key': word }, auth: false }],
    ['/auth/key-info', { key: word }],
    ['/auth/usage', {}], ['/auth/key-info', {}], ['/health/ready', {}],
    [CHAT, { ...chat(word), headers: { accept: word, 'openai-beta': word,
      'anthropic-version': word, 'anthropic-beta': word, cookie: word,
      origin: `https://${word}`, 'user-agent': word, referer: word,
      'x-forwarded-for': word, [`x-${word}`]: word } }],
    ...['status=400', 'status=401', 'status=429', 'status=500',
      'status=500,error-body=text', 'status=502,error-body=html',
      'status=503,error-body=string', 'reset-after=0', 'reset-after=2',
      'close-after=0', 'close-after=2', 'truncate=1', 'bad-json=1',
      'redirect=1', 'early=1', 'early=2', 'no-length=1', 'slow-body=1',
      'no-usage=1', 'continuous=1', 'split-utf8=1', 'line=20000',
      'huge=300000', 'type=text/plain', 'headers=50', 'set-cookie=1',
      'close-idle=1', 'die-on-reuse=1', 'delay-body=50']
      .flatMap((fault) => [[CHAT, faulty(word, fault)],
        [CHAT, faulty(word, fault, streams)]]),
    ...['error-after=1', 'end-after=1'].map((fault) =>
      [CHAT, faulty(word, fault, streams)]),
  ];
}

describe('memory of idle responders', { timeout: 120000,
  skip: !root && 'only root may read the memory of a responder' }, () => {
  let gate, keys;
  before(async () => {
    gate = await startStack({ env: { PROCESSES: '1', MAX_BODY_BYTES: '40000000',
      UPSTREAM_FIRST_BYTE_TIMEOUT: '20' } });
    const make = (...more) => gate.pmkey('create', '--label', 'a', ...more).key;
    keys = { expired: make('--expires', '1s'), disabled: make(),
      narrow: make('--models', 'standin-chat'), spent: make('--rate-limit', '1') };
  });
  after(() => gate?.stop());

  const pid = () => gate.responders()[0];
  /* Some ends break the connection off: that is one way to end. */
  const ask = async (list) => {
    for (const [path, options] of list)
      await gate.request(path, options).catch(() => {});
  };

  /* A thread wipes its blocks a moment after the last byte went out. */
  async function checkForgotten(word) {
    const secrets = [gate.apiKey, ...Object.values(keys)]
      .map((key) => key.slice(3, 23));
    let left;
    await eventually(() => {
      left = memory.remnants(pid(), word, secrets);
      return left.length === 0;
    }).catch(() => {}); /* the next line says what is left */
    assert.deepEqual(left, []);
  }

  const skipped = (t) => /built with a sanitizer/.test(gate.log()) &&
    (t.skip('a sanitizer keeps what was freed'), true);

  for (const [what, list] of Object.entries({ everyEndpoint, everyForm, everyEnd }))
    test(`holds nothing of ${what}`, async (t) => {
      if (skipped(t)) return;
      const word = memory.newCanary();
      for (let i = 0; i < 2; i++) await ask(list(word, keys));
      await checkForgotten(word);
    });

  test('holds nothing of many at once', async (t) => {
    if (skipped(t)) return;
    const word = memory.newCanary();
    const list = [...everyForm(word), ...everyEnd(word, keys)];
    await Promise.all(Array.from({ length: 6 }, (_, i) =>
      ask([...list.slice(10 * i), ...list.slice(0, 10 * i)])));
    await checkForgotten(word);
  });

  test('holds nothing of those who left, or read slowly', async (t) => {
    if (skipped(t)) return;
    const word = memory.newCanary();
    await gate.standin.reset();
    const waiting = await rawClient(gate,
      faulty(word, 'delay-head=15000').json);
    const reading = await rawClient(gate,
      faulty(word, 'stall-after=5', { stream: true }).json);
    const slow = await rawClient(gate,
      faulty(word, 'huge=4000000', { stream: true }).json);
    slow.socket.pause();
    await gate.standin.wait({ open: 2 });
    /* What is being said is there: so the search sees. */
    await eventually(() => memory.remnants(pid(), word).length > 0);
    for (const client of [waiting, reading, slow]) client.leave();
    await gate.standin.wait({ aborted: 2 });
    await checkForgotten(word);
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
