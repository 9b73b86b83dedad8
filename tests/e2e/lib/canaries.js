'use strict';
/*
 * canaries.js - requests that carry a canary (see memory.js) wherever a word
 * can be: each a path and the options of gate.request.
 */
const { CHAT, ENDPOINTS, form } = require('./calls');
const memory = require('./memory');

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

module.exports = { chat, everyEnd, everyEndpoint, everyForm, faulty };
