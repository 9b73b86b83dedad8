'use strict';
/*
 * ways.js - the ways in which clients of the soak use the gate. Each knows its
 * share of all clients, how a request of a certain number looks, and what in a
 * whole answer must be of that very request.
 */
const { form, chunks, said } = require('../e2e/lib/calls');
const { events } = require('../e2e/lib/stack');

/* 4 bytes are a token to the stand-in; the mark is short enough for the first. */
const words = (mark, tokens) => mark.padEnd(4 * tokens, '.');
/* Below this a prompt would not hold its mark. */
const FEWEST = 8;

const say = (model, mark, number, more) => ({ model, ...more,
  messages: [{ role: 'user', content: words(mark, number + FEWEST) }] });

const pick = (list) => list[Math.floor(Math.random() * list.length)];
const slow = (least, most) => pick(
  Array.from({ length: 4 }, (_, i) => least + (most - least) * i / 3)).toFixed(0);

/* The text that must be there, and that it all ended. */
function streamed(text, mark) {
  if (!text.endsWith('data: [DONE]\n\n')) return 'no end of the stream';
  if (text.includes('"error"')) return 'an error in the stream';
  return said(chunks(text)).includes(mark) ? '' : 'not its own answer';
}

function named(text, mark) {
  const list = events(text);
  const all = list.map(({ data }) => JSON.parse(data).delta?.text ?? '').join('');

  if (list.at(-1)?.event !== 'message_stop') return 'no end of the stream';
  return all.includes(mark) ? '' : 'not its own answer';
}

const usage = (json, number) => (json.usage.prompt_tokens ??
  json.usage.input_tokens) === number + FEWEST ? '' : 'the use of another';

/* name, share, endpoint, path, make(mark, number), check(text, mark, number) */
const WAYS = [
  { name: 'chat', share: 24, endpoint: 'chat.completions',
    path: '/v1/chat/completions',
    make: (mark, n) => ({ json: say(pick(['gpt-oss-120b',
      `standin/delay-head=${slow(20, 900)}`]), mark, n) }),
    check: (text, mark, n) => {
      const json = JSON.parse(text);
      return json.choices[0].message.content.includes(mark)
        ? usage(json, n) : 'not its own answer';
    } },
  { name: 'stream', share: 28, endpoint: 'chat.completions',
    path: '/v1/chat/completions',
    make: (mark, n) => ({ json: say(
      `standin/rate=${slow(5, 20)}`, mark, n, { stream: true,
        ...(n % 2 && { stream_options: { include_usage: true } }) }) }),
    check: streamed },
  { name: 'messages', share: 12, endpoint: 'messages', path: '/v1/messages',
    make: (mark, n) => ({ json: say('gpt-oss-120b', mark, n,
      { max_tokens: 2000, stream: n % 2 === 1 }),
    headers: { 'anthropic-version': '2023-06-01' } }),
    check: (text, mark, n) => n % 2 === 1 ? named(text, mark)
      : JSON.parse(text).content[0].text.includes(mark)
        ? usage(JSON.parse(text), n) : 'not its own answer' },
  { name: 'embeddings', share: 12, endpoint: 'embeddings',
    path: '/v1/embeddings',
    make: (mark, n) => ({ json: { model: 'qwen3-embedding-4b',
      input: words(mark, n + FEWEST), encoding_format: 'base64' } }),
    check: (text, mark, n) => usage(JSON.parse(text), n) },
  { name: 'audio', share: 8, endpoint: 'audio.transcriptions',
    path: '/v1/audio/transcriptions',
    make: (mark, n) => form({ model: 'whisper-large-v3' },
      Buffer.alloc(n + FEWEST + 60000, mark)),
    check: (text, mark, n) => JSON.parse(text).text
      .includes(`${n + FEWEST + 60000} bytes of audio`)
      ? '' : 'not its own answer' },
];

/* The number by which the journal's line of a request is known. */
const printOf = (way, number) =>
  number + FEWEST + (way.name === 'audio' ? 60000 : 0);

/* One of WAYS, so that 'i' from 0 on gives each its share. */
function wayOf(i) {
  const all = WAYS.reduce((n, { share }) => n + share, 0);
  /* Spread rather than in a row: with few clients each way has some, too. */
  let at = i * 37 % all;

  return WAYS.find(({ share }) => (at -= share) < 0);
}

module.exports = { FEWEST, WAYS, printOf, wayOf, words };
