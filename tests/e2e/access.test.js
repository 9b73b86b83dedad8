'use strict';
// Who is let in, with which key, to what.
const { after, before, describe, test } = require('node:test');
const assert = require('node:assert/strict');
const { promisify } = require('node:util');
const { setTimeout: sleep } = require('node:timers/promises');
const { PATIENCE } = require('./lib/patience');
const { startStack } = require('./lib/stack');
const { startUpstream } = require('./lib/upstream');
const { CHAT, chat, checkError, checkHead } = require('./lib/calls');

const run = promisify(require('node:child_process').execFile);
const ENV_KEYS = ['pm_environment-key-one', 'pm_environment-key-two'];
let gate, other, upstream;
before(async () => {
  upstream = await startUpstream(['gpt-oss-120b', 'hens/free-range',
    'hens/free range', 'ä', 'a%2Fb']);
  [gate, other] = await Promise.all([
    startStack({ env: { PROCESSES: '2', API_KEYS: ENV_KEYS.join(','),
      CORS_ALLOW_ORIGINS: 'https://app.example, http://localhost:5173' } }),
    startStack({ upstream: upstream.url, env: { PROCESSES: '1' } })]);
});
after(async () => {
  await Promise.all([gate, other].map((one) => one?.stop()));
  await upstream?.stop();
});

const create = (...args) => gate.pmkey('create', '--label', 'test', ...args);
const models = (key, options) => gate.request('/v1/models', { key, ...options });
/* Enough requests at once to meet every process. */
const everywhere = async (key, target = '/v1/models') => {
  const answers = await Promise.all(Array.from({ length: 16 }, () =>
    gate.request(target, { key })));
  const statuses = [...new Set(answers.map(({ status }) => status))];
  assert.equal(statuses.length, 1, `${statuses}`);
  return statuses[0];
};

