'use strict';
/*
 * Limits through the whole gate: who is refused, what they are told, and that
 * what they are told is true. See hang() for clients that leave.
 */
const assert = require('node:assert/strict');
const { after, before, describe, it } = require('node:test');
const { eventually, startStack } = require('./lib/stack');
const { notOnCaddy } = require('./lib/servers');

const MODEL = 'gpt-oss-120b';
const chat = (model = MODEL) =>
  ({ model, messages: [{ role: 'user', content: 'a note' }] });
const ask = (gate, options = {}) => gate.request('/v1/chat/completions',
  { json: options.body || chat(options.model), ...options });
/*
 * A request that hangs until it is dropped. Over HTTP/2, where lighttpd always
 * watches the connection.
 */
function hang(gate, options = {}) {
  const exchange = gate.open('/v1/chat/completions',
    { http: 2, json: chat('standin/delay-head=60000'), ...options });

  exchange.head.catch(() => {});
  exchange.body.on('error', () => {}).resume();
  return {
    drop: () => {
      exchange.abort();
      setTimeout(() => exchange.close(), 50);
    },
  };
}
const until = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function statuses(gate, n, options) {
  const all = await Promise.all(
    Array.from({ length: n }, () => ask(gate, options)));

  return {
    all,
    admitted: all.filter((a) => a.status === 200),
    refused: all.filter((a) => a.status === 429),
  };
}

/* One key with limits of its own. */
const keyWith = (gate, ...options) =>
  gate.pmkey('create', '--label', 'limits', ...options).key;

