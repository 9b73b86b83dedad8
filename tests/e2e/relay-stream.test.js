'use strict';
// Event streams as they flow: in time, in order, whatever their pieces; and an
// upstream that is scripted byte by byte.
const { after, before, describe, test } = require('node:test');
const assert = require('node:assert/strict');
const { setTimeout: sleep } = require('node:timers/promises');
const { startStack, events } = require('./lib/stack');
const { STREAM, chunk, startUpstream } = require('./lib/upstream');
const { journal } = require('./lib/journal');
const { CHAT, chat, checkError, chunks, endsWithDone, faulty, said } =
  require('./lib/calls');

const env = { PROCESSES: '1', KEEPALIVE_INTERVAL: '1',
  UPSTREAM_IDLE_TIMEOUT: '4', UPSTREAM_FIRST_BYTE_TIMEOUT: '4' };
let plain, tls, scripted, upstream;
before(async () => {
  upstream = await startUpstream();
  [plain, tls, scripted] = await Promise.all([startStack({ env }),
    startStack({ tls: true, env }), startStack({ env, upstream: upstream.url })]);
});
after(async () => {
  await Promise.all([plain, tls, scripted].map((gate) => gate?.stop()));
  await upstream.stop();
});

const streamed = (faults, more) => faulty(faults, { stream: true, ...more });
const WAYS = [['HTTP/1.1', () => plain, 1], ['TLS', () => tls, 1],
  ['HTTP/2', () => tls, 2]];

/* Gaps in ms between events, each of which came in a piece of its own. */
async function arrivals(exchange) {
  const times = [];

  for await (const piece of exchange.body) {
    const n = piece.toString().split('\n\n').length - 1;
    for (let i = 0; i < n; i++) times.push(performance.now());
  }
  return times;
}

describe('time', { timeout: 60000 }, () => {
  for (const [way, gate, http] of WAYS)
    test(`events arrive as they are sent, over ${way}`, async (t) => {
      const EVERY = 20;
      const exchange = gate().open(CHAT, { http,
        ...streamed(`rate=${1000 / EVERY},words=22`) });
      const times = (await arrivals(exchange)).slice(0, 22);
      exchange.close();
      /* Against the schedule: gaps tell of a stall and of what caught up. */
      const late = times.map((time, i) => time - times[0] - i * EVERY)
        .sort((a, b) => a - b);
      const spread = late.map((ms) => ms - late[0]);
      const median = spread[spread.length >> 1], max = spread.at(-1);
      t.diagnostic(`late by ${median.toFixed(1)} ms (median), ` +
        `${max.toFixed(1)} ms (worst of ${spread.length})`);
      /* 40 ms is what Nagle and delayed acknowledgement cost; on a machine
         with much to do single events may come late, but not half of them. */
      assert.ok(median < 20, `${spread.map(Math.round)}`);
      assert.ok(max < 1000, `${spread.map(Math.round)}`);
    });

  test('the head comes when the upstream\'s does', async () => {
    const begun = performance.now();
    const exchange = plain.open(CHAT, streamed('delay-body=700,words=2'));
    const { status } = await exchange.head;
    assert.equal(status, 200);
    assert.ok(performance.now() - begun < 500);
    assert.equal(said(chunks((await exchange.whole()).text)), 'This is');
  });

  test('a large whole answer comes in pieces as well', async () => {
    const exchange = plain.open(CHAT, faulty('huge=100000,slow-body=5,pause=300'));
    const begun = performance.now();
    for await (const piece of exchange.body) {
      assert.ok(piece.length > 0 && performance.now() - begun < 800);
      break;
    }
    exchange.close();
  });
});

