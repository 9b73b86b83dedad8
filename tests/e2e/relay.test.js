'use strict';
// What passes through the gate on good days: every endpoint, over every kind
// of connection, byte for byte.
const { after, before, describe, test } = require('node:test');
const assert = require('node:assert/strict');
const fastcgi = require('./lib/fastcgi');
const { startStack, events } = require('./lib/stack');
const { notOnCaddy } = require('./lib/servers');
const { CHAT, ENDPOINTS, SAYS, bodyOf, chat, checkError, checkHead, chunks,
  endsWithDone, faulty, form, received, said, sha256 } = require('./lib/calls');

let plain, tls;
before(async () => {
  [plain, tls] = await Promise.all([
    startStack({ env: { MAX_BODY_BYTES: '33554432' } }),
    startStack({ tls: true })]);
});
after(() => Promise.all([plain, tls].map((gate) => gate?.stop())));

describe('endpoints', { timeout: 60000 }, () => {
  const ways = [['HTTP/1.1', () => plain, 1], ['TLS', () => tls, 1],
    ['HTTP/2', () => tls, 2]];

  for (const [way, gate, http] of ways)
    for (const e of ENDPOINTS) {
      test(`${e.name} over ${way}`, async () => {
        const answer = await gate().request(e.path,
          { http, ...e.options(e.model, false) });
        assert.equal(answer.status, 200, answer.text);
        checkHead(answer, 'application/json');
        assert.equal(answer.headers['x-content-type-options'], 'nosniff');
        e.answered(answer.json());
        const [last] = await received(gate());
        assert.deepEqual([last.path, last.query, last.state],
          [e.path, '', 'done']);
      });
      if (e.streamed)
        test(`${e.name} over ${way}, streamed`, async () => {
          const answer = await gate().request(e.path,
            { http, ...e.options(e.model, true) });
          assert.equal(answer.status, 200, answer.text);
          checkHead(answer, 'text/event-stream');
          e.streamed(answer.text);
        });
    }

  test('/v1/messages names its request in Anthropic\'s way too', async () => {
    const { path, options } = ENDPOINTS.find(({ name }) => name === 'messages');
    const { headers } = await plain.request(`${path}?beta=true`,
      options('gpt-oss-120b', false));
    assert.equal(headers['request-id'], headers['x-request-id']);
  });

  test('formats of a transcription pass as they are', async () => {
    const types = { text: /^text\/plain/, srt: /./, vtt: /./,
      verbose_json: /^application\/json/ };
    for (const [format, type] of Object.entries(types)) {
      const answer = await plain.request('/v1/audio/transcriptions',
        form({ model: 'whisper-large-v3', response_format: format }, 'xxxx'));
      assert.equal(answer.status, 200);
      assert.match(answer.headers['content-type'], type);
      assert.match(answer.text, /4 bytes/, format);
    }
  });

  test('no two answers have the same x-request-id', async () => {
    const ids = new Set();
    for (let i = 0; i < 10; i++) {
      const { headers } = await plain.request('/health', { auth: false });
      ids.add(headers['x-request-id']);
    }
    assert.equal(ids.size, 10);
  });
});

/* JSON that a parser would not write again as it stood. */
const ODD = [
  ['64-bit integers', '"seed":9223372036854775807,"min":-9223372036854775808'],
  ['larger ones', '"n1":123456789012345678901234567890'],
  ['numbers', '"temperature":1.0,"top_p":1E0,"x":1e-7,"y":-0.0,"z":1.10'],
  ['escapes', '"x":"\\u0041\\/\\ud83d\\udc14\\u00e4 \\u0000 ä 🐔"'],
  ['a member twice', '"x":1,"x":2,"stop":null,"stop":null'],
  ['order and space', ' \n"zz" :\t1 ,\r\n"aa": [ 1 , 2 ] , "":{} '],
  ['nesting', `"x":${'['.repeat(100)}${']'.repeat(100)}`],
  ['names of other objects', '"x":{"stream":true,"model":"no","stream_options":3}'],
];
const MESSAGES = '"messages":[{"role":"user","content":"a\\"}b"}]';

