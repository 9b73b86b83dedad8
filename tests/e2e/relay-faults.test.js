'use strict';
// An upstream that misbehaves: a client learns of it, and never takes half an
// answer for a whole one.
const { after, before, beforeEach, describe, test } = require('node:test');
const assert = require('node:assert/strict');
const { PATIENCE } = require('./lib/patience');
const { startStack, eventually, events } = require('./lib/stack');
const { notOnCaddy } = require('./lib/servers');
const { CHAT, SAYS, chat, checkError, checkHead, chunks, endsWithDone, faulty,
  form, received, said } = require('./lib/calls');

/* The patient one is for what may take its time on a busy machine. */
let gate, patient;
before(async () => {
  [gate, patient] = await Promise.all([
    startStack({ env: { PROCESSES: '1', UPSTREAM_FIRST_BYTE_TIMEOUT: '1',
      UPSTREAM_IDLE_TIMEOUT: '1' } }),
    startStack({ env: { PROCESSES: '1' } })]);
});
after(() => Promise.all([gate, patient].map((one) => one?.stop())));

const ask = (faults, more) => gate.request(CHAT, faulty(faults, more));
const streamed = (faults, more) => ask(faults, { stream: true, ...more });
const MESSAGES = '/v1/messages';
const messages = (faults, more) => gate.request(MESSAGES,
  faulty(faults, { max_tokens: 50, ...more }));

/* An Anthropic error of that type. */
function checkMessagesError(answer, status, type) {
  assert.equal(answer.status, status, answer.text);
  checkHead(answer, 'application/json');
  const { type: top, error, request_id: id } = answer.json();
  assert.equal(top, 'error');
  assert.equal(error.type, type);
  assert.equal(typeof error.message, 'string');
  assert.equal(id, answer.headers['request-id']);
}

const timed = async (promise) => {
  const begun = Date.now();
  return [await promise, Date.now() - begun];
};

describe('errors that the upstream tells', { timeout: 30000 }, () => {
  test('an error object passes as it is', async () => {
    for (const status of [400, 404, 409, 418, 422, 429, 500, 503, 529]) {
      const answer = await ask(`status=${status}`);
      assert.equal(answer.status, status);
      checkHead(answer, 'application/json');
      assert.equal(answer.json().error.code, status, 'an integer, as vLLM has');
      assert.equal((await streamed(`status=${status}`)).text, answer.text);
    }
  });

  test('anything else becomes an error object of the same status', async () => {
    for (const status of [400, 422, 500, 503])
      for (const shape of ['string', 'html', 'text', 'empty'])
        checkError(await ask(`status=${status},error-body=${shape}`), status,
          status < 500 ? 'invalid_request_error' : 'server_error', null);
  });

  test('in Anthropic\'s shape on /v1/messages', async () => {
    for (const [status, type] of [[400, 'invalid_request_error'],
      [404, 'not_found_error'], [413, 'request_too_large'],
      [429, 'rate_limit_error'], [500, 'api_error'], [529, 'overloaded_error']])
      checkMessagesError(await messages(`status=${status},error-body=html`),
        status, type);
  });

  test('Retry-After passes, whatever the shape', async () => {
    for (const shape of ['openai', 'html', 'empty'])
      for (const status of [429, 503]) {
        const answer = await ask(
          `status=${status},retry-after=7,error-body=${shape}`);
        assert.equal(answer.status, status);
        assert.equal(answer.headers['retry-after'], '7', shape);
      }
  });

  test('its refusal of the organisation\'s key is no fault of the client', async () => {
    for (const status of [401, 403])
      for (const shape of ['openai', 'empty']) {
        const faults = `status=${status},error-body=${shape}`;
        checkError(await ask(faults), 502, 'server_error', 'upstream_auth');
        checkError(await streamed(faults), 502, 'server_error', 'upstream_auth');
      }
    checkMessagesError(await messages('status=401'), 502, 'api_error');
    assert.match(gate.log(), /upstream refuses PRIVATEMODE_API_KEY/);
  });

  test('a redirect is not followed', async () => {
    await gate.standin.reset();
    const answer = await ask('redirect');
    checkError(answer, 502, 'server_error', 'upstream_unreachable');
    assert.equal(answer.headers.location, undefined);
    assert.equal((await received(gate, 9)).length, 1);
  });

  test('an unknown model and an unknown path', async () => {
    const answer = await gate.request(CHAT, chat({ model: 'quail' }));
    assert.equal(answer.status, 404);
    assert.equal(answer.json().error.code, 404);
  });
});

