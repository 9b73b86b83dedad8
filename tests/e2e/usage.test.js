'use strict';
// One journal line a request, right, in time, and with nothing in it that a
// client wrote.
const { after, before, describe, test } = require('node:test');
const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { startStack, eventually, events } = require('./lib/stack');
const { journal } = require('./lib/journal');
const { CHAT, ENDPOINTS, chat, chunks, faulty, form, rawClient } =
  require('./lib/calls');

let plain, tls;
before(async () => {
  [plain, tls] = await Promise.all([
    startStack({ env: { UPSTREAM_FIRST_BYTE_TIMEOUT: '1', TRUST_PROXY: '1',
      MAX_BODY_BYTES: '1000000', UPSTREAM_IDLE_TIMEOUT: '5' } }),
    startStack({ tls: true })]);
});
after(() => Promise.all([plain, tls].map((gate) => gate?.stop())));

/* What 'act' added to the journal, and what it returned. */
async function adding(act, gate = plain) {
  const n = journal(gate).length;
  const result = await act();
  return { lines: journal(gate).slice(n), result };
}
async function oneLine(act, gate) {
  const { lines, result } = await adding(act, gate);
  assert.equal(lines.length, 1, JSON.stringify(lines));
  return { line: lines[0], result };
}
const counts = ({ prompt, completion, cached, total }) =>
  [prompt, completion, cached, total];

describe('what is written down', { timeout: 30000 }, () => {
  /* By the stand-in's rules: 11 bytes of prompt are 3 tokens, 11 words said. */
  const told = {
    'chat.completions': [[3, 11, 0, 14], [3, 11, 0, 14]],
    completions: [[3, 11, 0, 14], [3, 11, 0, 14]],
    messages: [[3, 11, 0, 14], [3, 11, 0, 14]],
    embeddings: [[3, 0, 0, 3]],
    'audio.transcriptions': [[0, 0, 0, 0], [100, 13, 0, 113]],
    'audio.translations': [[0, 0, 0, 0], [100, 13, 0, 113]],
    unstructured: [[0, 0, 0, 0]],
  };

  for (const e of ENDPOINTS)
    for (const stream of e.streamed ? [false, true] : [false])
      test(`${e.name}${stream ? ', streamed' : ''}`, async () => {
        const { key, key_id: id } = plain.pmkey('create', '--label', 'x');
        const { line, result } = await oneLine(() =>
          plain.request(e.path, { key, ...e.options(e.model, stream) }));
        assert.equal(result.status, 200);
        const { ms, firstByteMs, ...rest } = line;
        const [prompt, completion, cached, total] =
          told[e.name][stream ? 1 : 0];
        const audio = e.name.startsWith('audio');
        assert.deepEqual(rest, { version: '1', key: id,
          model: e.model || 'unstructured', endpoint: e.name, status: 2,
          prompt, completion, cached, total, audioBytes: audio ? 40000 : 0,
          audioMs: e.name === 'audio.transcriptions' && !stream ? 2000 : 0,
          estimated: 0, end: '.' });
        assert.ok(firstByteMs >= 0 && ms >= firstByteMs && ms < 5000);
      });

  test('verbose_json tells the seconds in another way', async () => {
    const { line } = await oneLine(() => plain.request('/v1/audio/transcriptions',
      form({ model: 'whisper-large-v3', response_format: 'verbose_json' },
        Buffer.alloc(64000))));
    assert.equal(line.audioMs, 2000);
    assert.equal(line.audioBytes, 64000);
    for (const format of ['text', 'srt', 'vtt']) {
      const { line: other } = await oneLine(() =>
        plain.request('/v1/audio/transcriptions', form({
          model: 'whisper-large-v3', response_format: format }, 'x'.repeat(999))));
      assert.deepEqual([other.audioBytes, other.audioMs, other.estimated],
        [999, 0, 0]);
    }
  });

  test('cached tokens', async () => {
    const content = 'x'.repeat(400);
    for (const stream of [false, true]) {
      const { line } = await oneLine(() => plain.request(CHAT, chat({ stream,
        messages: [{ role: 'user', content }], cache_salt: 'a'.repeat(32) })));
      assert.equal(line.prompt, 100);
      assert.ok(line.cached >= 40 && line.cached <= 60, `${line.cached}`);
      assert.equal(line.total, line.prompt + line.completion);
    }
  });

  test('times', async () => {
    const { line } = await oneLine(() => plain.request(CHAT,
      faulty('delay-body=300,rate=20,words=6', { stream: true })));
    assert.ok(line.firstByteMs >= 290 && line.firstByteMs < 2000);
    assert.ok(line.ms - line.firstByteMs >= 200, JSON.stringify(line));
  });

  test('failures count as such', async () => {
    const rows = [['status=400', 4], ['status=404', 4], ['status=429', 4],
      ['status=500', 5], ['status=503,error-body=html', 5], ['status=401', 5],
      ['redirect', 5], ['reset-after=0', 5], ['delay-head=2000', 5]];
    for (const [faults, status] of rows)
      for (const stream of [false, true]) {
        const { line } = await oneLine(() =>
          plain.request(CHAT, faulty(faults, { stream })));
        assert.equal(line.status, status, faults);
        assert.deepEqual(counts(line), [0, 0, 0, 0], faults);
        assert.equal(line.estimated, 0);
      }
    const audio = await oneLine(() => plain.request('/v1/audio/transcriptions',
      form({ model: 'standin/status=500' }, 'xxx')));
    assert.equal(audio.line.audioBytes, 0);
  });

  test('an error inside of a stream is a failure', async () => {
    for (const path of [CHAT, '/v1/messages']) {
      const { line } = await oneLine(() => plain.request(path,
        faulty('error-after=3', { stream: true, max_tokens: 9 })));
      assert.equal(line.status, 5, path);
    }
  });
});

