'use strict';
/* GET /metrics through the whole gate: who gets it, and that it is true. */
const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { after, before, describe, it } = require('node:test');
const { eventually, startStack } = require('./lib/stack');

const TOKEN = 'a-token-for-metrics';
const chat = (model = 'gpt-oss-120b') =>
  ({ model, messages: [{ role: 'user', content: 'a note' }], max_tokens: 5 });
const ask = (gate, options = {}) => gate.request('/v1/chat/completions',
  { json: chat(options.model), ...options });

/* { 'pmproxy_requests_total{class="2xx"}': 3, ... } */
async function scrape(gate) {
  const answer = await gate.request('/metrics', { key: TOKEN });

  assert.equal(answer.status, 200);
  assert.match(answer.text, /\n# EOF\n$/);
  return Object.fromEntries(answer.text.split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => [line.slice(0, line.lastIndexOf(' ')),
      Number(line.slice(line.lastIndexOf(' ') + 1))]));
}

describe('metrics', () => {
  let gate;

  before(async () => {
    gate = await startStack({ env: { METRICS_TOKEN: TOKEN,
      RATE_LIMIT_WINDOW: '300', FAILED_AUTH_LIMIT: '4' } });
  });
  after(() => gate?.stop());

  it('are for who has the token, and no key is one', async () => {
    const get = (options) => gate.request('/metrics', options);
    const answer = await get({ key: TOKEN });

    assert.equal(answer.headers['content-type'],
      'application/openmetrics-text; version=1.0.0; charset=utf-8');
    assert.equal(answer.headers['cache-control'], 'no-store');
    assert.equal((await get({ auth: false })).status, 401);
    assert.equal((await get({})).status, 401);
    assert.equal((await gate.request('/v1/models', { key: TOKEN })).status, 401);
    assert.equal(
      (await get({ key: TOKEN, method: 'POST', body: '' })).status, 405);
    for (const wrong of [`${TOKEN}x`, TOKEN.slice(0, -1)])
      assert.equal((await get({ key: wrong })).status, 401);
    /* Guesses are counted as wrong keys are. */
    assert.equal((await get({ key: 'guess' })).status, 429);
    assert.equal((await get({ key: TOKEN })).status, 200);
  });

  it('count what happens, in all processes together', async () => {
    const { key } = gate.pmkey('create', '--label', 'x', '--rate-limit', '12',
      '--budget-tokens', '10000');
    const was = await scrape(gate);
    const answers = await Promise.all(
      Array.from({ length: 12 }, () => ask(gate, { key })));
    assert.equal((await ask(gate, { key })).status, 429);
    assert.equal((await gate.request('/v1/nope')).status, 404);
    await gate.request('/health', { auth: false });
    /* A request is counted once it has ended, a moment after its answer. */
    let is;
    const more = (name) => is[name] - was[name];
    await eventually(async () => {
      is = await scrape(gate);
      return more('pmproxy_requests_total{class="2xx"}') +
        more('pmproxy_requests_total{class="4xx"}') >= 14 &&
        is.pmproxy_in_flight === 0;
    });
    const tokens = (kind) => answers.reduce((n, a) => n + a.json().usage[kind], 0);

    assert.equal(more('pmproxy_requests_total{class="2xx"}'), 12);
    assert.equal(more('pmproxy_requests_total{class="4xx"}'), 2);
    assert.equal(more('pmproxy_tokens_total{kind="prompt"}'), tokens('prompt_tokens'));
    assert.equal(more('pmproxy_tokens_total{kind="completion"}'),
      tokens('completion_tokens'));
    assert.equal(more('pmproxy_refusals_total{reason="key_requests"}'), 1);
    assert.equal(more('pmproxy_request_duration_seconds_count'), 12);
    assert.equal(more('pmproxy_request_duration_seconds_bucket{le="+Inf"}'), 12);
    assert.equal(more('pmproxy_first_byte_seconds_count'), 12);
    assert.equal(is.pmproxy_journal_errors_total, 0);
    assert.ok(!Object.keys(is).some((name) => name.includes('key_id')));
  });

  it('tell what is in flight, and survive responders', async () => {
    const slow = gate.open('/v1/chat/completions',
      { json: chat('standin/delay-head=60000') });
    slow.head.catch(() => {});
    await gate.standin.wait({ open: 1 });
    const was = await scrape(gate);
    const good = 'pmproxy_requests_total{class="2xx"}';
    assert.equal(was.pmproxy_in_flight, 1);
    for (const pid of gate.responders()) process.kill(pid, 'SIGKILL');
    await eventually(async () =>
      (await gate.request('/health', { auth: false })).status === 200);
    const is = await scrape(gate);
    assert.equal(is.pmproxy_in_flight, 0);
    assert.ok(is[good] >= was[good] && is[good] >= 12);
  });
});

describe('without a token', () => {
  let gate;

  before(async () => {
    gate = await startStack({ env: { METRICS_BY_KEY: '1' } });
  });
  after(() => gate?.stop());

  it('there is no such path', async () => {
    const answer = await gate.request('/metrics');
    assert.equal(answer.status, 404);
    assert.equal(answer.json().error.code, 'unknown_url');
  });
});

describe('metrics by key', () => {
  let gate;

  before(async () => {
    gate = await startStack(
      { env: { METRICS_TOKEN: TOKEN, METRICS_BY_KEY: '1' } });
  });
  after(() => gate?.stop());

  it('are there when they are asked for', async () => {
    const { key, key_id: id } = gate.pmkey('create', '--label', 'x');
    const answer = await ask(gate, { key });
    const is = await scrape(gate);

    assert.equal(is[`pmproxy_key_requests_total{key_id="${id}"}`], 1);
    assert.equal(is[`pmproxy_key_tokens_total{key_id="${id}"}`],
      answer.json().usage.total_tokens);
  });

  it('go with the key and its use, without a restart', async () => {
    const { key, key_id: id } = gate.pmkey('create', '--label', 'gone');

    await ask(gate, { key });
    assert.ok(fs.readFileSync(path.join(gate.runDir, 'metrics')).includes(id));
    gate.run('pmkey', 'delete', id, '--erase', '--yes');
    assert.ok(!(`pmproxy_key_requests_total{key_id="${id}"}` in await scrape(gate)));
    for (const name of ['metrics', 'limits'])
      assert.ok(!fs.readFileSync(path.join(gate.runDir, name)).includes(id));
  });

  it('a token that can be guessed ends the gate at its start', async () => {
    await assert.rejects(startStack({ env: { METRICS_TOKEN: 'short' } }),
      /METRICS_TOKEN/);
  });
});
