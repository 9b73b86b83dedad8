'use strict';
/*
 * socket.js - bytes to and from the gate, for what no HTTP library would send.
 */
const net = require('node:net');
const tls = require('node:tls');
const { PATIENCE } = require('./patience');

/* A connected socket. Errors after that show as 'close'. */
function connect(url, ca, { alpn = ['http/1.1'] } = {}) {
  const to = { host: url.hostname, port: Number(url.port) };

  return new Promise((resolve, reject) => {
    const socket = url.protocol === 'https:'
      ? tls.connect({ ...to, ca, ALPNProtocols: alpn })
      : net.connect(to);
    socket.once('error', reject);
    socket.once(ca ? 'secureConnect' : 'connect', () => {
      socket.off('error', reject);
      socket.on('error', () => {});
      resolve(socket);
    });
  });
}

/*
 * Sends bytes (latin1) and returns what comes back, as latin1, until the other
 * side closes, or until 'until' is in it. Keeps its own sending side open.
 */
function converse(socket, bytes, { until, timeoutMs = 10000 } = {}) {
  return new Promise((resolve, reject) => {
    let text = '';
    const timer = setTimeout(() => {
      socket.destroy();
      reject(new Error(`no end of the answer: ${text.slice(0, 200)}`));
    }, timeoutMs * PATIENCE);
    const finish = () => {
      clearTimeout(timer);
      socket.destroy();
      resolve(text);
    };

    socket.setEncoding('latin1');
    socket.on('data', (piece) => {
      text += piece;
      if (until && text.includes(until)) finish();
    });
    socket.once('end', finish);
    socket.once('close', finish);
    socket.write(bytes, 'latin1');
  });
}

module.exports = { connect, converse };