describe('whole answers that break', { timeout: 30000 }, () => {
  const broken = ['reset-after=0', 'reset-after=5', 'close-after=0',
    'close-after=5', 'truncate', 'headers=9000'];

  for (const fault of broken)
    test(`${fault}: an honest 502`, async () => {
      checkError(await ask(fault), 502, 'server_error', 'upstream_unreachable');
      checkMessagesError(await messages(fault), 502, 'api_error');
    });

  test('a large one is cut, not passed off as complete', async () => {
    for (const fault of ['truncate', 'reset-after=150000', 'close-after=150000']) {
      const exchange = gate.open(CHAT, faulty(`huge=200000,${fault}`));
      assert.equal((await exchange.head).status, 200);
      await assert.rejects(exchange.whole(), fault);
    }
  });

  test('huge ones arrive whole', async () => {
    const answer = await patient.request(CHAT, faulty('huge=20000000'));
    assert.equal(answer.status, 200);
    assert.equal(answer.json().choices[0].message.content.length, 20000000);
  });

  test('without a length, in pieces, of another type, of broken JSON', async () => {
    const slowly = (faults) => patient.request(CHAT, faulty(faults));
    for (const faults of ['no-length', 'slow-body=5', 'slow-body=3,no-length'])
      assert.equal((await slowly(faults)).json().choices[0].message.content,
        `${SAYS}hello world`);
    const other = await slowly('type=text/plain; charset=x');
    assert.equal(other.headers['content-type'], 'text/plain; charset=x');
    assert.equal(other.json().choices[0].message.content, `${SAYS}hello world`);
    const bad = await slowly('bad-json');
    assert.equal(bad.status, 200);
    assert.throws(() => bad.json());
  });

  test('an answer before the body was read', async () => {
    const junk = 'x'.repeat(8 << 20);
    const early = await gate.request(CHAT, { json: { model:
      'standin/early=1,status=429,retry-after=3', messages: [], junk } });
    assert.equal(early.status, 429, early.text);
    assert.equal(early.headers['retry-after'], '3');
    const hard = await gate.request(CHAT, { json: { model:
      'standin/early=2,status=429', messages: [], junk } });
    assert.ok([429, 502].includes(hard.status), hard.text);
    assert.equal(typeof hard.json().error.message, 'string');
  });
});

describe('silence', { timeout: 30000 }, () => {
  test('before the head: 504 after the time that is set', async () => {
    const last = messages('delay-head=3000');
    const calls = [false, true].map((stream) =>
      timed(ask('delay-head=3000', { stream })));
    for (const [answer, ms] of await Promise.all(calls)) {
      checkError(answer, 504, 'server_error', 'upstream_timeout');
      assert.ok(ms >= 990 && ms < 2500 * PATIENCE, `${ms} ms`);
    }
    checkMessagesError(await last, 504, 'timeout_error');
  });

  test('within a whole answer: 502', async () => {
    const calls = ['delay-body=3000', 'stall-after=9'].map((faults) =>
      timed(ask(faults)));
    for (const [answer, ms] of await Promise.all(calls)) {
      checkError(answer, 502, 'server_error', 'upstream_unreachable');
      assert.ok(ms >= 990 && ms < 2500 * PATIENCE, `${ms} ms`);
    }
  });

  test('the upstream call is given up then', async () => {
    await gate.standin.reset();
    await ask('stall-after=9');
    await gate.standin.wait({ aborted: 1 }, 1000);
  });

  test('slow is not silent', async () => {
    const [answer, ms] = await timed(ask('slow-body=5,pause=400'));
    assert.equal(answer.status, 200);
    assert.ok(ms > 1500);
  });
});