describe('pieces', { timeout: 60000 }, () => {
  for (const [way, gate, http] of WAYS) {
    test(`characters cut in two stay whole, over ${way}`, async () => {
      const { body, text } = await gate().request(CHAT, { http,
        ...streamed('split-utf8,pause=1', { messages:
          [{ role: 'user', content: '🐄🐖🐓🐟 für Größe 雞' }] }) });
      assert.ok(Buffer.from(text).equals(body), 'valid UTF-8');
      assert.match(said(endsWithDone(text)), /🐄🐖🐓🐟 für Größe 雞/);
    });

    test(`a line of 256 KiB, over ${way}`, async () => {
      for (const asked of [true, false]) {
        const { text } = await gate().request(CHAT, { http,
          ...streamed('line=262144', { stream_options: { include_usage: asked } }) });
        const longest = text.split('\n').reduce((a, b) =>
          (a.length > b.length ? a : b));
        assert.equal(Buffer.byteLength(longest), 262144);
        assert.equal(endsWithDone(text).filter((one) =>
          one.choices?.length === 0).length, asked ? 1 : 0);
      }
    });

    test(`many events in one write, over ${way}`, async () => {
      const { text } = await gate().request(CHAT, { http,
        ...streamed('words=5000,burst=1000') });
      assert.equal(endsWithDone(text).length, 5000 + 3);
    });
  }

  /* Over HTTP/2 lighttpd would end such an answer tidily. */
  for (const [way, gate, http] of WAYS)
    test(`a broken answer without a length is none, over ${way}`, async () => {
      for (let i = 0; i < 10; i++)
        for (const faults of ['type=text/plain,words=400,close-after=300',
          'type=text/plain,words=400,reset-after=300'])
          checkError(await gate().request(CHAT, { http, ...streamed(faults) }),
            502, 'server_error', 'upstream_unreachable');
      const whole = await gate().request(CHAT,
        { http, ...streamed('type=text/plain,words=2000') });
      assert.equal(whole.status, 200);
      assert.ok(whole.text.length > 300000);
    });

  test('CRLF goes through as it is', async () => {
    const { text } = await plain.request(CHAT, streamed('crlf,words=9'));
    assert.doesNotMatch(text, /[^\r]\n/);
    assert.ok(text.endsWith('data: [DONE]\r\n\r\n'));
    assert.equal(chunks(text).length, 9 + 3);
  });

  test('who reads slowly gets all of it', async () => {
    for (const gate of [plain, tls]) {
      const exchange = gate.open(CHAT, streamed('huge=3000000'));
      let text = '', pieces = 0;
      for await (const piece of exchange.body) {
        text += piece;
        if (++pieces % 8 === 0) await sleep(10);
      }
      assert.equal(said(endsWithDone(text)).length, 3000000);
    }
  });

  /* All streams of a responder share a thread, and this gate has one of them. */
  test('who does not read holds nobody else up', async () => {
    const idle = Array.from({ length: 4 }, () =>
      plain.open(CHAT, streamed('huge=20000000')));

    await Promise.all(idle.map((exchange) => exchange.head));
    /* As long as it takes until nobody reads any more. */
    await sleep(300);
    const begun = performance.now();
    const { text } = await plain.request(CHAT, streamed('rate=50,words=20'));
    assert.equal(endsWithDone(text).length, 20 + 3);
    assert.ok(performance.now() - begun < 3000);
    for (const exchange of idle) exchange.close();
    await plain.standin.wait({ open: 0 });
  });

  test('20 MB of events', async () => {
    const { text } = await plain.request(CHAT, streamed('huge=20000000'));
    assert.equal(said(endsWithDone(text)).length, 20000000);
  });
});

const COMMENT = /^: keep-alive$/m;
const DELTA = (text) =>
  `{"choices":[{"index":0,"delta":{"content":"${text}"}}],"usage":null}`;
const DONE = `${chunk('data: [DONE]\n\n')}0\r\n\r\n`;

describe('keep-alive comments', { timeout: 60000, concurrency: true }, () => {
  const WAYS_SCRIPTED = chat({ stream: true });
  /* Pieces in order, with a silence in between. */
  const played = async (first, second, ms = 1500) => {
    upstream.next(async (socket) => {
      socket.write(STREAM + chunk(first));
      await sleep(ms);
      socket.write(second === undefined ? '' : chunk(second));
      socket.write(DONE);
    });
    return (await scripted.request(CHAT, WAYS_SCRIPTED)).text;
  };

  test('one a second of silence, then the stream goes on', async () => {
    const { text } = await plain.request(CHAT,
      streamed('delay-body=2500,words=2'));
    assert.equal(text.match(/^: keep-alive$/gm).length, 2);
    assert.equal(said(endsWithDone(text)), 'This is');
  });

  test('none where events flow, or where the answer is whole', async () => {
    const [stream, answer] = await Promise.all([
      plain.request(CHAT, streamed('words=4,rate=4')),
      plain.request(CHAT, faulty('delay-body=1500'))]);
    assert.doesNotMatch(stream.text, COMMENT);
    assert.equal(stream.status, 200);
    assert.doesNotMatch(answer.text, COMMENT);
    assert.equal(answer.json().object, 'chat.completion');
  });

  test('none before the upstream\'s head', async () => {
    const answer = await plain.request(CHAT, streamed('delay-head=1500'));
    assert.doesNotMatch(answer.text, COMMENT);
    assert.equal(answer.status, 200);
  });

  test('they do not keep a dead stream alive', async () => {
    const { text } = await plain.request(CHAT, streamed('stall-after=2'));
    assert.equal(JSON.parse(events(text).at(-1).data).error.code,
      'upstream_unreachable');
    assert.ok(text.match(/^: keep-alive$/gm).length >= 3);
  });

  test('never inside a line or an event, but between events', async () => {
    const event = `data: ${DELTA('duck')}`;
    const rows = [
      /* cut in a line; in the end of a line; between the lines of an event */
      [event.slice(0, 9), `${event.slice(9)}\n\n`],
      [event, '\n\n'], [`${event}\n`, '\n'], [`${event}\r`, '\n\r\n'],
      [`${event}\r\n`, '\r\n'], [`${event}\r\n\r`, '\n'],
      [`event: x\n`, `${event}\n\n`], ['d', `${event.slice(1)}\n\n`],
    ];
    const texts = [];
    for (const [first, second] of rows) texts.push(await played(first, second, 1100));
    for (const [i, text] of texts.entries()) {
      const without = [/: keep-alive\n\n/g, /: keep-alive\n/g]
        .map((comment) => text.replace(comment, ''));
      assert.ok(without.includes(`${rows[i].join('')}data: [DONE]\n\n`),
        JSON.stringify(text));
      assert.deepEqual(events(text).map(({ data }) => data),
        [DELTA('duck'), '[DONE]'], JSON.stringify(text));
    }
    /* Between events there is one. */
    const text = await played(`data: ${DELTA('duck')}\n\n`,
      `data: ${DELTA('hen')}\n\n`);
    assert.match(text, COMMENT);
    assert.equal(said(chunks(text)), 'duckhen');
  });
});