describe('keys', { timeout: 30000 }, () => {
  const withHeaders = (headers, options) =>
    gate.request('/v1/models', { auth: false, headers, ...options });

  test('two ways to send one, the scheme in any case', async () => {
    const { apiKey: key } = gate;
    for (const headers of [{ authorization: `Bearer ${key}` },
      { authorization: `bearer ${key}` }, { authorization: `BEARER ${key}` },
      { authorization: `bEaReR   ${key}` }, { 'x-api-key': key },
      { authorization: 'Basic YTpi', 'x-api-key': key }])
      assert.equal((await withHeaders(headers)).status, 200,
        JSON.stringify(headers));
  });

  test('no key, and what is none', async () => {
    const { apiKey: key } = gate;
    for (const headers of [{}, { authorization: key },
      { authorization: `Basic ${key}` }, { authorization: 'Bearer' },
      { authorization: 'Bearer ' }, { authorization: `Bearer${key}` },
      { 'x-api-key': '' }, { cookie: `key=${key}` }]) {
      const answer = await withHeaders(headers);
      const error = checkError(answer, 401, 'invalid_request_error', null);
      assert.match(error.message, /Authorization: Bearer/);
      assert.equal(answer.headers['www-authenticate'], 'Bearer');
    }
    const query = await withHeaders({});
    assert.equal((await gate.request(`/v1/models?key=${key}&api_key=${key}`,
      { auth: false })).text, query.text);
  });

  test('wrong, expired, disabled and malformed look the same', async () => {
    const disabled = create();
    const deleted = create();
    gate.pmkey('disable', disabled.key_id);
    gate.run('pmkey', 'delete', deleted.key_id);
    const expired = create('--expires', `${2 * PATIENCE}s`);
    assert.equal((await models(expired.key)).status, 200);
    await sleep(2100 * PATIENCE);
    const { apiKey: key } = gate;
    const bad = [expired.key, disabled.key, deleted.key, `${key}x`,
      key.slice(0, -1), key.toUpperCase(), `pm_${'a'.repeat(43)}`, 'x',
      'sk-ant-123', 'y'.repeat(600), 'y'.repeat(5000), `${key} ${key}`,
      `${key},${key}`, disabled.key_id];
    const bodies = new Set();
    for (const wrong of bad) {
      const answer = await models(wrong);
      checkError(answer, 401, 'invalid_request_error', 'invalid_api_key');
      assert.equal(answer.headers['www-authenticate'], 'Bearer');
      bodies.add(answer.text);
      const { 'x-request-id': id, date, ...rest } = answer.headers;
      bodies.add(JSON.stringify(rest));
    }
    assert.equal(bodies.size, 2);
    for (const wrong of bad)
      assert.ok(![...bodies].join().includes(wrong.slice(3)) || wrong === 'x');
  });

  test('a wrong one is not helped by a right one beside it', async () => {
    const answer = await withHeaders({ authorization: 'Bearer wrong',
      'x-api-key': gate.apiKey });
    assert.equal(answer.status, 401);
  });

  test('nothing is read from or sent to the upstream without one', async () => {
    const { requests } = await gate.standin.stats();
    assert.equal((await gate.request(CHAT, { ...chat(), key: 'no' })).status, 401);
    assert.equal((await gate.request(CHAT, { auth: false, ...chat(),
      headers: {} })).status, 401);
    assert.equal((await gate.standin.stats()).requests, requests);
  });

  test('Anthropic\'s shape on /v1/messages', async () => {
    for (const [options, type] of [[{ auth: false }, 'authentication_error'],
      [{ key: 'wrong' }, 'authentication_error']]) {
      const answer = await gate.request('/v1/messages', { ...chat(), ...options });
      assert.equal(answer.status, 401);
      const body = answer.json();
      assert.deepEqual([body.type, body.error.type], ['error', type]);
      assert.equal(body.request_id, answer.headers['request-id']);
      assert.equal(answer.headers['x-request-id'], answer.headers['request-id']);
    }
  });

  test('those of API_KEYS are valid beside the store', async () => {
    for (const [i, key] of ENV_KEYS.entries()) {
      const answer = await gate.request('/auth/key-info', { key });
      assert.equal(answer.json().key_id, `env_key_${i}`);
    }
  });
});

describe('a change is in force for the next request', { timeout: 30000 }, () => {
  test('create, disable, enable, delete', async () => {
    const { key, key_id: id } = create();
    assert.equal(await everywhere(key), 200);
    gate.pmkey('disable', id);
    assert.equal(await everywhere(key), 401);
    gate.pmkey('enable', id);
    assert.equal(await everywhere(key), 200);
    gate.run('pmkey', 'delete', id);
    assert.equal(await everywhere(key), 401);
  });

  /* Requests go on, so that each process looked at the store just before. */
  test('whenever the store was looked at last', async () => {
    const { key, key_id: id } = create();
    let done = false;
    const others = [1, 2, 3, 4].map(async () => {
      while (!done)
        await models(key);
    });
    try {
      for (let i = 0; i < 20; i++) {
        const [command, status] = i % 2 ? ['enable', 200] : ['disable', 401];
        await run('pmkey', [command, id], { env: gate.env });
        assert.equal(await everywhere(key), status, command);
      }
    } finally {
      done = true;
      await Promise.all(others);
    }
  });

  test('set', async () => {
    const { key, key_id: id } = create();
    const model = '/v1/models/gpt-oss-120b';
    assert.equal(await everywhere(key, model), 200);
    gate.pmkey('set', id, '--models', 'gemma-3-27b');
    assert.equal(await everywhere(key, model), 404);
    gate.pmkey('set', id, '--models', 'all');
    assert.equal(await everywhere(key, model), 200);
    gate.pmkey('set', id, '--expires', '1s');
    await sleep(1100);
    assert.equal(await everywhere(key), 401);
    gate.pmkey('set', id, '--expires', 'never');
    assert.equal(await everywhere(key), 200);
  });

  test('rotate', async () => {
    const old = create('--models', 'gemma-3-27b');
    const next = gate.pmkey('rotate', old.key_id, '--grace', '4s');
    assert.notEqual(next.key, old.key);
    assert.equal(await everywhere(next.key, '/v1/models/gemma-3-27b'), 200);
    assert.equal(await everywhere(next.key, '/v1/models/gpt-oss-120b'), 404);
    assert.equal((await models(old.key)).status, 200);
    await sleep(4100);
    assert.equal(await everywhere(old.key), 401);
    const last = gate.pmkey('rotate', next.key_id, '--grace', '0');
    assert.equal(await everywhere(next.key), 401);
    assert.equal(await everywhere(last.key), 200);
  });
});