describe('when it is written down', { timeout: 30000 }, () => {
  const ways = [['HTTP/1.1', () => plain, 1], ['TLS', () => tls, 1],
    ['HTTP/2', () => tls, 2]];

  for (const [way, gate, http] of ways)
    test(`before the client has it all, over ${way}`, async () => {
      for (const [options, last] of [[chat({ stream: true }), '[DONE]'],
        [faulty('words=2000', { stream: true }), '[DONE]'],
        [faulty('crlf', { stream: true }), '[DONE]'],
        [chat(), '}}}'], [faulty('huge=300000'), '}}}']]) {
        const n = journal(gate()).length;
        const exchange = gate().open(CHAT, { http, ...options });
        let tail = '', seen = false;
        for await (const piece of exchange.body) {
          tail = (tail + piece).slice(-20);
          if (tail.trimEnd().endsWith(last) && !seen) {
            seen = true;
            assert.equal(journal(gate()).length, n + 1, last);
          }
        }
        assert.ok(seen, tail);
        exchange.close();
      }
      const n = journal(gate()).length;
      const exchange = gate().open('/v1/messages', { http,
        ...chat({ stream: true, max_tokens: 20 }) });
      for await (const piece of exchange.body)
        if (String(piece).includes('message_stop'))
          assert.equal(journal(gate()).length, n + 1);
      exchange.close();
    });
});

