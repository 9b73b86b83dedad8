'use strict';
/*
 * upstream.js - an upstream whose every byte a test decides.
 *
 *   const upstream = await startUpstream();
 *   upstream.next((socket, { head, body }) => socket.write('HTTP/1.1 ...'));
 *   // ... a request to the gate with --upstream upstream.url ...
 *   await upstream.stop();
 *
 * Questions for the list of models are answered by itself, with the names in
 * 'models'.
 */
const net = require('node:net');

function whole(text) {
  const at = text.indexOf('\r\n\r\n');
  const length = /^content-length: (\d+)/im.exec(text);

  return at >= 0 && text.length >= at + 4 + Number(length?.[1] || 0) &&
    { head: text.slice(0, at), body: text.slice(at + 4) };
}

async function startUpstream(models = ['gpt-oss-120b'], port = 0) {
  const list = JSON.stringify({ object: 'list',
    data: models.map((id) => ({ id, object: 'model' })) });
  const waiting = [];
  const sockets = new Set();
  const server = net.createServer((socket) => {
    let text = '';

    sockets.add(socket);
    socket.setNoDelay(true);
    socket.setEncoding('latin1');
    socket.on('error', () => {});
    socket.on('close', () => sockets.delete(socket));
    socket.on('data', (piece) => {
      text += piece;
      const request = whole(text);
      if (!request) return;
      text = '';
      if (request.head.startsWith('GET '))
        socket.write('HTTP/1.1 200 OK\r\n' +
          `Content-Length: ${Buffer.byteLength(list)}\r\n\r\n${list}`);
      else
        waiting.shift()?.(socket, request);
    });
  });

  await new Promise((resolve) => server.listen(port, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    next: (answer) => waiting.push(answer),
    stop: () => {
      for (const socket of sockets) socket.destroy();
      return new Promise((resolve) => server.close(resolve));
    },
  };
}

const STREAM = 'HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n' +
  'Transfer-Encoding: chunked\r\n\r\n';
const chunk = (text) =>
  `${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`;

module.exports = { STREAM, chunk, startUpstream };