describe('models', { timeout: 30000 }, () => {
  const ids = (answer) => answer.json().data.map(({ id }) => id);

  test('the list is the upstream\'s, less what the key may not use', async () => {
    const all = await models(gate.apiKey);
    assert.equal(all.status, 200);
    checkHead(all, 'application/json');
    assert.ok(ids(all).includes('gpt-oss-120b') && ids(all).length > 5);
    const { key } = create('--models', 'gemma-3-27b,whisper-large-v3,unlisted');
    const some = await models(key);
    assert.deepEqual(ids(some), ids(all).filter((id) =>
      ['gemma-3-27b', 'whisper-large-v3'].includes(id)));
    assert.deepEqual(Object.keys(some.json()), Object.keys(all.json()));
  });

  test('one that the key may not use does not exist, wherever asked', async () => {
    const { key } = create('--models', 'gemma-3-27b');
    const { requests } = await gate.standin.stats();
    for (const model of ['gpt-oss-120b', 'quail', 'gemma-3-27b ', 'GEMMA-3-27B'])
      for (const [path, options] of [[CHAT, chat({ model })],
        ['/v1/embeddings', { json: { model, input: 'x' } }],
        ['/v1/completions', { json: { model, prompt: 'x', stream: true } }]]) {
        const answer = await gate.request(path, { key, ...options });
        const error = checkError(answer, 404, 'invalid_request_error',
          'model_not_found');
        assert.equal(error.param, 'model');
        assert.ok(!error.message.includes(model));
      }
    const messages = await gate.request('/v1/messages', { key, ...chat() });
    assert.equal(messages.status, 404);
    assert.equal(messages.json().error.type, 'not_found_error');
    assert.equal((await gate.standin.stats()).requests, requests);
    assert.equal((await gate.request(CHAT,
      { key, ...chat({ model: 'gemma-3-27b' }) })).status, 200);
  });

  test('hidden and unknown are told the same', async () => {
    const { key } = create('--models', 'gemma-3-27b');
    const answers = await Promise.all(['gpt-oss-120b', 'quail'].map((id) =>
      gate.request(`/v1/models/${id}`, { key })));
    for (const answer of answers)
      checkError(answer, 404, 'invalid_request_error', 'model_not_found');
    assert.equal(answers[0].text, answers[1].text);
  });

  test('names with slashes, blanks and more, encoded or not', async () => {
    for (const [path, id] of [['gpt-oss-120b', 'gpt-oss-120b'],
      ['hens/free-range', 'hens/free-range'],
      ['hens%2Ffree-range', 'hens/free-range'],
      ['hens%2ffree%2Drange', 'hens/free-range'],
      ['hens%2Ffree%20range', 'hens/free range'], ['%C3%A4', 'ä']]) {
      const answer = await other.request(`/v1/models/${path}`);
      assert.equal(answer.status, 200, path);
      assert.equal(answer.json().id, id);
    }
    for (const path of ['hens', 'hens/', 'hens%2Ffree+range', 'gpt-oss-120b/',
      'a%2Fb', '%67pt', `${'a'.repeat(1500)}`])
      assert.equal((await other.request(`/v1/models/${path}`)).status, 404, path);
    for (const path of ['%', '%zz', 'a%252Fb', 'a%00b', '..%2Fmodels', '%2e%2e'])
      assert.ok([400, 404].includes(
        (await other.request(`/v1/models/${path}`)).status), path);
  });
});