describe('odd upstreams', { timeout: 30000 }, () => {
  const request = (more) => scripted.request(CHAT, chat(more));
  const play = (...pieces) => upstream.next((socket) => {
    for (const piece of pieces) socket.write(piece);
  });
  const JSON_HEAD = 'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n';

  test('1xx before the head', async () => {
    play('HTTP/1.1 100 Continue\r\nX-A: b\r\nRetry-After: 9\r\n\r\n',
      'HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n',
      `${JSON_HEAD}Content-Length: 2\r\n\r\n{}`);
    const answer = await request();
    assert.equal(answer.status, 200);
    assert.equal(answer.text, '{}');
    assert.equal(answer.headers['retry-after'], undefined);
  });

  test('an upstream that lingers after [DONE]: the line is written by then', async () => {
    upstream.next(async (socket) => {
      socket.write(STREAM + chunk(`data: ${DELTA('duck')}\n\n`) +
        chunk('data: [DONE]\n\n'));
      await sleep(700);
      socket.write('0\r\n\r\n');
    });
    const n = journal(scripted).length;
    const begun = performance.now();
    const exchange = scripted.open(CHAT, chat({ stream: true }));
    let done;
    for await (const piece of exchange.body)
      if (String(piece).includes('[DONE]')) {
        done = performance.now() - begun;
        assert.equal(journal(scripted).length, n + 1);
      }
    exchange.close();
    assert.ok(done < 600, `${done} ms`);
    assert.equal(journal(scripted).length, n + 1);
  });

  test('an empty answer, and an empty stream', async () => {
    play(`${JSON_HEAD}Content-Length: 0\r\n\r\n`);
    const answer = await request();
    assert.deepEqual([answer.status, answer.text], [200, '']);
    play(`${STREAM}0\r\n\r\n`);
    const stream = await request({ stream: true });
    assert.equal(JSON.parse(events(stream.text).at(-1).data).error.type,
      'server_error');
  });

  test('no HTTP, and broken chunks', async () => {
    upstream.next((socket) => socket.end('SSH-2.0-hen\r\n'));
    checkError(await request(), 502, 'server_error', 'upstream_unreachable');
    play(`${JSON_HEAD}Transfer-Encoding: chunked\r\n\r\nzz\r\n`);
    checkError(await request(), 502, 'server_error', 'upstream_unreachable');
    play(`${STREAM}${chunk(`data: ${DELTA('duck')}\n\n`)}zz\r\n`);
    const { text } = await request({ stream: true });
    assert.equal(JSON.parse(events(text).at(-1).data).error.code,
      'upstream_unreachable');
  });

  test('a huge error text is replaced by ours', async () => {
    for (const n of [500000, 3000000]) {
      const body = `{"error":{"message":"${'x'.repeat(n)}"}}`;
      play('HTTP/1.1 500 Oops\r\nContent-Type: application/json\r\n' +
        `Content-Length: ${body.length}\r\n\r\n${body}`);
      const answer = await request();
      checkError(answer, 500, 'server_error', null);
      assert.ok(answer.text.length < 1000);
    }
  });

  test('an error whose text breaks off keeps its status', async () => {
    upstream.next((socket) => socket.end('HTTP/1.1 429 Slow\r\n' +
      'Content-Length: 100\r\nRetry-After: 3\r\n\r\n{"error":{"mess'));
    const answer = await request();
    checkError(answer, 429, 'requests', 'rate_limit_exceeded');
    assert.equal(answer.headers['retry-after'], '3');
  });

  test('header values that would break ours', async () => {
    play(`HTTP/1.1 200 OK\r\nContent-Type: ${'a'.repeat(300)}\r\n` +
      `Retry-After: ${'9'.repeat(100)}\r\nContent-Length: 2\r\n\r\n{}`);
    const answer = await request();
    assert.equal(answer.text, '{}');
    assert.equal(answer.headers['retry-after'], undefined);
  });

  test('unsupported: a compressed answer is passed on as bytes or refused', async () => {
    play(`${JSON_HEAD}Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}`);
    assert.ok([200, 502].includes((await request()).status));
  });

  test('the model list of an upstream that is gone, and calls to it', async () => {
    await upstream.stop();
    const begun = performance.now();
    for (const stream of [false, true])
      checkError(await request({ stream }), 502, 'server_error',
        'upstream_unreachable');
    checkError(await scripted.request('/v1/models'), 502, 'server_error',
      'upstream_unreachable');
    assert.ok(performance.now() - begun < 2000);
    upstream.stop = () => {};
  });
});
