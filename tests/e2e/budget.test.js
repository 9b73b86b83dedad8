'use strict';
/*
 * Budgets through the whole gate: a key never uses more than its month has,
 * however many requests come at once and whatever dies; and it is told so.
 * A chat here uses bytes/4 prompt tokens and max_tokens completion tokens at
 * most, and costs 5,000 nano-EUR a token.
 */
const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { after, before, describe, it } = require('node:test');
const { eventually, startStack } = require('./lib/stack');
const { notOnCaddy } = require('./lib/servers');

const MODEL = 'gpt-oss-120b';
const chat = (model = MODEL, more = { max_tokens: 20 }) =>
  ({ model, messages: [{ role: 'user', content: 'a note '.repeat(30) }], ...more });
const ask = (gate, key, body = chat(), target = '/v1/chat/completions') =>
  gate.request(target, { key, json: body });
const make = (gate, ...options) =>
  gate.pmkey('create', '--label', 'budget', ...options);

/* What the journal says a key used, from pmusage. */
function used(gate, id) {
  const args = ['show', '--period', 'month', '--key', id, '--by', 'model', '--json'];
  return JSON.parse(gate.run('pmusage', ...args)).total;
}

describe('a budget', () => {
  let gate;

  before(async () => { gate = await startStack(); });
  after(() => gate?.stop());

  it('of tokens is never overspent by 64 requests at once', async () => {
    const { key, key_id: id } = make(gate, '--budget-tokens', '2000');
    const answers = await Promise.all(
      Array.from({ length: 64 }, () => ask(gate, key)));
    const refused = answers.filter((a) => a.status === 429);
    const good = answers.filter((a) => a.status === 200);
    const tokens = good.reduce((n, a) => n + a.json().usage.total_tokens, 0);

    assert.equal(good.length + refused.length, 64);
    assert.ok(good.length > 5 && refused.length > 5, `${good.length} answered`);
    assert.ok(tokens <= 2000, `${tokens} tokens`);
    assert.equal(used(gate, id).total_tokens, tokens);
    /* What is left serves whom it covers, to the last of them. */
    let last;
    do last = await ask(gate, key); while (last.status === 200);
    const total = used(gate, id).total_tokens;
    assert.ok(total <= 2000 && total > 1850, `${total} tokens in the end`);
  });

  it('of EUR is never overspent by 64 requests at once', async () => {
    const { key, key_id: id } = make(gate, '--budget-eur', '0.01');
    const answers = await Promise.all(
      Array.from({ length: 64 }, () => ask(gate, key)));
    const good = answers.filter((a) => a.status === 200);

    assert.ok(good.length > 5 && good.length < 64, `${good.length} answered`);
    assert.ok(used(gate, id).cost_eur <= 0.01);
  });

  it('that is spent is told as quota, once and for all', async () => {
    const { key } = make(gate, '--budget-tokens', '10');
    const refused = await ask(gate, key);
    const { error } = refused.json();

    assert.equal(refused.status, 429);
    assert.equal(error.type, 'insufficient_quota');
    assert.equal(error.code, 'insufficient_quota');
    assert.equal(error.param, null);
    assert.equal(refused.headers['retry-after'], undefined);
    assert.equal(refused.headers['x-should-retry'], 'false');

    const message = await ask(gate, key, chat(), '/v1/messages');
    assert.equal(message.status, 429);
    assert.equal(message.json().error.type, 'rate_limit_error');
    assert.equal(message.headers['x-should-retry'], 'false');
    /* A list costs nothing. */
    assert.equal((await gate.request('/v1/models', { key })).status, 200);
  });

  it('tells in headers what is left from the warning level on', async () => {
    const { key } = make(gate, '--budget-tokens', '1000', '--budget-eur', '100');
    const first = await ask(gate, key);

    assert.equal(first.headers['x-pmproxy-budget-remaining-tokens'], undefined);
    gate.run('pmsettings', 'set', 'BUDGET_WARNING', '1');
    const second = await ask(gate, key);
    gate.run('pmsettings', 'unset', 'BUDGET_WARNING');
    const left = Number(second.headers['x-pmproxy-budget-remaining-tokens']);
    assert.ok(left < 1000 && left > 500, `${left} left`);
    assert.equal(second.headers['x-pmproxy-budget-remaining-eur'], undefined);
  });

  it('is one for a rotated key and its successor', async () => {
    const old = make(gate, '--budget-tokens', '1000');
    const left = async (key) =>
      (await gate.request('/auth/usage', { key })).json().budget.remaining_tokens;
    let last;

    assert.equal((await ask(gate, old.key)).status, 200);
    const young = gate.pmkey('rotate', old.key_id, '--grace', '1h');
    assert.equal(await left(young.key), await left(old.key));
    do last = await ask(gate, young.key); while (last.status === 200);
    assert.equal(last.json().error.code, 'insufficient_quota');
    assert.equal((await ask(gate, old.key)).status, 429);
    const total = [old, young].reduce(
      (n, k) => n + used(gate, k.key_id).total_tokens, 0);
    assert.ok(total <= 1000 && total > 850, `${total} tokens`);
    assert.equal(await left(old.key), 1000 - total);
    /* Counted anew, by whichever asks first, and once one is deleted. */
    gate.run('pmsettings', 'price', 'set', MODEL, '--prompt', '7');
    assert.equal((await ask(gate, old.key)).status, 429);
    gate.run('pmkey', 'delete', old.key_id, '--yes');
    gate.run('pmsettings', 'price', 'unset', MODEL);
    assert.equal((await ask(gate, young.key)).status, 429);
    const third = gate.pmkey('rotate', young.key_id, '--grace', '0');
    assert.equal((await ask(gate, third.key)).status, 429);
    /* What is erased counts no more. */
    gate.run('pmkey', 'delete', young.key_id, '--erase', '--yes');
    assert.equal(await left(third.key), 1000 - used(gate, old.key_id).total_tokens);
    assert.equal((await ask(gate, third.key)).status, 200);
  });

  it('counts anew after the use of its key was erased', async () => {
    const { key, key_id: id } = make(gate, '--budget-tokens', '1000');

    while ((await ask(gate, key)).status === 200) continue;
    gate.run('pmusage', 'erase', id);
    assert.equal((await ask(gate, key)).status, 200);
  });

  it('bounds an answer of any length near its end, and not before', async () => {
    const { key, key_id: id } = make(gate, '--budget-tokens', '500000');
    const sent = async () => {
      const [r] = await gate.standin.requests(1, { body: true });
      return JSON.parse(Buffer.from(r.body_base64, 'base64'));
    };
    const open = (more = {}) => ask(gate, key, chat(MODEL, more));
    const set = (...options) => gate.pmkey('set', id, ...options);
    const left = async () =>
      (await gate.request('/auth/usage', { key })).json().budget.remaining_tokens;

    assert.equal((await open()).status, 200);
    assert.equal('max_tokens' in await sent(), false);
    set('--budget-tokens', '100000');
    await open();
    assert.equal((await sent()).max_tokens, 16384);
    await open({ max_tokens: null, n: 2, stream: true });
    const body = await sent();
    assert.equal(body.max_tokens, 8192);
    assert.equal(body.stream_options.include_usage, true);
    /* What the client names is not touched. */
    await open({ max_completion_tokens: 7 });
    assert.equal('max_tokens' in await sent(), false);
    await ask(gate, key, { model: MODEL, prompt: 'a' }, '/v1/completions');
    assert.equal('max_tokens' in await sent(), false);

    set('--budget-tokens', String(used(gate, id).total_tokens + 300));
    const rest = await left();
    const last = await open();
    assert.equal(last.status, 200);
    const bound = (await sent()).max_tokens;
    assert.ok(bound < rest && bound > rest / 2, `${bound} of ${rest}`);
    set('--budget-tokens', '0', '--budget-eur', '1');
    await open();
    assert.equal('max_tokens' in await sent(), false);
    set('--budget-eur', '0.01');
    await open();
    const { max_tokens: paid } = await sent();
    assert.ok(paid > 1000 && paid < 2000, `${paid}`);
  });

  it('is kept by answers of any length at once', async () => {
    const { key, key_id: id } = make(gate, '--budget-tokens', '3000');
    const long = chat('standin/words=900', {});
    let answers;

    do answers = await Promise.all(Array.from({ length: 8 }, () => ask(gate, key, long)));
    while (answers.some((a) => a.status === 200));
    const total = used(gate, id).total_tokens;
    assert.ok(total <= 3000 && total > 2800, `${total} tokens`);
  });

  it('follows pmkey set, up and down', async () => {
    const { key, key_id: id } = make(gate);

    assert.equal((await ask(gate, key)).status, 200);
    gate.pmkey('set', id, '--budget-tokens', String(used(gate, id).total_tokens));
    assert.equal((await ask(gate, key)).status, 429);
    gate.pmkey('set', id, '--budget-tokens', '100000');
    assert.equal((await ask(gate, key)).status, 200);
    gate.pmkey('set', id, '--budget-eur', '0.000000001');
    assert.equal((await ask(gate, key)).status, 429);
    gate.pmkey('set', id, '--budget-eur', '0', '--budget-tokens', '0');
    assert.equal((await ask(gate, key)).status, 200);
  });

  it('counts what was used before, of this month only', async () => {
    const { key, key_id: id } = make(gate, '--budget-tokens', '1000');
    const at = (ms) => new Date(ms).toISOString().replace(/[-T]/g, '').slice(0, 10);
    const line = (n) => `\n1\t${id}\t${MODEL}\tchat.completions\t2\t${n}\t0\t0\t${n}` +
      '\t0\t0\t10\t5\t0\t.\n';
    const month = new Date();
    const first = Date.UTC(month.getUTCFullYear(), month.getUTCMonth(), 1);
    const journal = (ms) => path.join(gate.stateDir, 'journal', at(ms));

    fs.appendFileSync(journal(first - 1), line(5000));
    fs.appendFileSync(journal(first), line(700));
    assert.equal((await ask(gate, key)).status, 200);
    assert.equal((await ask(gate, key, chat(MODEL, { max_tokens: 250 }))).status, 429);
  });

  it('is charged at the price of the hour, also when that changes', async () => {
    const { key } = make(gate, '--budget-eur', '0.01');

    assert.equal((await ask(gate, key)).status, 200);
    gate.run('pmsettings', 'price', 'set', MODEL, '--prompt', '1000', '--completion', '1000');
    assert.equal((await ask(gate, key)).status, 429);
    gate.run('pmsettings', 'price', 'unset', MODEL);
    assert.equal((await ask(gate, key)).status, 200);
  });

  it('covers audio by its size', async () => {
    const { key, key_id: id } = make(gate, '--budget-eur', '0.1');
    const send = (size) => {
      const form = '--b\r\nContent-Disposition: form-data; name="model"\r\n\r\n' +
        'whisper-large-v3\r\n--b\r\nContent-Disposition: form-data; name="file"; ' +
        `filename="a.wav"\r\n\r\n${'x'.repeat(size)}\r\n--b--\r\n`;
      return gate.request('/v1/audio/transcriptions', { key, body: form,
        headers: { 'content-type': 'multipart/form-data; boundary=b' } });
    };

    assert.equal((await send(1048576)).status, 200);
    assert.equal(used(gate, id).cost_eur, 0.096);
    assert.equal((await send(1048576)).status, 429);
    assert.equal((await send(1024)).status, 200);
  });
});

