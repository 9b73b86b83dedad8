'use strict';
// Load balancers in front: who is believed, in headers and in the PROXY
// protocol, and what others cannot make up.
const { after, before, describe, test } = require('node:test');
const assert = require('node:assert/strict');
const net = require('node:net');
const tls = require('node:tls');
const { startStack } = require('./lib/stack');
const { notOnCaddy } = require('./lib/servers');

/* All of 127.0.0.0/8 is this host: addresses to call from. */
const PROXY = '127.0.0.9', SECOND = '127.0.8.1', STRANGER = '127.0.0.10';
const LIST = `${PROXY}, 127.0.8.0/24`;

/* HTTP/1.1 from an address, after some bytes; resolves to status and text. */
function ask(gate, { from, first, lines = [], target = '/v1/models' }) {
  const { hostname, port, protocol } = new URL(gate.baseUrl);

  return new Promise((resolve, reject) => {
    const socket = net.connect({ host: hostname, port, localAddress: from });
    let text = '';
    const speak = (stream) => {
      stream.setEncoding('latin1');
      stream.setTimeout(20000, () => stream.destroy(new Error('silence')));
      stream.on('data', (piece) => { text += piece; });
      stream.on('error', (error) =>
        (error.code === 'ECONNRESET' || protocol === 'https:'
          ? resolve({ status: 0, text }) : reject(error)));
      stream.on('close', () =>
        resolve({ status: Number(text.split(' ')[1] || 0), text }));
      stream.write([`GET ${target} HTTP/1.1`, 'Host: a', 'Connection: close',
        `Authorization: Bearer ${gate.apiKey}`, ...lines, '', ''].join('\r\n'));
    };

    socket.once('error', reject);
    socket.once('connect', () => {
      socket.off('error', reject);
      if (first) socket.write(first);
      if (protocol !== 'https:') speak(socket);
      else speak(tls.connect({ socket, ca: gate.ca, servername: 'localhost' }));
    });
  });
}

async function statuses(gate, questions) {
  const got = [];
  for (const question of questions) got.push((await ask(gate, question)).status);
  return got;
}

describe('headers of proxies on a list', { timeout: 60000 }, () => {
  let listed, forwarded;
  const env = { PROCESSES: '1', IP_RATE_LIMIT_REQUESTS: '2', TRUST_PROXY: LIST,
    FORCE_HTTPS: '1' };
  before(async () => {
    [listed, forwarded] = await Promise.all([startStack({ env }),
      startStack({ env: { ...env, TRUST_PROXY_HEADER: 'Forwarded' } })]);
  });
  after(() => Promise.all([listed, forwarded].map((gate) => gate?.stop())));

  const xff = (from, list) => ({ from,
    lines: ['X-Forwarded-Proto: https', `X-Forwarded-For: ${list}`] });
  const said = (from, list) => ({ from, lines: [`Forwarded: ${list}`] });

  test('count their client, whatever is made up left of it', async () => {
    assert.deepEqual(await statuses(listed, [
      xff(PROXY, '198.51.100.1'), xff(PROXY, `9.9.9.9, ${PROXY}, 198.51.100.1`),
      xff(SECOND, `8.8.8.8, 198.51.100.1, ${PROXY}`), xff(PROXY, '198.51.100.2'),
      xff(PROXY, `198.51.100.1, ${SECOND}, 127.0.8.77`)]),
    [200, 200, 429, 200, 429]);
  });

  test('in several lines are one list', async () => {
    const lines = ['X-Forwarded-Proto: https', 'X-Forwarded-For: 9.9.9.1',
      'X-Forwarded-For: 198.51.100.3'];
    assert.deepEqual(await statuses(listed, [{ from: PROXY, lines },
      { from: PROXY, lines }, xff(PROXY, '9.9.9.1'), { from: PROXY, lines }]),
    [200, 200, 200, 429]);
  });

  test('of a stranger count for nothing: neither address nor scheme',
    async () => {
      assert.equal((await ask(listed, xff(STRANGER, '198.51.100.4'))).status, 403);
      assert.equal((await ask(forwarded, said(STRANGER,
        'for=198.51.100.4;proto=https'))).status, 403);
    });

  test('a stranger pays for himself', async () => {
    const gate = await startStack({ env: { ...env, FORCE_HTTPS: '0' } });
    try {
      assert.deepEqual(await statuses(gate, [1, 2, 3].map((n) =>
        xff(STRANGER, `198.51.100.${n}`)).concat(
        [4, 5].map((n) => xff(PROXY, `198.51.100.${n}`)))),
      [200, 200, 429, 200, 200]);
    } finally {
      await gate.stop();
    }
  });

  test('Forwarded, where that is what they write', async () => {
    assert.deepEqual(await statuses(forwarded, [
      said(PROXY, 'for=198.51.100.1;proto=https'),
      said(PROXY, 'for=9.9.9.9;proto=http, for="198.51.100.1:99";proto=https'),
      said(PROXY, `for=198.51.100.1;proto=https, for=${SECOND};proto=http`),
      said(PROXY, 'for="[2001:db8::1]:8";proto=https'),
      said(PROXY, 'for=198.51.100.5'),
      said(PROXY, 'for=198.51.100.6;proto=http'),
      said(PROXY, 'for=1.1.1.1;proto=https;x=", for=198.51.100.7;proto=https')]),
    [200, 200, 429, 200, 403, 403, 403]);
  });

  test('the other header is left to whoever wrote it', async () => {
    assert.equal((await ask(forwarded, xff(PROXY, '198.51.100.1'))).status, 403);
    assert.equal((await ask(listed,
      said(PROXY, 'for=198.51.100.9;proto=https'))).status, 403);
  });
});