describe('streams that are cut', { timeout: 30000 }, () => {
  test('the last usage seen in any chunk counts', async () => {
    for (const fault of ['reset-after', 'close-after', 'end-after'])
      for (const n of [3, 7]) {
        const { line, result } = await oneLine(() => plain.request(CHAT,
          faulty(`${fault}=${n},continuous,rate=500`, { stream: true })));
        const { usage } = chunks(result.text).filter((one) => one.usage).at(-1);
        assert.deepEqual(counts(line), [usage.prompt_tokens,
          usage.completion_tokens, 0, usage.total_tokens]);
        assert.ok(usage.completion_tokens > 0);
        assert.deepEqual([line.estimated, line.status], [0, 5]);
      }
  });

  test('without any it is an estimate, and says so', async () => {
    for (const fault of ['reset-after', 'close-after', 'end-after'])
      for (const n of [1, 6]) {
        const options = faulty(`${fault}=${n},rate=500`, { stream: true });
        const { line } = await oneLine(() => plain.request(CHAT, options));
        const prompt = Math.floor(JSON.stringify(options.json).length / 4);
        assert.deepEqual(counts(line), [prompt, n, 0, prompt + n]);
        assert.deepEqual([line.estimated, line.status], [1, 5]);
      }
  });

  test('so it is when the upstream tells none though the stream is whole', async () => {
    for (const fault of ['no-usage', 'null-usage']) {
      const { line, result } = await oneLine(() =>
        plain.request(CHAT, faulty(fault, { stream: true })));
      assert.equal(line.estimated, 1);
      assert.equal(line.status, 2);
      assert.ok(line.completion >= 11 &&
        line.completion <= events(result.text).length);
    }
  });

  test('by the client: the same, as soon as it is gone', async () => {
    for (const [faults, estimated] of [['continuous,', 0], ['', 1]]) {
      const n = journal(tls).length;
      await tls.standin.reset();
      const { socket, leave } = await rawClient(tls,
        faulty(`${faults}rate=200,words=1000`, { stream: true }).json);
      let text = '';
      await new Promise((resolve) => socket.on('data', (piece) => {
        text += piece;
        if (text.split('data: ').length > 20) resolve();
      }));
      leave();
      await tls.standin.wait({ aborted: 1 });
      await eventually(() => journal(tls).length === n + 1);
      const line = journal(tls).at(-1);
      assert.equal(line.estimated, estimated);
      /* Events sent and on their way: at least those that were read. */
      assert.ok(line.completion >= 15 && line.completion < 200,
        JSON.stringify(line));
    }
  });

  test('Anthropic\'s: what message_start told', async () => {
    const { line } = await oneLine(() => plain.request('/v1/messages',
      faulty('reset-after=4,rate=500', { stream: true, max_tokens: 99 })));
    assert.equal(line.prompt, 3);
    assert.equal(line.status, 5);
  });
});

describe('what leaves no line', { timeout: 30000 }, () => {
  test('requests that never went upstream', async () => {
    const limited = plain.pmkey('create', '--label', 'x', '--rate-limit', '1',
      '--models', 'gpt-oss-120b');
    const one = await oneLine(() => plain.request(CHAT,
      { key: limited.key, ...chat() }));
    assert.equal(one.result.status, 200);
    const rows = [[400, CHAT, { body: '{', headers: {} }],
      [400, CHAT, { json: {} }], [401, CHAT, { ...chat(), key: 'wrong' }],
      [401, CHAT, { ...chat(), auth: false }],
      [404, CHAT, { key: limited.key, ...chat({ model: 'x' }) }],
      [404, '/v1/nope', chat()], [405, CHAT, {}],
      [413, CHAT, chat({ junk: 'x'.repeat(1000001) })],
      [415, CHAT, { body: 'x', headers: { 'content-type': 'text/plain' } }],
      [429, CHAT, { key: limited.key, ...chat() }],
      [200, '/v1/models', {}], [200, '/auth/key-info', {}], [200, '/health', {}],
      [200, '/health/ready', {}]];
    for (const [status, target, options] of rows) {
      const { lines, result } = await adding(() => plain.request(target, options));
      assert.equal(result.status, status, result.text);
      assert.deepEqual(lines, [], `${status} ${target}`);
    }
  });
});