describe('bodies', { timeout: 60000 }, () => {
  const headers = { 'content-type': 'application/json; charset=utf-8' };
  const send = async (body) => {
    const answer = await plain.request(CHAT, { body, headers });
    assert.equal(answer.status, 200, `${body}\n${answer.text}`);
    return (await received(plain))[0];
  };

  for (const [name, members] of ODD) {
    test(`${name}: every byte arrives`, async () => {
      const body = `{${members},"model":"gpt-oss-120b",${MESSAGES}} \n`;
      const got = await send(body);
      assert.equal(bodyOf(got), body);
      assert.equal(got.body_sha256, sha256(body));
    });

    test(`${name}: in a stream one member comes first`, async () => {
      const body = `{${members},"stream" :true,"model":"gpt-oss-120b",${MESSAGES}}`;
      assert.equal(bodyOf(await send(body)),
        `{"stream_options":{"include_usage":true},${body.slice(1)}`);
    });
  }

  test('stream_options that are there change by the least', async () => {
    const rows = [
      ['{"include_usage":true}', '{"include_usage":true}'],
      ['{"include_usage" : false}', '{"include_usage" : true}'],
      ['{"include_usage":null, "x":1.0}', '{"include_usage":true, "x":1.0}'],
      ['{ }', '{"include_usage":true }'],
      ['{ "x":1E2}', '{"include_usage":true, "x":1E2}'],
      ['null', '{"include_usage":true}'],
    ];
    for (const [from, to] of rows) {
      const body = (options) => '{"stream_options": ' + options +
        ` ,"stream":true,"model":"gpt-oss-120b",${MESSAGES}}`;
      assert.equal(bodyOf(await send(body(from))), body(to));
    }
  });

  test('stream that is not true changes nothing', async () => {
    for (const stream of ['false', 'null']) {
      const body = `{"stream":${stream},"model":"gpt-oss-120b",${MESSAGES}}`;
      assert.equal(bodyOf(await send(body)), body);
    }
  });

  test('a streamed transcription gets one more field, an unary one none', async () => {
    const fields = { model: 'whisper-large-v3', stream: 'true' };
    for (const [given, added] of [[fields, true],
      [{ ...fields, stream_include_usage: 'true' }, false],
      [{ model: 'whisper-large-v3' }, false]]) {
      const options = form(given, '\0\xff--edge');
      await plain.request('/v1/audio/transcriptions', options);
      const [got] = await received(plain);
      if (!added) {
        assert.equal(got.body_sha256, sha256(options.body));
        continue;
      }
      const sent = bodyOf(got);
      const whole = options.body.toString();
      const end = whole.lastIndexOf('\r\n--') + 2;
      assert.ok(sent.startsWith(whole.slice(0, end)));
      assert.ok(sent.endsWith(whole.slice(end)));
      assert.match(sent.slice(end, end - whole.length),
        /^--\S+\r\n[^]*name="stream_include_usage"\r\n\r\ntrue\r\n$/);
    }
  });

  test('30 MB of sound arrive whole, announced or in chunks', async () => {
    const { body, headers: type } = form({ model: 'whisper-large-v3' },
      Buffer.alloc(30e6, 'quack '));
    const hash = sha256(body);
    const parts = function* () {
      for (let i = 0; i < body.length; i += 777777)
        yield body.subarray(i, i + 777777);
    };
    for (const [gate, http, pieces] of [[plain, 1], [plain, 1, 1], [tls, 1],
      [tls, 1, 1], [tls, 2]]) {
      if (pieces && notOnCaddy('chunked')) continue;
      const answer = await gate.request('/v1/audio/transcriptions',
        { http, body: pieces ? parts() : body, headers: type });
      assert.equal(answer.status, 200, answer.text);
      assert.match(answer.json().text, /30000000 bytes/);
      const [got] = await received(gate);
      assert.equal(got.body_sha256, hash);
    }
  });

  test('a chat in chunks', { skip: notOnCaddy('chunked') }, async () => {
    const body = JSON.stringify(chat().json);
    const answer = await plain.request(CHAT, { body: body.match(/.{1,9}/g),
      headers });
    assert.equal(answer.status, 200, answer.text);
    assert.equal(bodyOf((await received(plain))[0]), body);
  });
});