describe('/auth/key-info', { timeout: 30000 }, () => {
  test('tells of the key, and no secret', async () => {
    const { key, key_id: id } = create('--expires', '30d', '--rate-limit', '50',
      '--tokens-per-minute', '9000', '--parallel', '3',
      '--models', 'gemma-3-27b,gpt-oss-120b', '--prompt-cache');
    assert.equal((await gate.request(CHAT, { key, ...chat() })).status, 200);
    const answer = await gate.request('/auth/key-info', { key });
    assert.equal(answer.status, 200);
    checkHead(answer, 'application/json');
    const { created, expires, usage, ...rest } = answer.json();
    assert.deepEqual(rest, { key_id: id, label: 'test', prompt_cache: true, budget: null,
      limits: { requests: 50, window_seconds: 60, organisation_requests: null,
        tokens_per_minute: 9000, parallel: 3,
        models: ['gemma-3-27b', 'gpt-oss-120b'] } });
    assert.ok(Math.abs(Date.parse(created) - Date.now()) < 60000);
    assert.equal(Date.parse(expires) - Date.parse(created), 30 * 86400e3);
    assert.equal(usage.period, new Date().toISOString().slice(0, 7));
    assert.deepEqual([usage.requests, usage.errors, usage.prompt_tokens,
      usage.completion_tokens, usage.total_tokens], [1, 0, 3, 11, 14]);
    assert.match(usage.cost_eur, /^0\.0000/);
    assert.ok(!answer.text.includes(key.slice(3, 20)));
    assert.ok(!answer.text.includes(key.slice(-8)));
  });

  test('asking costs nothing', async () => {
    const { key } = create('--rate-limit', '2');
    for (let i = 0; i < 5; i++) {
      const answer = await gate.request('/auth/key-info', { key });
      assert.equal(answer.status, 200);
      assert.equal(answer.json().usage.requests, 0);
      assert.equal(answer.headers['x-ratelimit-remaining-requests'], '2');
    }
  });
});

describe('paths and methods', { timeout: 30000 }, () => {
  test('what there is not: 404', async () => {
    for (const path of ['/v1/nope', '/v1', '/v1/', '/v1/chat', `${CHAT}/`,
      '/v1/chat/completionsx', '/V1/models', '/auth/key-info/', '/auth/x',
      '/health/', '/health/x', '/unstructured', '/v1/models%2Fx']) {
      const answer = await gate.request(path);
      if (/^\/V1/.test(path)) assert.equal(answer.status, 404);
      else checkError(answer, 404, 'invalid_request_error', 'unknown_url');
    }
    const answer = await gate.request('/v1/messages/count_tokens',
      { ...chat(), auth: false });
    assert.equal(answer.status, 404);
    assert.equal(answer.json().error.type, 'not_found_error');
    for (const path of ['/', '/adminx', '/robots.txt', '/.env'])
      assert.equal((await gate.request(path, { auth: false })).status, 404, path);
  });

  test('paths that two could read in two ways lead nowhere', async () => {
    for (const path of ['/v1//models', '/v1/./models', '/v1/x/../models',
      '/v1/%2e%2e/v1/models', '/health/../v1/models', '//v1/models',
      '/v1/models/../../health', '/v1\\models', '/unstructured/../v1/models',
      '/unstructured/..%2fv1/models', '/v1/models/%00', '/v1/models/a%0ab']) {
      const text = await gate.raw(`GET ${path} HTTP/1.1\r\nHost: x\r\n` +
        `X-API-Key: ${gate.apiKey}\r\nConnection: close\r\n\r\n`);
      assert.match(text, /^HTTP\/1\.1 40[04]/, path);
    }
  });

  test('a wrong method: 405 with Allow', async () => {
    for (const [method, path, allow] of [['GET', CHAT, 'POST'],
      ['DELETE', CHAT, 'POST'], ['PUT', '/v1/embeddings', 'POST'],
      ['GET', '/unstructured/general', 'POST'], ['OPTIONS', CHAT, 'POST'],
      ['POST', '/v1/models', 'GET, HEAD'], ['DELETE', '/v1/models/x', 'GET, HEAD'],
      ['POST', '/health', 'GET, HEAD'], ['POST', '/auth/key-info', 'GET, HEAD']]) {
      const answer = await gate.request(path, { method, auth: false,
        body: ['POST', 'PUT'].includes(method) ? '{}' : undefined });
      checkError(answer, 405, 'invalid_request_error', 'method_not_allowed');
      assert.equal(answer.headers.allow, allow);
    }
    const messages = await gate.request('/v1/messages', { auth: false });
    assert.equal(messages.status, 405);
    assert.equal(messages.json().type, 'error');
  });

  test('HEAD goes with GET', async () => {
    for (const [path, status] of [['/health', 200], ['/v1/models', 200],
      [CHAT, 405]]) {
      const answer = await gate.request(path, { method: 'HEAD' });
      assert.equal(answer.status, status, path);
      assert.equal(answer.text, '');
      assert.match(answer.headers['x-request-id'], /^req_/);
    }
  });

  test('/health needs no key and says nothing else', async () => {
    for (const options of [{ auth: false }, { key: 'wrong' }]) {
      const answer = await gate.request('/health', options);
      assert.equal(answer.status, 200);
      assert.equal(answer.text, '{"status":"healthy"}');
    }
  });
});

