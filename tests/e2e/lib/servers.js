'use strict';
/*
 * servers.js - what a test may not expect of each web server. The suite runs
 * on lighttpd, and on Caddy with STACK_SERVER=caddy (make test-caddy). Tests of
 * what lighttpd alone does are left out there, with a reason of this table;
 * docs/servers.md says the same to people. front-caddy.test.js covers what
 * Caddy does instead, and runs in any case.
 */
const NOT_CADDY = {
  own: 'is about lighttpd.conf; front-caddy.test.js is about the Caddyfile',
  chunked: 'Caddy 2.6 cannot announce a chunked body to the responder: 411',
  gone: 'Caddy 2.6 tells the responder of a client that went at the next write',
  tidy: 'Caddy 2.6 ends a broken chunked answer as if it were whole',
  underscore: 'Caddy takes headers with underscores away, so none is refused',
  lineEnds: 'Caddy takes escaped line ends in a query; the pages refuse them',
  pool: 'lighttpd starts these responders; Caddy\'s are started by others',
  staple: 'Caddy asks the responder that a certificate names; it takes no file',
  proxyProtocol: 'Caddy 2.6 does not speak the PROXY protocol; 2.7 does',
};

/* For a test's { skip }: why it is left out here, or false. */
function notOnCaddy(reason) {
  if (!(reason in NOT_CADDY)) throw new Error(`no such reason: ${reason}`);
  return process.env.STACK_SERVER === 'caddy' && NOT_CADDY[reason];
}

module.exports = { notOnCaddy };