describe('bodies that are refused', { timeout: 30000 }, () => {
  const post = (head, body = '') => `POST ${CHAT} HTTP/1.1\r\nHost: x\r\n` +
    `Authorization: Bearer ${plain.apiKey}\r\n` +
    `Content-Type: application/json\r\n${head}\r\n${body}`;
  /* What the stand-in got meanwhile. */
  const counted = async (act) => {
    const { requests } = await plain.standin.stats();
    const result = await act();
    assert.equal((await plain.standin.stats()).requests, requests,
      'nothing was sent upstream');
    return result;
  };
  /* Past lighttpd. */
  const direct = (variables, body) => fastcgi.call(plain.socketPath,
    { REQUEST_METHOD: 'POST', REQUEST_URI: CHAT, CONTENT_TYPE: 'application/json',
      REMOTE_ADDR: '127.0.0.1', HTTP_X_API_KEY: plain.apiKey, ...variables },
    body);
  const parse = (text) => {
    const [head, body] = text.split('\r\n\r\n');
    const [line, ...fields] = head.split('\r\n');
    return { status: Number(line.split(' ')[1]), text: body,
      json: () => JSON.parse(body),
      headers: Object.fromEntries(fields.map((field) => {
        const at = field.indexOf(':');
        return [field.slice(0, at).toLowerCase(), field.slice(at + 2)];
      })) };
  };

  test('too large: 413, and the answer is not lost', async () => {
    const answer = await counted(() => plain.request(CHAT,
      chat({ junk: 'x'.repeat(33554432) })));
    assert.equal(answer.status, 413, answer.text);
    assert.equal(answer.json().error.code, 'request_too_large');
    assert.match(answer.headers['content-type'], /^application\/json/);
  });

  test('as large as allowed passes', async () => {
    const { json } = chat({ junk: '' });
    json.junk = 'x'.repeat(33554432 - JSON.stringify(json).length);
    assert.equal((await plain.request(CHAT, { json })).status, 200);
    json.junk += 'x';
    const answer = await plain.request(CHAT, { json });
    assert.equal(answer.status, 413);
    assert.equal(answer.json().error.code, 'request_too_large');
  });

  test('cut short: lighttpd drops it, nothing is sent upstream', async () => {
    const body = JSON.stringify(chat().json);
    await counted(async () => {
      const socket = await plain.socket();
      const closed = new Promise((resolve) => socket.once('close', resolve));
      socket.resume();
      socket.end(post(`Content-Length: ${body.length + 1}\r\n`, body));
      await closed;
    });
  });

  test('cut short behind another web server: 400', async () => {
    const body = JSON.stringify(chat().json);
    for (const sent of [body, body.slice(0, 10), '']) {
      const answer = await counted(() => direct({ CONTENT_LENGTH:
        String(body.length + 1) }, sent));
      checkError(answer, 400, 'invalid_request_error', null);
      assert.ok(answer.ended);
    }
  });

  test('no length behind a web server that loses chunks: 411', async () => {
    for (const variables of [{ HTTP_TRANSFER_ENCODING: 'chunked' },
      { CONTENT_LENGTH: '' }, { CONTENT_LENGTH: '-1' }, { CONTENT_LENGTH: '1x' }])
      checkError(await counted(() => direct(variables)), 411,
        'invalid_request_error', null);
  });

  test('without a length: 411, by lighttpd itself',
    { skip: notOnCaddy('own') }, async () => {
    const text = await counted(() => plain.raw(post('Connection: close\r\n')));
    const answer = parse(text);
    assert.equal(answer.status, 411);
    assert.equal(answer.headers['content-type'], 'application/json');
    assert.equal(answer.json().error.type, 'invalid_request_error');
  });

  test('no JSON, no object, no model, another type', async () => {
    const json = 'application/json';
    const rows = [['', json], ['{', json], ['[]', json],
      ['{"model":"a"} x', json], ['{"model":"\ufffd"', json],
      ['{"messages":[]}', json, 'model'], ['{"model":3}', json, 'model'],
      ['{"model":""}', json, 'model'],
      ['{"model":"a","model":"b"}', json, 'model'],
      ['{"model":"a"}', 'text/plain'],
      ['a=b', 'application/x-www-form-urlencoded']];
    for (const [body, type, param = null] of rows) {
      const answer = await counted(() => plain.request(CHAT,
        { method: 'POST', body, headers: { 'content-type': type } }));
      const error = checkError(answer, type === json ? 400 : 415,
        'invalid_request_error', type === json ? null : 'unsupported_media_type');
      assert.equal(error.param, param, body);
    }
  });

  test('forms that are none', async () => {
    const { body, headers } = form({ model: 'whisper-large-v3' }, 'x');
    const rows = [[body.subarray(0, -10), headers],
      ['', headers], [body, { 'content-type': 'multipart/form-data' }]];
    for (const [bytes, fields] of rows) {
      const answer = await counted(() => plain.request('/v1/audio/transcriptions',
        { method: 'POST', body: bytes, headers: fields }));
      checkError(answer, 400, 'invalid_request_error', null);
    }
  });
});

