'use strict';
/*
 * hostile.js - an upstream that means harm. A request's model says which of
 * its answers it gets; they may go on for ever, and end with the connection.
 *
 *   const upstream = await startHostile({
 *     lies: (socket) => socket.end('HTTP/1.1 200 OK\r\n...'),
 *     early: Object.assign((socket) => ..., { unread: true }),
 *   });
 *   upstream.calls.lies    how often it was asked for that
 *   upstream.endless()     connections on which an answer still goes on
 *   await upstream.stop();
 *
 * An answer marked "unread" is given once the model's name has come, and the
 * rest of the request is left unread. 'upstream.models' answers the question
 * for the list of models; a test may put another function there.
 */
const net = require('node:net');

const MODEL = /\r\n\r\n[^]*?"model":"([\w-]+)"/;

function isWhole(text) {
  const at = text.indexOf('\r\n\r\n');
  const length = /^content-length: (\d+)/im.exec(text);

  return at >= 0 && text.length >= at + 4 + Number(length?.[1] || 0);
}

async function startHostile(answers) {
  const sockets = new Set();
  const upstream = { calls: {}, models: listing, endless: () =>
    [...sockets].filter((socket) => socket.endless).length };

  const answer = (socket, text) => {
    if (text.startsWith('GET ')) {
      if (!isWhole(text)) return false;
      upstream.models(socket);
      return true;
    }
    const name = MODEL.exec(text)?.[1];
    if (!name || !(answers[name].unread || isWhole(text))) return false;
    upstream.calls[name] = (upstream.calls[name] || 0) + 1;
    if (answers[name].unread) socket.pause();
    answers[name](socket);
    return true;
  };
  const server = net.createServer((socket) => {
    let text = '';

    sockets.add(socket);
    socket.setNoDelay(true);
    socket.setEncoding('latin1');
    socket.on('error', () => {});
    socket.on('close', () => sockets.delete(socket));
    socket.on('data', (piece) => {
      text += piece;
      /* Ended: the gate had not seen it yet, and will ask elsewhere. */
      if (!socket.writableEnded && answer(socket, text)) text = '';
    });
  });

  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  upstream.url = `http://127.0.0.1:${server.address().port}`;
  upstream.stop = () => {
    for (const socket of sockets) socket.destroy();
    return new Promise((resolve) => server.close(resolve));
  };
  return upstream;
}

function listing(socket) {
  socket.write('HTTP/1.1 200 OK\r\nContent-Length: 27\r\n\r\n' +
    '{"object":"list","data":[]}');
}

/* As fast as it is read, until nobody is there. */
function flood(socket, piece) {
  socket.endless = true;
  const pour = () => {
    if (socket.destroyed) return;
    if (socket.write(piece)) setImmediate(pour);
    else socket.once('drain', pour);
  };
  pour();
}

/* So often that no silence is long, and so little that no size is reached. */
function trickle(socket, piece, everyMs = 100) {
  socket.endless = true;
  const timer = setInterval(() => socket.write(piece), everyMs);

  socket.on('close', () => clearInterval(timer));
}

module.exports = { flood, startHostile, trickle };
