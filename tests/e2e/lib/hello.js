'use strict';
/*
 * hello.js - a TLS ClientHello made by hand, to offer what no library offers
 * any more, and what the server chose of it.
 */
const crypto = require('node:crypto');
const net = require('node:net');

const u8 = (n) => Buffer.from([n]);
const u16 = (n) => Buffer.from([n >> 8, n & 255]);
const block = (bytes) => Buffer.concat([u16(bytes.length), bytes]);
const extension = (type, bytes) => Buffer.concat([u16(type), block(bytes)]);
const list = (numbers) => block(Buffer.concat(numbers.map(u16)));

/* version 0x0300 (SSL 3) to 0x0303 (TLS 1.2); suites and groups as numbers. */
function hello({ version, suites, groups = [29, 23, 24, 25, 30],
  compression = [0] }) {
  const extensions = Buffer.concat([
    extension(10, list(groups)), extension(11, Buffer.from([1, 0])),
    extension(13, list([0x0403, 0x0503, 0x0603, 0x0804, 0x0805, 0x0806,
      0x0401, 0x0501, 0x0601, 0x0203, 0x0201])),
    extension(0xff01, u8(0))]);
  const body = Buffer.concat([u16(version), crypto.randomBytes(32), u8(0),
    list(suites), u8(compression.length), Buffer.from(compression),
    ...(version > 0x0300 ? [block(extensions)] : [])]);
  const message = Buffer.concat([u8(1), u8(0), block(body)]);

  return Buffer.concat([u8(22), u16(Math.min(version, 0x0301)),
    block(message)]);
}

/*
 * Sends it: { version, suite, compression } of the server's hello, or { alert }
 * (null when it just closed).
 */
function offer(port, what) {
  return new Promise((resolve, reject) => {
    const socket = net.connect(port, '127.0.0.1', () =>
      socket.write(hello(what)));
    let bytes = Buffer.alloc(0);
    const end = (answer) => {
      socket.destroy();
      resolve(answer);
    };

    socket.setTimeout(5000, () => reject(new Error('no answer')));
    socket.on('error', () => end({ alert: null }));
    socket.on('close', () => end({ alert: null }));
    socket.on('data', (piece) => {
      bytes = Buffer.concat([bytes, piece]);
      if (bytes.length < 7) return;
      if (bytes[0] === 21) end({ alert: bytes[6] });
      if (bytes[0] !== 22 || bytes.length < 44) return;
      const at = 44 + bytes[43];
      if (bytes.length > at + 2)
        end({ version: bytes.readUInt16BE(9), suite: bytes.readUInt16BE(at),
          compression: bytes[at + 2] });
    });
  });
}

module.exports = { offer };