describe('headers', { timeout: 30000 }, () => {
  const telling = { 'x-api-key': 'canary', cookie: 'canary=1',
    'x-forwarded-for': '198.51.100.7', 'x-forwarded-proto': 'https',
    'x-forwarded-host': 'canary', 'x-real-ip': '198.51.100.7',
    forwarded: 'for=198.51.100.7', via: '1.1 canary', 'user-agent': 'canary/1',
    referer: 'http://canary/', origin: 'http://canary', dnt: '1',
    'accept-language': 'de-canary', 'x-stainless-os': 'canary',
    'openai-organization': 'canary', 'x-request-id': 'canary',
    'proxy-authorization': 'canary', te: 'trailers', range: 'bytes=0-1',
    'accept-encoding': 'gzip, deflate', 'x-standin': 'status=500' };
  const names = ({ headers }) => headers.map(([name]) => name.toLowerCase()).sort();

  for (const [way, gate, http] of [['HTTP/1.1', () => plain, 1],
    ['HTTP/2', () => tls, 2]])
    test(`nothing that tells of a person goes on, over ${way}`, async () => {
      const answer = await gate().request(CHAT, { http, ...chat(),
        headers: { ...telling, accept: 'application/json',
          'openai-beta': 'assistants=v2', 'anthropic-version': '2023-06-01',
          'anthropic-beta': 'tools-2024' } });
      assert.equal(answer.status, 200, answer.text);
      const [got] = await received(gate());
      assert.deepEqual(names(got), ['accept', 'anthropic-beta',
        'anthropic-version', 'content-length', 'content-type', 'host',
        'openai-beta']);
      const fields = Object.fromEntries(got.headers.map(([name, value]) =>
        [name.toLowerCase(), value]));
      assert.equal(fields.host, new URL(gate().upstreamUrl).host);
      assert.equal(fields['openai-beta'], 'assistants=v2');
      assert.equal(fields['anthropic-version'], '2023-06-01');
      assert.equal(fields['anthropic-beta'], 'tools-2024');
      assert.doesNotMatch(JSON.stringify(got), /canary|198\.51|pm_/);
    });

  test('Content-Type goes on as it is, boundary and all', async () => {
    const type = 'Multipart/Form-Data;  boundary="a b"; charset=x';
    const body = '--a b\r\nContent-Disposition: form-data; name="model"\r\n\r\n' +
      'whisper-large-v3\r\n--a b--\r\n';
    await plain.request('/v1/audio/transcriptions',
      { body, headers: { 'content-type': type } });
    const [got] = await received(plain);
    assert.equal(got.headers.find(([name]) => /^content-type$/i.test(name))[1],
      type);
  });

  test('of the upstream\'s answer only the useful ones come back', async () => {
    for (const stream of [false, true]) {
      const answer = await plain.request(CHAT, faulty('set-cookie,headers=100',
        { stream }));
      assert.equal(answer.status, 200);
      checkHead(answer, stream ? 'text/event-stream' : 'application/json');
      assert.doesNotMatch(JSON.stringify(answer.headers), /extra|secret/);
    }
  });
});

describe('usage in streams', { timeout: 30000 }, () => {
  const usageOnly = (list) => list.filter((chunk) =>
    chunk.usage && chunk.choices?.length === 0);

  test('chat: the last chunk comes to who asked, and to no one else', async () => {
    for (const path of [CHAT, '/v1/completions'])
      for (const [options, n] of [[undefined, 0], [null, 0], [{}, 0],
        [{ include_usage: false }, 0], [{ include_usage: true }, 1]]) {
        const answer = await plain.request(path, chat({ stream: true,
          prompt: 'hello world', stream_options: options }));
        assert.equal(answer.status, 200, answer.text);
        const list = endsWithDone(answer.text);
        assert.equal(usageOnly(list).length, n, JSON.stringify(options));
        assert.equal(said(list), `${SAYS}hello world`);
        if (n === 1)
          assert.equal(list.at(-2).usage.total_tokens, 14);
      }
  });

  test('usage on every chunk stays where it is', async () => {
    for (const asked of [true, false]) {
      const list = endsWithDone((await plain.request(CHAT, faulty('continuous',
        { stream: true, stream_options: { include_usage: asked } }))).text);
      assert.equal(usageOnly(list).length, asked ? 1 : 0);
      assert.equal(list.filter((chunk) => chunk.usage?.completion_tokens > 0 &&
        chunk.choices.length > 0).length > 5, true);
    }
  });

  test('with CRLF and comments the chunk goes as well', async () => {
    for (const faults of ['crlf', 'comment', 'crlf,comment', 'burst=50'])
      for (const asked of [true, false]) {
        const { text } = await plain.request(CHAT, faulty(faults, { stream: true,
          stream_options: { include_usage: asked } }));
        const list = chunks(text);
        assert.equal(list.at(-1), '[DONE]');
        assert.equal(said(list), `${SAYS}hello world`);
        assert.equal(usageOnly(list).length, asked ? 1 : 0, faults);
      }
  });

  test('streamed transcriptions', async () => {
    for (const asked of ['true', 'false', undefined]) {
      const { text } = await plain.request('/v1/audio/transcriptions', form({
        model: 'whisper-large-v3', stream: 'true',
        ...(asked && { stream_include_usage: asked }) }, 'x'.repeat(100)));
      assert.equal(usageOnly(endsWithDone(text)).length, asked === 'true' ? 1 : 0);
    }
  });

  test('Anthropic\'s events are all passed on', async () => {
    const { text } = await plain.request('/v1/messages', chat({ stream: true,
      max_tokens: 100 }));
    const names = events(text).map(({ event }) => event);
    assert.deepEqual([names[0], ...names.slice(-3)], ['message_start',
      'content_block_stop', 'message_delta', 'message_stop']);
  });
});