describe('what a client makes up', { timeout: 60000 }, () => {
  let gate;
  before(async () => {
    gate = await startStack({ env: { PROCESSES: '1', FORCE_HTTPS: '1',
      IP_RATE_LIMIT_REQUESTS: '2', TRUST_PROXY: `${PROXY}` } });
  });
  after(() => gate?.stop());

  /* Each way to write the name that a variable of CGI could come from. */
  const spellings = (name) => [name, name.toLowerCase(),
    name.replaceAll('_', '-'), `HTTP_${name}`, `HTTP-${name}`];
  const names = ['REMOTE_ADDR', 'REMOTE_HOST', 'HTTPS', 'REQUEST_SCHEME',
    'SERVER_PORT', 'X_FORWARDED_PROTO', 'X_FORWARDED_FOR', 'X_FORWARDED_SSL',
    'X_REAL_IP', 'FRONT_END_HTTPS', 'FORWARDED', 'SCRIPT_FILENAME',
    'REQUEST_URI', 'PMPROXY_CGI_ENV', 'STATE_DIR', 'TRUST_PROXY', 'PROXY'];
  const value = (name) => (/ADDR|HOST|IP|FOR$/.test(name) ? PROXY
    : /PORT/.test(name) ? '443' : /HTTPS|SSL/.test(name) ? 'on' : 'https');

  test('is neither HTTPS nor another address', async () => {
    for (const name of names) {
      const lines = spellings(name).map((one) => `${one}: ${value(name)}`);
      for (const some of [lines, ...lines.map((line) => [line])]) {
        const { status, text } = await ask(gate, { from: STRANGER, lines: some });
        /* 400 is for what could be read in two ways. */
        assert.ok([400, 403].includes(status), `${some}: ${text}`);
      }
    }
  });

  test('does not pay for others, and others do not pay for it', async () => {
    const good = ['X-Forwarded-Proto: https', 'X-Forwarded-For: 198.51.100.1'];
    const got = [];
    for (const name of ['Remote-Addr', 'Remote_Addr', 'X-Real-IP',
      'Http-X-Forwarded-For', 'Forwarded', 'Client-IP'])
      got.push((await ask(gate, { from: PROXY,
        lines: [...good, `${name}: 198.51.100.${got.length + 2}`] })).status);
    assert.deepEqual(got, [200, 200, 429, 429, 429, 429]);
  });
});

test('a list that is none keeps the gate from starting', async () => {
  await assert.rejects(startStack({ env: { TRUST_PROXY: '10.0.0.1/8' } }),
    /TRUST_PROXY/);
  await assert.rejects(startStack({ env: { PROXY_PROTOCOL: '1' } }),
    /PROXY_PROTOCOL/);
});

/* --- The PROXY protocol (haproxy's proxy-protocol.txt) -------------------- */

const SIGNATURE = Buffer.from('0d0a0d0a000d0a515549540a', 'hex');

function version1(source, family = 'TCP4', to = '192.0.2.80') {
  return Buffer.from(`PROXY ${family} ${source} ${to} 40000 443\r\n`);
}

function addressBytes(text) {
  if (!text.includes(':')) return Buffer.from(text.split('.').map(Number));
  const [left, right] = text.split('::').map((half) =>
    half.split(':').filter(Boolean));
  const gap = Array(8 - left.length - right.length).fill('0');
  return Buffer.from([...left, ...gap, ...right]
    .map((group) => group.padStart(4, '0')).join(''), 'hex');
}

/* 'length' and 'command' may lie. */
function version2(source, { command = 0x21, family, extra = Buffer.alloc(0),
  length } = {}) {
  const from = addressBytes(source);
  const to = addressBytes(source.includes(':') ? '2001:db8::80' : '192.0.2.80');
  const body = Buffer.concat([from, to, Buffer.from('9c4001bb', 'hex'), extra]);
  const head = Buffer.from([command, family ?? (from.length === 4 ? 0x11 : 0x21),
    0, 0]);

  head.writeUInt16BE(length ?? body.length, 2);
  return Buffer.concat([SIGNATURE, head, body]);
}