describe('windows', () => {
  let gate;

  before(async () => {
    gate = await startStack({ tls: true, env: { RATE_LIMIT_WINDOW: '3' } });
  });
  after(() => gate?.stop());

  it('admits a key its first N at once and refuses the rest', async () => {
    const key = keyWith(gate, '--rate-limit', '7');
    const { admitted, refused } = await statuses(gate, 20, { key });

    assert.equal(admitted.length, 7);
    assert.equal(refused.length, 13);
  });

  it('says when to return, right to the second, and keeps its word',
    async () => {
      const key = keyWith(gate, '--rate-limit', '1');
      const began = Date.now();

      await ask(gate, { key });
      const refused = await ask(gate, { key });
      const wait = Number(refused.headers['retry-after']);

      assert.equal(refused.status, 429);
      assert.equal(refused.json().error.code, 'rate_limit_exceeded');
      assert.equal(refused.json().error.type, 'requests');
      assert.equal(wait, Math.ceil((began + 3000 - Date.now()) / 1000));
      assert.equal((await ask(gate, { key })).status, 429);
      await until(wait * 1000);
      assert.equal((await ask(gate, { key })).status, 200);
    });

  it('tells on every answer what is left, in each dialect', async () => {
    const key = keyWith(gate, '--rate-limit', '5',
      '--tokens-per-minute', '100000');
    const { headers } = await ask(gate, { key });
    const now = Date.now() / 1000;

    assert.equal(headers['x-ratelimit-limit-requests'], '5');
    assert.equal(headers['x-ratelimit-remaining-requests'], '4');
    assert.match(headers['x-ratelimit-reset-requests'],
      /^(\d+ms|[0-3](\.\d{3})?s)$/);
    assert.equal(headers['x-ratelimit-limit-tokens'], '100000');
    assert.ok(Number(headers['x-ratelimit-remaining-tokens']) < 100000);
    assert.equal(headers['x-ratelimit-limit'], '5');
    assert.equal(headers['x-ratelimit-remaining'], '4');
    assert.ok(Math.abs(headers['x-ratelimit-reset'] - now) <= 4);

    const message = await gate.request('/v1/messages',
      { key, json: { ...chat(), max_tokens: 5 } });
    assert.equal(message.headers['anthropic-ratelimit-requests-limit'], '5');
    assert.equal(
      message.headers['anthropic-ratelimit-requests-remaining'], '3');
    assert.match(message.headers['anthropic-ratelimit-requests-reset'],
      /^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
  });

  it('asks Anthropic clients to wait in their own words', async () => {
    const key = keyWith(gate, '--rate-limit', '1');
    const json = { ...chat(), max_tokens: 5 };

    await gate.request('/v1/messages', { key, json });
    const refused = await gate.request('/v1/messages', { key, json });
    assert.equal(refused.status, 429);
    assert.equal(refused.json().error.type, 'rate_limit_error');
  });

  it('takes a refused request from no window', async () => {
    const tight = keyWith(gate, '--rate-limit', '2',
      '--tokens-per-minute', '400');
    const large = { ...chat(), max_tokens: 400 };

    /* One small answer leaves less than 400 tokens, but most of them. */
    assert.equal((await ask(gate, { key: tight })).status, 200);
    const refused = await ask(gate, { key: tight, body: large });
    assert.equal(refused.status, 429);
    assert.equal(refused.json().error.type, 'tokens');
    assert.equal((await ask(gate, { key: tight })).status, 200);
  });

  it('settles the tokens of a request once they are known', async () => {
    const key = keyWith(gate, '--tokens-per-minute', '1000');

    const first = await ask(gate, { key, body: { ...chat(), max_tokens: 900 } });
    const used = first.json().usage.total_tokens;
    const info = await gate.request('/auth/key-info', { key });
    assert.equal(Number(info.headers['x-ratelimit-remaining-tokens']),
      1000 - used);
  });

  it('holds a change made by pmkey for the next request', async () => {
    const made = gate.pmkey('create', '--label', 'x', '--rate-limit', '1');
    const { key } = made;

    await ask(gate, { key });
    assert.equal((await ask(gate, { key })).status, 429);
    gate.pmkey('set', made.key_id, '--rate-limit', '3');
    assert.equal((await ask(gate, { key })).status, 200);
  });

  it('bounds how many run at once', { skip: notOnCaddy('gone') }, async () => {
    const key = keyWith(gate, '--parallel', '3');
    const slow = Array.from({ length: 3 }, () => hang(gate, { key }));

    await gate.standin.wait({ open: 3 });
    const refused = await ask(gate, { key });
    assert.equal(refused.status, 429);
    assert.ok(Number(refused.headers['retry-after']) >= 1);
    slow.forEach((one) => one.drop());
    await gate.standin.wait({ open: 0 });
    await eventually(async () => (await ask(gate, { key })).status === 200);
  });
});

describe('windows of a minute and more', () => {
  let gate;

  before(async () => {
    gate = await startStack({ env: { RATE_LIMIT_WINDOW: '300' } });
  });
  after(() => gate?.stop());

  it('tells clients not to retry by themselves', async () => {
    const key = keyWith(gate, '--rate-limit', '1');

    await ask(gate, { key });
    const refused = await ask(gate, { key });
    assert.equal(refused.headers['x-should-retry'], 'false');
    assert.match(refused.headers['x-ratelimit-reset-requests'], /^(4m59|5m0)/);
  });
});

describe('the window of everybody together', () => {
  let gate;

  before(async () => {
    gate = await startStack({ env: { RATE_LIMIT_REQUESTS: '30' } });
  });
  after(() => gate?.stop());

  it('is one for all keys and processes, and survives them', async () => {
    const other = keyWith(gate);
    const [one, two] = await Promise.all(
      [statuses(gate, 20), statuses(gate, 20, { key: other })]);

    assert.equal(one.admitted.length + two.admitted.length, 30);
    for (const pid of gate.responders()) process.kill(pid, 'SIGKILL');
    await eventually(async () =>
      (await gate.request('/health', { auth: false })).status === 200);
    assert.equal((await ask(gate)).status, 429);
  });

  it('follows a live setting', async () => {
    gate.run('pmsettings', 'set', 'RATE_LIMIT_REQUESTS', '32');
    const { admitted } = await statuses(gate, 6);
    assert.equal(admitted.length, 2);
    gate.run('pmsettings', 'unset', 'RATE_LIMIT_REQUESTS');
    assert.equal((await ask(gate)).status, 429);
  });
});

describe('addresses', () => {
  let gate;
  const from = (address) => ({ headers: { 'x-forwarded-for': address } });

  before(async () => {
    gate = await startStack({
      env: {
        TRUST_PROXY: '1', IP_RATE_LIMIT_REQUESTS: '40', FAILED_AUTH_LIMIT: '5',
      },
    });
  });
  after(() => gate?.stop());

  it('are counted before keys are looked at', async () => {
    const wrong = Array.from({ length: 40 }, () => gate.request('/v1/models',
      { auth: false, ...from('198.51.100.1') }));

    assert.ok((await Promise.all(wrong)).every((a) => a.status === 401));
    assert.equal((await ask(gate, from('198.51.100.1'))).status, 429);
    assert.equal((await ask(gate, from('198.51.100.2'))).status, 200);
  });

  it('count as the nearest proxy saw them, not as the client says',
    async () => {
      for (let i = 0; i < 40; i++)
        await gate.request('/v1/models',
          { auth: false, ...from(`192.0.2.${i}, 203.0.113.9`) });
      assert.equal((await ask(gate,
        from('192.0.2.250, 203.0.113.9'))).status, 429);
    });

  it('may come with a port', async () => {
    for (let i = 0; i < 20; i++) {
      await gate.request('/v1/models',
        { auth: false, ...from(`198.51.100.3:${4000 + i}`) });
      await gate.request('/v1/models',
        { auth: false, ...from('198.51.100.3') });
      await gate.request('/v1/models',
        { auth: false, ...from(`[2001:db8:9::${i}]:${4000 + i}`) });
      await gate.request('/v1/models',
        { auth: false, ...from(`[2001:db8:9::${i}]`) });
    }
    assert.equal((await ask(gate, from('198.51.100.3'))).status, 429);
    assert.equal((await ask(gate, from('198.51.100.4:4000'))).status, 200);
    assert.equal((await ask(gate, from('2001:db8:9::1'))).status, 429);
    assert.equal((await ask(gate, from('[2001:db8:a::1]:4000'))).status, 200);
  });

  for (const name of ['x_forwarded_for', 'X-Forwarded_For', 'x_forwarded-for'])
    it(`cannot be made up as ${name}`, { skip: notOnCaddy('underscore') }, async () => {
      const answer = await gate.request('/v1/models',
        { headers: { [name]: '192.0.2.1', 'x-forwarded-for': '192.0.2.2' } });
      assert.equal(answer.status, 400);
    });

  it('are one for a whole /64 of IPv6', async () => {
    for (let i = 0; i < 40; i++)
      await gate.request('/v1/models',
        { auth: false, ...from(`2001:db8:1:2::${i.toString(16)}`) });
    assert.equal((await ask(gate, from('2001:db8:1:2:ffff::1'))).status, 429);
    assert.equal((await ask(gate, from('2001:db8:1:3::1'))).status, 200);
  });

  it('have few wrong keys, and never pay with valid ones', async () => {
    const wrong = () => gate.request('/v1/models',
      { key: 'pm_guess', ...from('198.51.100.7') });

    for (let i = 0; i < 5; i++) assert.equal((await wrong()).status, 401);
    const limited = await wrong();
    assert.equal(limited.status, 429);
    assert.ok(Number(limited.headers['retry-after']) >= 1);
    assert.equal((await ask(gate, from('198.51.100.7'))).status, 200);
  });

  it('stand in no file and in no log', async () => {
    const { execFileSync } = require('node:child_process');

    for (const folder of [gate.stateDir, gate.runDir, gate.gateLog])
      for (const address of ['198.51.100.7', '203.0.113.9', '2001:db8:1:2'])
        assert.throws(() => execFileSync('grep', ['-raq', address, folder]),
          { status: 1 });
  });
});

describe('addresses behind Caddy', () => {
  it('cannot be made up either', async () => {
    const gate = await startStack({ server: 'caddy',
      env: { TRUST_PROXY: '1', IP_RATE_LIMIT_REQUESTS: '3' } });

    try {
      const answers = [];
      for (let i = 0; i < 12; i++)
        answers.push(await gate.request('/v1/models', { headers: {
          'x_forwarded_for': `192.0.2.${i}`,
          'x-forwarded_for': `192.0.2.${i}` } }));
      assert.equal(answers.filter(({ status }) => status === 200).length, 3);
      assert.equal(answers.at(-1).status, 429);
    } finally {
      await gate.stop();
    }
  });
});

describe('a gate that is full', { skip: notOnCaddy('gone') }, () => {
  let gate;

  before(async () => {
    gate = await startStack({
      tls: true,
      env: { MAX_IN_FLIGHT: '4', PROCESSES: '1', MAX_BODY_MEMORY: '2097152' },
    });
  });
  after(() => gate?.stop());

  it('says so at once, and /health still answers', async () => {
    const slow = Array.from({ length: 4 }, () => hang(gate));

    await gate.standin.wait({ open: 4 });
    const refused = await ask(gate);
    assert.equal(refused.status, 503);
    assert.equal(refused.json().error.code, 'server_is_overloaded');
    assert.ok(Number(refused.headers['retry-after']) >= 1);
    assert.equal(
      (await gate.request('/health', { auth: false })).status, 200);
    slow.forEach((one) => one.drop());
    await gate.standin.wait({ open: 0 });
    await eventually(async () => (await ask(gate)).status === 200);
  });

  it('gives the place of a killed responder back', async () => {
    const key = keyWith(gate, '--parallel', '1');

    hang(gate, { key });
    await gate.standin.wait({ open: 1 });
    for (const pid of gate.responders()) process.kill(pid, 'SIGKILL');
    await eventually(async () =>
      (await gate.request('/health', { auth: false })).status === 200);
    assert.equal((await ask(gate, { key })).status, 200);
  });

  it('bounds the memory that bodies hold together', async () => {
    const body = { ...chat('standin/delay-head=60000'),
      padding: 'x'.repeat(1.5 * 1024 * 1024) };
    const held = hang(gate, { json: body });

    await gate.standin.wait({ open: 1 });
    const refused = await ask(gate, { body: { ...body, model: MODEL } });
    assert.equal(refused.status, 503);
    assert.equal((await ask(gate)).status, 200);
    held.drop();
    await gate.standin.wait({ open: 0 });
    await eventually(async () =>
      (await ask(gate, { body: { ...body, model: MODEL } })).status === 200);
  });
});
