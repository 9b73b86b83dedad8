'use strict';
/*
 * share/log-filter, line by line. The lines are as lighttpd writes them: up to
 * 1.4.79 with the address at the end, from 1.4.80 on in the middle.
 */
const assert = require('node:assert/strict');
const { spawnSync } = require('node:child_process');
const path = require('node:path');
const { describe, test } = require('node:test');

const FILTER = path.resolve(__dirname, '..', '..', 'share', 'log-filter');

/* The shell in between is its parent, as lighttpd is, with a pipe for errors. */
function filtered(line) {
  const { stdout } = spawnSync('sh',
    ['-c', '{ sh "$0"; exit $?; } 2>&1 | cat', FILTER],
    { input: `${line}\n`, encoding: 'utf8', timeout: 20000 });

  return stdout.trimEnd();
}

const NAMES_SOMEBODY = [
  ['(mod_openssl.c.3276) SSL: 1 error:1408F10B:SSL routines:' +
    'ssl3_get_record:wrong version number (203.0.113.9)', '(address withheld)'],
  ['(mod_openssl.c.3276) SSL: 1 error:0A00009C:SSL routines::http request ' +
    '(2001:db8::9)', 'SSL routines::http request (address withheld)'],
  ['SSL: 1 error (2001:db8:0:1:2:3:4:9)', 'error (address withheld)'],
  ['SSL: 1 error (::ffff:203.0.113.9)', 'error (address withheld)'],
  ['SSL: 1 error (::9)', 'error (address withheld)'],
  ['(mod_openssl.c.3300) SSL: addr:203.0.113.9 ssl_err:1 error:0A00009C:SSL ' +
    'routines::http request',
  'SSL: addr:withheld ssl_err:1 error:0A00009C:SSL routines::http request'],
  ['SSL: addr:2001:db8::9 ssl_err:5 ret:-1 errno:0',
    'addr:withheld ssl_err:5 ret:-1 errno:0'],
  ['SSL: addr:fe80::9%eth0 renegotiation initiated by client',
    'addr:withheld renegotiation'],
  ['(h2.c.600) h2: 203.0.113.9 sent too many RST_STREAM too quickly ' +
    '(xaddr:2001:db8::9)',
  'h2: address withheld sent too many RST_STREAM too quickly (xaddr:withheld)'],
];

describe('log-filter', () => {
  for (const [line, expected] of NAMES_SOMEBODY)
    test(`names nobody of: ${line}`, () => {
      const got = filtered(line);

      assert.ok(got.includes(expected), got);
      assert.doesNotMatch(got, /203\.0|2001|db8|:9\b/);
    });

  for (const line of ['2026-11-28 00:43:27: (server.c.1939) server started ' +
    '(lighttpd/1.4.85)', '(gw_backend.c.330) child signalled: 9',
  'SSL: error:0A000126:SSL routines::unexpected eof', 'SSL routines::bad eof'])
    test(`leaves alone: ${line}`, () => assert.equal(filtered(line), line));
});