describe('/auth/usage', () => {
  let gate;
  const usage = async (key, query = '') => {
    const answer = await gate.request(`/auth/usage${query}`, { key });
    assert.equal(answer.status, 200);
    return answer.json();
  };

  before(async () => { gate = await startStack(); });
  after(() => gate?.stop());

  it('tells a key its own use, limits and budget, and no other\'s', async () => {
    const mine = make(gate, '--budget-eur', '1.5', '--budget-tokens', '5000',
      '--rate-limit', '9');
    const theirs = make(gate);
    const answers = [await ask(gate, mine.key), await ask(gate, mine.key)];
    const total = answers.reduce((n, a) => n + a.json().usage.total_tokens, 0);

    await ask(gate, theirs.key);
    const told = await usage(mine.key);
    const eur = (tokens) => (tokens * 5000 / 1e9).toString();
    assert.equal(told.key_id, mine.key_id);
    assert.equal(told.usage.requests, 2);
    assert.equal(told.usage.total_tokens, total);
    assert.equal(told.usage.cost_eur, eur(total));
    assert.deepEqual(told.usage.models.map((m) => [m.model, m.requests]), [[MODEL, 2]]);
    assert.equal(told.limits.requests, 9);
    assert.deepEqual(told.budget, { eur: '1.5', remaining_eur: eur(300000 - total),
      tokens: 5000, remaining_tokens: 5000 - total, warning_percent: 80 });
    assert.ok(!JSON.stringify(told).includes(theirs.key_id));
    assert.equal((await usage(theirs.key)).budget, null);
    const info = await gate.request('/auth/key-info', { key: mine.key });
    assert.deepEqual(info.json().budget, told.budget);
  });

  it('knows days and months', async () => {
    const { key, key_id: id } = make(gate);
    const line = (n) => `\n1\t${id}\t${MODEL}\tchat.completions\t2\t${n}\t0\t0\t${n}` +
      '\t0\t0\t10\t5\t0\t.\n';
    const journal = (hour) => path.join(gate.stateDir, 'journal', hour);

    await ask(gate, key);
    fs.appendFileSync(journal('2024022823'), line(1));
    fs.appendFileSync(journal('2024022900'), line(2));
    fs.appendFileSync(journal('2024022923'), line(4));
    fs.appendFileSync(journal('2024030100'), line(8));
    const tokens = async (period) => (await usage(key, `?period=${period}`)).usage.prompt_tokens;
    assert.equal(await tokens('2024-02'), 7);
    assert.equal(await tokens('2024-02-29'), 6);
    assert.equal(await tokens('2024-03'), 8);
    assert.equal(await tokens('yesterday'), 0);
    assert.deepEqual((await usage(key, '?period=2024-12')).period,
      { from: '2024-12-01T00:00:00Z', to: '2025-01-01T00:00:00Z' });
    assert.equal((await usage(key)).usage.requests, 1);
    assert.equal((await usage(key, '?period=month&x=%41')).usage.requests, 1);
    for (const query of ['?period=', '?period=2024-13', '?period=2023-02-29',
      '?period=all%00', '?period=a&period=b', '?period=%zz', `?x=${'y'.repeat(300)}`])
      assert.equal((await gate.request(`/auth/usage${query}`, { key })).status, 400, query);
    assert.equal((await gate.request('/auth/usage', { auth: false })).status, 401);
    assert.equal((await gate.request('/auth/usage', { key, method: 'POST', body: '' })).status, 405);
  });
});