describe('pages of other origins', { timeout: 30000 }, () => {
  const preflight = (origin, path = CHAT, one = gate) =>
    one.request(path, { method: 'OPTIONS', auth: false, headers: { origin,
      'access-control-request-method': 'POST',
      'access-control-request-headers': 'authorization,content-type' } });
  const cors = ({ headers }) =>
    Object.keys(headers).filter((name) => /^access-control/.test(name));

  test('those allowed may ask, and read the answer and its headers', async () => {
    for (const origin of ['https://app.example', 'http://localhost:5173']) {
      const first = await preflight(origin);
      assert.equal(first.status, 204);
      assert.equal(first.text, '');
      assert.equal(first.headers['access-control-allow-origin'], origin);
      assert.match(first.headers['access-control-allow-methods'], /POST/);
      for (const name of ['authorization', 'content-type', 'x-api-key',
        'anthropic-version', 'x-stainless-retry-count'])
        assert.match(first.headers['access-control-allow-headers'],
          new RegExp(`(^|, )${name}(,|$)`, 'i'));
      assert.match(first.headers.vary, /Origin/);
      for (const options of [chat(), chat({ stream: true }),
        { ...chat(), key: 'wrong' }]) {
        const answer = await gate.request(CHAT,
          { ...options, headers: { origin } });
        assert.equal(answer.headers['access-control-allow-origin'], origin);
        assert.match(answer.headers['access-control-expose-headers'],
          /x-request-id/);
        assert.equal(answer.headers['access-control-allow-credentials'], undefined);
      }
    }
  });

  test('others may not', async () => {
    for (const origin of ['https://evil.example', 'https://app.example.evil',
      'http://app.example', 'https://app.exampl', 'null', '*',
      'https://app.example, http://localhost:5173', 'HTTPS://APP.EXAMPLE']) {
      const answer = await preflight(origin);
      assert.equal(answer.status, 405, origin);
      assert.deepEqual(cors(answer), []);
      assert.deepEqual(cors(await gate.request(CHAT,
        { ...chat(), headers: { origin } })), []);
    }
  });

  test('without the setting there are none', async () => {
    const answer = await preflight('https://app.example', CHAT, other);
    assert.equal(answer.status, 405);
    assert.deepEqual(cors(answer), []);
    assert.equal(answer.headers.vary, undefined);
  });
});
