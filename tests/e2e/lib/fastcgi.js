'use strict';
/*
 * fastcgi.js - speaks to a responder without a web server in front, for what
 * lighttpd keeps to itself and others (Caddy, nginx) let pass.
 */
const net = require('node:net');

const BEGIN = 1, END = 3, PARAMS = 4, STDIN = 5, STDOUT = 6;

function record(type, content = Buffer.alloc(0)) {
  const head = Buffer.from([1, type, 0, 1, 0, 0, 0, 0]);

  head.writeUInt16BE(content.length, 4);
  return Buffer.concat([head, content]);
}

/* Every length in four bytes, as the protocol allows. */
function pair(name, value) {
  const lengths = Buffer.alloc(8);

  lengths.writeUInt32BE((Buffer.byteLength(name) | 0x80000000) >>> 0, 0);
  lengths.writeUInt32BE((Buffer.byteLength(value) | 0x80000000) >>> 0, 4);
  return Buffer.concat([lengths, Buffer.from(name), Buffer.from(value)]);
}

function parse(bytes) {
  const at = bytes.indexOf('\r\n\r\n');
  const headers = {};

  for (const line of bytes.subarray(0, at).toString('latin1').split('\r\n')) {
    const colon = line.indexOf(':');
    headers[line.slice(0, colon).toLowerCase()] = line.slice(colon + 2);
  }
  const text = bytes.subarray(at + 4).toString();
  return { status: Number(headers.status), headers, text,
    json: () => JSON.parse(text) };
}

/* The bytes of a request with CGI variables and a body. */
function request(variables, body = '') {
  const params = Buffer.concat(Object.entries(variables)
    .map(([name, value]) => pair(name, value)));

  return Buffer.concat([record(BEGIN, Buffer.from([0, 1, 0, 0, 0, 0, 0, 0])),
    record(PARAMS, params), record(PARAMS),
    ...(body === '' ? [] : [record(STDIN, Buffer.from(body))]), record(STDIN)]);
}

/*
 * A connection to the socket at 'path': { socket, answer }, the latter being
 * { status, headers, text, json(), ended } in time; 'ended' says whether the
 * answer had its tidy end.
 */
function connect(path) {
  const socket = net.connect(path);
  const answer = new Promise((resolve, reject) => {
    const out = [];
    let got = Buffer.alloc(0), ended = false;

    socket.on('error', reject);
    socket.on('data', (piece) => {
      got = Buffer.concat([got, piece]);
      for (;;) {
        if (got.length < 8) return;
        const size = got.readUInt16BE(4);
        const whole = 8 + size + got[6];
        if (got.length < whole) return;
        if (got[1] === STDOUT) out.push(got.subarray(8, 8 + size));
        if (got[1] === END) ended = true;
        got = got.subarray(whole);
      }
    });
    socket.on('close', () =>
      resolve({ ...parse(Buffer.concat(out)), ended }));
  });
  return { socket, answer };
}

/* One request, whole. */
function call(path, variables, body = '') {
  const { socket, answer } = connect(path);

  socket.write(request(variables, body));
  return answer;
}

module.exports = { call, connect, record, request };