describe('what is reserved', () => {
  let gate;
  const slow = (key) => {
    const one = gate.open('/v1/chat/completions',
      { key, json: chat('standin/delay-head=60000', { max_tokens: 900 }) });
    one.head.catch(() => {});
    return one;
  };

  before(async () => { gate = await startStack({ tls: true }); });
  after(() => gate?.stop());

  it('is not cut when the budget runs out, and comes back',
    { skip: notOnCaddy('gone') }, async () => {
    const { key, key_id: id } = make(gate, '--budget-tokens', '1000');
    const held = slow(key);

    await gate.standin.wait({ open: 1 });
    assert.equal((await ask(gate, key)).status, 429);
    gate.pmkey('set', id, '--budget-tokens', '1');
    assert.equal((await gate.standin.stats()).open, 1);
    gate.pmkey('set', id, '--budget-tokens', '1000');
    held.abort();
    await gate.standin.wait({ open: 0 });
    await eventually(async () => (await ask(gate, key)).status === 200);
  });

  it('comes back from responders that were killed', async () => {
    const { key } = make(gate, '--budget-tokens', '1000');

    slow(key);
    await gate.standin.wait({ open: 1 });
    assert.equal((await ask(gate, key)).status, 429);
    for (const pid of gate.responders()) process.kill(pid, 'SIGKILL');
    await eventually(async () =>
      (await gate.request('/health', { auth: false })).status === 200);
    assert.equal((await ask(gate, key)).status, 200);
  });

  it('and what was used is still known after shared memory is gone', async () => {
    const { key, key_id: id } = make(gate, '--budget-tokens', '2000');

    while ((await ask(gate, key)).status === 200) continue;
    const before = used(gate, id).total_tokens;
    fs.unlinkSync(path.join(gate.runDir, 'limits'));
    await eventually(async () => fs.existsSync(path.join(gate.runDir, 'limits')) ||
      !(await ask(gate, key)));
    const answers = await Promise.all(
      Array.from({ length: 32 }, () => ask(gate, key)));
    assert.deepEqual([...new Set(answers.map((a) => a.status))], [429]);
    assert.equal(used(gate, id).total_tokens, before);
  });
});