for (const secure of [false, true])
  describe(`the PROXY protocol, ${secure ? 'then TLS' : 'plain'}`,
    { timeout: 60000, skip: notOnCaddy('proxyProtocol') }, () => {
      let gate;
      before(async () => {
        gate = await startStack({ tls: secure, env: { PROCESSES: '1',
          IP_RATE_LIMIT_REQUESTS: '2', PROXY_PROTOCOL: '1',
          TRUST_PROXY: LIST } });
      });
      after(() => gate?.stop());

      const by = (first, more) => ({ from: PROXY, first, ...more });
      const refused = async (question) => {
        const { status, text } = await ask(gate, question);
        /* Cut off, or what is left of the header is no request. */
        assert.ok([0, 400, 501].includes(status), `${status} ${text}`);
      };

      test('version 1 tells the client', async () => {
        assert.deepEqual(await statuses(gate, [by(version1('198.51.100.1')),
          { ...by(version1('198.51.100.1')), from: SECOND },
          by(version1('198.51.100.1')), by(version1('198.51.100.2')),
          by(version1('2001:db8::1', 'TCP6', '2001:db8::80'))]),
        [200, 200, 429, 200, 200]);
      });

      test('version 2 tells the client', async () => {
        assert.deepEqual(await statuses(gate, [by(version2('198.51.100.11')),
          by(version2('198.51.100.11', { extra: Buffer.from('04000100', 'hex') })),
          by(version2('198.51.100.11')), by(version2('198.51.100.12')),
          by(version2('2001:db8:2::1')), by(version2('2001:db8:2::2')),
          by(version2('2001:db8:2::3')), by(version2('2001:db8:3::1'))]),
        [200, 200, 429, 200, 200, 200, 429, 200]);
      });

      test('headers of that client are not believed', async () => {
        assert.deepEqual(await statuses(gate, [1, 2, 3].map((n) =>
          by(version1('198.51.100.21'), { lines: [
            `X-Forwarded-For: 203.0.113.${n}`, `Forwarded-For: 203.0.113.${n}`,
            `Forwarded: for=203.0.113.${n}`, `X-Real-IP: 203.0.113.${n}`] }))),
        [200, 200, 429]);
      });

      test('a health check of the proxy\'s own counts as the proxy',
        async () => {
          assert.equal((await ask(gate,
            by(version2('0.0.0.0', { command: 0x20 })))).status, 200);
          assert.equal((await ask(gate,
            by(Buffer.from('PROXY UNKNOWN\r\n')))).status, 200);
        });

      test('a stranger who speaks it is refused, not believed', async () => {
        await refused({ from: STRANGER, first: version1('198.51.100.31') });
        await refused({ from: STRANGER, first: version2('198.51.100.31') });
      });

      test('a stranger without it is served as himself', async () => {
        assert.deepEqual(await statuses(gate, [1, 2, 3].map(() =>
          ({ from: STRANGER }))), [200, 200, 429]);
      });

      test('a proxy without it is refused', async () => {
        await refused({ from: PROXY });
      });

      for (const [what, first] of [
        ['no such family', version1('198.51.100.40', 'TCP5')],
        ['an address that is none', version1('198.51.100.400')],
        ['IPv6 said to be IPv4', version1('2001:db8::1', 'TCP4')],
        ['a name', version1('localhost')],
        ['a line that does not end', Buffer.from(`PROXY TCP4 ${'1'.repeat(200)}`)],
        ['a line without ports', Buffer.from('PROXY TCP4 1.1.1.1 2.2.2.2\r\n')],
        ['an empty line', Buffer.from('PROXY\r\n')],
        ['another version', version2('198.51.100.40', { command: 0x31 })],
        ['no such command', version2('198.51.100.40', { command: 0x2f })],
        ['a length that is too short for its addresses',
          version2('198.51.100.40', { length: 4 })],
        ['a length beyond what may be', version2('198.51.100.40',
          { length: 65535, extra: Buffer.alloc(3000, 0xff) })],
        ['a spoilt signature',
          Buffer.concat([SIGNATURE.subarray(0, 11), Buffer.alloc(21)])],
      ])
        test(`${what}: refused`, () => refused(by(first)));

      test('two of them: the second is no request', async () => {
        await refused(by(Buffer.concat([version1('198.51.100.50'),
          version1('198.51.100.51')])));
      });

      test('the log names nobody', async () => {
        assert.doesNotMatch(gate.log(), /198\.51\.|127\.0\.0\.|2001:db8/);
      });
    });