describe('streams that break', { timeout: 30000 }, () => {
  /* An error the SDKs raise stands last, and nothing says [DONE]. */
  const checkBroken = (answer, n) => {
    assert.equal(answer.status, 200);
    checkHead(answer, 'text/event-stream');
    assert.ok(!answer.text.includes('[DONE]'), answer.text);
    const list = events(answer.text);
    const { error } = JSON.parse(list.at(-1).data);
    assert.equal(error.type, 'server_error');
    assert.equal(error.code, 'upstream_unreachable');
    assert.ok(answer.text.endsWith('\n\n'));
    assert.equal(list.length, n + 1, answer.text);
  };

  for (const fault of ['reset-after', 'close-after', 'end-after', 'stall-after'])
    test(`${fault}: an error event ends it`, async () => {
      const model = `standin/${fault}=2`;
      const rows = [...[1, 2, 5].map((n) => [streamed(`${fault}=${n},rate=500`), n]),
        [streamed(`${fault}=5,crlf`), 5],
        [gate.request('/v1/completions',
          { json: { model, stream: true, prompt: 'x' } }), 2],
        [gate.request('/v1/audio/transcriptions',
          form({ model, stream: 'true' }, 'x')), 2]];
      for (const [answer, n] of rows) checkBroken(await answer, n);
    });

  test('even one that broke before its first event', async () => {
    checkBroken(await streamed('close-after=0'), 0);
    checkBroken(await streamed('end-after=0'), 0);
  });

  test('inside a line: that line ends first', async () => {
    /* What might be the usage that nobody asked for is held back. */
    for (const [more, asked] of [['', true], [',crlf', true], ['', false]]) {
      const { text } = await streamed(`truncate${more}`,
        { stream_options: { include_usage: asked } });
      const list = events(text);
      assert.ok(!text.includes('[DONE]'));
      assert.equal(JSON.parse(list.at(-1).data).error.code,
        'upstream_unreachable');
      if (asked) assert.throws(() => JSON.parse(list.at(-2).data));
      else assert.ok(JSON.parse(list.at(-2).data).choices);
    }
  });

  test('Anthropic\'s end with an event named error', async () => {
    const answers = ['reset-after=3', 'close-after=3', 'end-after=3',
      'stall-after=3', 'truncate'].map((faults) =>
      messages(faults, { stream: true }));
    for (const answer of await Promise.all(answers)) {
      assert.equal(answer.status, 200);
      const list = events(answer.text);
      assert.equal(list.at(-1).event, 'error', answer.text);
      const { type, error, request_id: id } = JSON.parse(list.at(-1).data);
      assert.deepEqual([type, error.type], ['error', 'api_error']);
      assert.equal(id, answer.headers['request-id']);
      assert.doesNotMatch(answer.text, /message_stop/);
    }
  });

  test('an error that the upstream tells itself is told once', async () => {
    const list = endsWithDone((await streamed('error-after=3')).text);
    assert.equal(list.filter((chunk) => chunk.error).length, 1);
    assert.ok(list.at(-2).error);
    const { text } = await messages('error-after=3', { stream: true });
    assert.equal(events(text).filter(({ event }) => event === 'error').length, 1);
  });

  test('a break after [DONE] spoils nothing', async () => {
    const { text } = await streamed('words=2');
    const n = events(text).length + 1; // with the usage that is taken out
    for (const fault of ['reset-after', 'close-after']) {
      const answer = await streamed(`words=2,${fault}=${n}`);
      assert.equal(said(endsWithDone(answer.text)), 'This is', fault);
    }
    const whole = events((await messages('words=2', { stream: true })).text);
    const after = await messages(`words=2,close-after=${whole.length}`,
      { stream: true });
    assert.deepEqual(events(after.text).map(({ event }) => event),
      whole.map(({ event }) => event));
  });

  test('broken JSON in an event passes: it is the upstream\'s', async () => {
    const { text } = await streamed('bad-json');
    assert.ok(text.endsWith('data: [DONE]\n\n'));
    assert.throws(() => chunks(text));
  });

  test('a stream of another type is passed on, or an honest error',
    { skip: notOnCaddy('tidy') }, async () => {
    const answer = await streamed('type=text/plain');
    assert.equal(answer.headers['content-type'], 'text/plain');
    assert.match(answer.text, /\[DONE\]/);
    checkError(await streamed('type=text/plain,close-after=3'), 502,
      'server_error', 'upstream_unreachable');
    /* In turn: head, body and end must never reach lighttpd as one. */
    for (let i = 0; i < 20; i++) {
      const exchange = gate.open(CHAT,
        faulty('type=text/plain,words=2000,close-after=1500', { stream: true }));
      await assert.rejects(exchange.whole());
    }
  });
});

describe('connections', { timeout: 30000 }, () => {
  beforeEach(() => gate.standin.reset());

  test('one is kept', async () => {
    for (let i = 0; i < 5; i++) await ask('words=3');
    const list = await received(gate, 5);
    /* Caddy sends in parts, some of which come together: two ways to serve. */
    const most = process.env.STACK_SERVER === 'caddy' ? 2 : 1;
    assert.ok(new Set(list.map(({ connection }) => connection)).size <= most);
  });

  test('one that died in idleness is replaced, the request goes out once', async () => {
    for (const fault of ['die-on-reuse', 'close-idle']) {
      await ask(`words=1,${fault}`);
      const answer = await ask('words=3');
      assert.equal(answer.status, 200, answer.text);
      const [first, second, ...more] = (await received(gate, 9)).slice(-2);
      assert.equal(more.length, 0);
      assert.notEqual(first.connection, second.connection);
    }
    assert.equal((await received(gate, 9)).length, 4);
  });

  test('a reset before any byte on a kept connection: once more, not twice', async () => {
    await ask('words=1');
    checkError(await ask('reset-after=0'), 502, 'server_error',
      'upstream_unreachable');
    assert.equal((await received(gate, 9)).length, 1 + 2);
    checkError(await ask('reset-after=0'), 502, 'server_error',
      'upstream_unreachable');
    assert.equal((await received(gate, 9)).length, 1 + 2 + 1, 'a new one');
  });

  test('a large body goes whole on the new connection', async () => {
    await ask('words=1,die-on-reuse');
    const answer = await ask('words=3', { junk: 'x'.repeat(5e6) });
    assert.equal(answer.status, 200, answer.text);
    assert.ok((await received(gate, 1))[0].body_length > 5e6);
  });

  test('nothing is sent again that may have been read', async () => {
    for (const fault of ['delay-head=3000', 'close-after=0', 'status=503',
      'truncate', 'delay-head=1,reset-after=5']) {
      await gate.standin.reset();
      await ask(fault);
      assert.equal((await received(gate, 9)).length, 1, fault);
    }
  });

  test('after all this nothing is open', async () => {
    await eventually(async () => (await gate.standin.stats()).open === 0);
    assert.equal((await gate.request(CHAT, chat())).status, 200);
    assert.equal(gate.responders().length, 1);
    assert.doesNotMatch(gate.log(), /hello|AddressSanitizer|runtime error/);
  });
});