describe('what a client wrote is written nowhere', { timeout: 30000 }, () => {
  /* Every file below, as bytes. */
  const files = (dir) => fs.readdirSync(dir, { withFileTypes: true })
    .flatMap((entry) => (entry.isDirectory() ? files(path.join(dir, entry.name))
      : entry.isFile() ? [path.join(dir, entry.name)] : []));
  const CANARY = 'duckling-canary';

  test('not in any file, not in the log', async () => {
    const content = `${CANARY} in the prompt`;
    const messages = [{ role: 'user', content }];
    const headers = { 'x-forwarded-for': '198.51.100.77', 'user-agent': CANARY,
      referer: CANARY, cookie: CANARY, 'x-request-id': CANARY };
    const faults = ['words=90', 'status=500', 'reset-after=3', 'truncate',
      'bad-json', 'delay-head=1200', 'redirect', 'status=401', 'type=text/x',
      'error-after=2', `status=400,error-body=text`];
    for (const fault of faults)
      for (const stream of [false, true])
        await plain.request(CHAT, { headers,
          ...faulty(fault, { stream, messages, user: CANARY }) });
    for (const model of [CANARY, 'gpt-oss-120b\t1\t2', 'a\nb', `${CANARY}\n\n`,
      'x'.repeat(200), 'gpt-oss-120b ', 'GPT-OSS-120B', '../../x']) {
      const { lines } = await adding(() => plain.request(CHAT,
        { headers, ...chat({ model, messages }) }));
      assert.equal(lines.length, 1, model);
      assert.equal(lines[0].model, 'other');
    }
    for (const [target, options] of [[`/v1/${CANARY}?${CANARY}`, chat()],
      [`/v1/models/${CANARY}`, {}], [`${CHAT}?q=${CANARY}`, chat({ messages })],
      [CHAT, { body: `{"model":"${CANARY}`, headers }],
      [CHAT, { ...chat({ messages }), key: CANARY }],
      [CHAT, { ...chat(), headers: { 'content-type': CANARY } }],
      [`/unstructured/${CANARY}`, form({}, content, `${CANARY}.pdf`)],
      ['/v1/embeddings', { json: { model: 'qwen3-embedding-4b', input: content } }],
      ['/v1/audio/transcriptions', form({ model: 'whisper-large-v3',
        prompt: content }, CANARY.repeat(20000), `${CANARY}.wav`)]])
      await plain.request(target, { ...options,
        headers: { ...headers, ...options.headers } });
    const gone = await rawClient(plain, faulty('delay-head=900', { messages }).json);
    await plain.standin.wait({ open: 1 });
    gone.leave();
    await plain.standin.wait({ open: 0 });
    assert.deepEqual(fs.readdirSync(path.join(plain.runDir, 'upload')), []);
    const all = [...files(plain.stateDir), ...files(plain.runDir), plain.gateLog];
    assert.ok(all.length > 4);
    for (const file of all) {
      const text = fs.readFileSync(file, 'latin1');
      for (const found of [CANARY, '198.51.100.77', 'stand-in, not',
        plain.apiKey.slice(3)])
        assert.ok(!text.includes(found), `${file}: ${found}`);
      /* The log names its own listener, not who came. */
      if (file !== plain.gateLog) assert.ok(!text.includes('127.0.0.1'), file);
    }
    assert.doesNotMatch(plain.log(), /127\.0\.0\.1:?(?!.*(UPSTREAM|upstream|server))/);
  });
});

describe('exports', { timeout: 30000 }, () => {
  test('rows and the journal add up to the same', () => {
    const sums = new Map();
    for (const line of journal(plain)) {
      const name = [line.key, line.model, line.endpoint].join(' ');
      const sum = sums.get(name) || { requests: 0, errors: 0, prompt_tokens: 0,
        completion_tokens: 0, cached_tokens: 0, total_tokens: 0, audio_bytes: 0,
        audio_seconds: 0 };
      sum.requests++;
      sum.errors += line.status === 2 ? 0 : 1;
      sum.prompt_tokens += line.prompt;
      sum.completion_tokens += line.completion;
      sum.cached_tokens += line.cached;
      sum.total_tokens += line.total;
      sum.audio_bytes += line.audioBytes;
      sum.audio_seconds += line.audioMs / 1000;
      sums.set(name, sum);
    }
    const rows = plain.run('pmusage', 'export', '--format', 'jsonl', '--by', 'month')
      .trim().split('\n').map((row) => JSON.parse(row));
    assert.equal(rows.length, sums.size);
    for (const { month, key_id: id, model, endpoint, cost_eur: cost, ...rest }
      of rows) {
      assert.match(month, /^\d{4}-\d\d$/);
      assert.deepEqual(rest, sums.get([id, model, endpoint].join(' ')));
      assert.ok(cost >= 0);
    }
  });
});
