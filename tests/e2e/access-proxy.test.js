'use strict';
// Plain HTTP refused, and what a proxy in front is believed.
const { after, before, describe, test } = require('node:test');
const assert = require('node:assert/strict');
const { startStack } = require('./lib/stack');
const { CHAT, chat, checkError } = require('./lib/calls');

let forced, trusting, doubting, tls;
const env = { PROCESSES: '1', IP_RATE_LIMIT_REQUESTS: '3' };
before(async () => {
  [forced, trusting, doubting, tls] = await Promise.all([
    startStack({ env: { PROCESSES: '1', FORCE_HTTPS: '1', TRUST_PROXY: '0' } }),
    startStack({ env: { ...env, TRUST_PROXY: '1', FORCE_HTTPS: '1' } }),
    startStack({ env: { ...env, TRUST_PROXY: '0' } }),
    startStack({ tls: true, env: { PROCESSES: '1', FORCE_HTTPS: '1' } })]);
});
after(() => Promise.all([forced, trusting, doubting, tls]
  .map((gate) => gate?.stop())));

describe('plain HTTP where HTTPS is enforced', { timeout: 30000 }, () => {
  test('is refused, whatever is asked', async () => {
    for (const [path, options] of [['/v1/models', {}], [CHAT, chat()],
      ['/auth/key-info', {}], ['/v1/nope', {}], ['/metrics', {}],
      ['/health/nope', { auth: false }],
      [CHAT, { ...chat(), headers: { 'x-forwarded-proto': 'https',
        forwarded: 'proto=https' } }]])
      checkError(await forced.request(path, options), 403,
        'invalid_request_error', 'https_required');
    assert.equal((await forced.standin.stats()).requests, 0);
  });

  test('but for /health and /health/ready', async () => {
    for (const path of ['/health', '/health/ready'])
      assert.equal((await forced.request(path, { auth: false })).status, 200);
    checkError(await forced.request('/health', { method: 'POST' }), 403,
      'invalid_request_error', 'https_required');
  });

  test('in Anthropic\'s shape too', async () => {
    const answer = await forced.request('/v1/messages', chat());
    assert.equal(answer.status, 403);
    assert.equal(answer.json().error.type, 'permission_error');
  });

  test('HTTPS is not, and tells browsers to keep to it', async () => {
    for (const http of [1, 2]) {
      const answer = await tls.request('/v1/models', { http });
      assert.equal(answer.status, 200);
      assert.match(answer.headers['strict-transport-security'], /max-age=\d+/);
    }
    assert.equal((await forced.request('/health'))
      .headers['strict-transport-security'], undefined);
  });

  test('pages are sent on to HTTPS, forms are not', async () => {
    const host = { host: 'gate.example.org:8080' };
    for (const path of ['/admin/login', '/admin/usage?from=2026-01-01&x=%3C'])
      for (const method of ['GET', 'HEAD']) {
        const answer = await forced.request(path, { headers: host, method });
        assert.equal(answer.status, 308);
        assert.equal(answer.headers.location, `https://gate.example.org${path}`);
        assert.equal(answer.text, '');
      }
    assert.equal((await forced.request('/admin/login', { headers:
      { host: '[2001:db8::1]:8080' } })).headers.location,
    'https://[2001:db8::1]/admin/login');
    const form = await forced.request('/admin/login', { headers: { ...host,
      'content-type': 'application/x-www-form-urlencoded' },
    body: 'do=login&password=x' });
    assert.equal(form.status, 403);
    assert.equal(form.headers.location, undefined);
    assert.equal((await forced.request(`/admin/login?${'x'.repeat(2000)}`,
      { headers: host })).headers.location,
    'https://gate.example.org/admin/login');
  });

  test('where a proxy in front speaks HTTPS, it is bound to it', async () => {
    const told = async (gate, path, proto) => (await gate.request(path,
      { headers: { 'x-forwarded-proto': proto, 'x-forwarded-for': '203.0.113.9',
      } })).headers['strict-transport-security'];
    for (const path of ['/health', '/v1/nope', '/admin/login']) {
      assert.match(await told(trusting, path, 'https'), /^max-age=31536000$/);
      assert.equal(await told(trusting, path, 'http'), undefined);
      assert.equal(await told(forced, path, 'https'), undefined);
      assert.equal(await told(doubting, path, 'https'), undefined);
      /* Once, not twice. */
      assert.match(await told(tls, path, 'https'), /^max-age=31536000$/);
    }
  });

  test('a proxy that is trusted may say that it was HTTPS', async () => {
    const ask = (proto) => trusting.request('/v1/models', { headers: {
      'x-forwarded-proto': proto, 'x-forwarded-for': '203.0.113.99' } });
    assert.equal((await ask('https')).status, 200);
    assert.equal((await ask('http, https')).status, 200);
    assert.equal((await ask('https, http')).status, 403);
    assert.equal((await ask('ftp')).status, 403);
  });
});

describe('the address that counts', { timeout: 30000 }, () => {
  const from = (gate, list) => gate.request('/v1/models', { headers:
    { 'x-forwarded-proto': 'https', ...(list && { 'x-forwarded-for': list }) } });
  const statuses = async (gate, lists) => {
    const got = [];
    for (const list of lists) got.push((await from(gate, list)).status);
    return got;
  };

  test('with TRUST_PROXY it is the right-most of X-Forwarded-For', async () => {
    /* What stands left of it anybody can make up. */
    assert.deepEqual(await statuses(trusting, ['198.51.100.7',
      '9.9.9.9, 10.1.1.1, 198.51.100.7', '10.2.2.2,198.51.100.7',
      '1.1.1.1 , 198.51.100.7 ', '198.51.100.8',
      '198.51.100.7, 198.51.100.7, 198.51.100.8']),
    [200, 200, 200, 429, 200, 200]);
  });

  test('of IPv6 the /64, of an IPv4 inside of IPv6 the IPv4', async () => {
    assert.deepEqual(await statuses(trusting, ['2001:db8:1:2::1',
      '2001:db8:1:2:ffff::1', '2001:DB8:1:2:3:4:5:6', '2001:db8:1:2::9',
      '2001:db8:1:3::1', '::ffff:192.0.2.1', '192.0.2.1', '::ffff:c000:201',
      '192.0.2.1']), [200, 200, 200, 429, 200, 200, 200, 200, 429]);
  });

  test('what is no address counts as one and the same', async () => {
    const got = await statuses(trusting, ['unknown', '_hidden', 'x'.repeat(60),
      'nonsense']);
    assert.deepEqual(got, [200, 200, 200, 429]);
  });

  test('without TRUST_PROXY it is the connection\'s', async () => {
    assert.deepEqual(await statuses(doubting, ['203.0.113.1', '203.0.113.2',
      undefined, '203.0.113.3', undefined]), [200, 200, 200, 429, 429]);
    assert.equal((await doubting.request('/health', { auth: false })).status, 200);
  });
});
