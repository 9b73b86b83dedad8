'use strict';
/*
 * A body that the web server asked about first: what is counted is counted
 * once, and what a key has used up is told before the body is sent.
 */
const assert = require('node:assert/strict');
const { after, before, describe, test } = require('node:test');
const { startStack } = require('./lib/stack');
const { assertOpenaiError, chat, parseAnswer } = require('./lib/front');
const { journal } = require('./lib/journal');
const { notOnCaddy } = require('./lib/servers');

const CHAT = '/v1/chat/completions';
const TOKEN = 'a token for metrics';
const long = { ...chat('x'.repeat(20000)), model: 'standin/words=1' };

describe('a body that was asked about', { skip: notOnCaddy('own') }, () => {
  let gate;

  before(async () => {
    gate = await startStack({ env: { IP_RATE_LIMIT_REQUESTS: '4',
      METRICS_TOKEN: TOKEN } });
  });
  after(() => gate?.stop());

  test('counts once: for its address, in the journal, in metrics', async () => {
    const counted = (text) => [...text.matchAll(
      /^pmproxy_requests_total\{.*([1-5]xx).*\} (\d+)/gm)]
      .map(([, status, n]) => [status, Number(n)]).filter(([, n]) => n > 0);

    for (let i = 0; i < 3; i++)
      assert.equal((await gate.request(CHAT, { json: long })).status, 200);
    const metrics = await gate.request('/metrics', { key: TOKEN });
    assert.equal(metrics.status, 200, metrics.text);
    assert.deepEqual(counted(metrics.text), [['2xx', 3]]);
    const refused = await gate.request(CHAT, { json: long });
    assertOpenaiError(refused, 429, 'rate_limit_exceeded');
    assert.equal(journal(gate).length, 3);
  });
});

test('a key whose requests are used up learns it on the head alone',
  { skip: notOnCaddy('own') }, async () => {
    const gate = await startStack({ env: { PROCESSES: '1' } });

    try {
      const { key } = gate.pmkey('create', '--label', 'one', '--rate-limit',
        '1');
      assert.equal((await gate.request(CHAT, { key, json: long })).status, 200);
      for (const how of ['Content-Length: 30000000',
        'Transfer-Encoding: chunked']) {
        const answer = parseAnswer(await gate.raw(`POST ${CHAT} HTTP/1.1\r\n` +
          `Host: a\r\nAuthorization: Bearer ${key}\r\n${how}\r\n\r\n`));
        assertOpenaiError(answer, 429, 'rate_limit_exceeded');
        assert.ok(Number(answer.headers['retry-after']) > 0);
      }
    } finally {
      await gate.stop();
    }
  });
