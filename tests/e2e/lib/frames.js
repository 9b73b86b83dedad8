'use strict';
/*
 * frames.js - HTTP/2 by hand, for what no library would send: frames, and
 * headers as HPACK literals. What comes back is told by its frames.
 */
const DATA = 0, HEADERS = 1, RST = 3, SETTINGS = 4, GOAWAY = 7,
  CONTINUATION = 9;
const END_STREAM = 1, ACK = 1, END_HEADERS = 4;

function frame(type, flags, stream, payload = Buffer.alloc(0)) {
  const head = Buffer.alloc(9);

  head.writeUIntBE(payload.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

/* A length with seven bits of prefix (RFC 7541, 5.1). */
function length(n) {
  if (n < 127) return Buffer.from([n]);
  const bytes = [127];
  for (n -= 127; n >= 128; n = Math.floor(n / 128)) bytes.push(n % 128 + 128);
  return Buffer.from([...bytes, n]);
}

/* [[name, value], ...], never to be indexed. */
const fields = (list) => Buffer.concat(list.flatMap(([name, value]) =>
  [Buffer.from([0x10]), length(name.length), Buffer.from(name, 'latin1'),
    length(value.length), Buffer.from(value, 'latin1')]));

const PREFACE = Buffer.concat([Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
  frame(SETTINGS, 0, 0)]);

/* HEADERS and, with a body, DATA; both whole. */
const request = (list, body, stream = 1) => Buffer.concat([
  frame(HEADERS, END_HEADERS | (body === undefined ? END_STREAM : 0), stream,
    fields(list)),
  ...(body === undefined ? []
    : [frame(DATA, END_STREAM, stream, Buffer.from(body))])]);

/*
 * Sends on a TLS socket that has spoken "h2", and tells what came for stream 1
 * until it, or the connection, has ended: { text, how }; 'how' is "answered",
 * "reset", "goaway" or "closed".
 */
function tell(socket, bytes, timeoutMs = 10000) {
  return new Promise((resolve, reject) => {
    let got = Buffer.alloc(0), text = '', acknowledged = false;
    const finish = (how) => {
      clearTimeout(timer);
      socket.destroy();
      resolve({ text, how });
    };
    const timer = setTimeout(() => {
      socket.destroy();
      reject(new Error(`no end: ${text.slice(0, 200)}`));
    }, timeoutMs);

    socket.on('data', (piece) => {
      got = Buffer.concat([got, piece]);
      while (got.length >= 9 && got.length >= 9 + got.readUIntBE(0, 3)) {
        const size = got.readUIntBE(0, 3);
        const [type, flags] = [got[3], got[4]];
        const payload = got.subarray(9, 9 + size);
        const stream = got.readUInt32BE(5);
        got = got.subarray(9 + size);
        if (type === SETTINGS && !acknowledged) {
          acknowledged = true;
          socket.write(frame(SETTINGS, ACK, 0));
        }
        if (type === DATA && stream === 1) text += payload.toString();
        if (type === GOAWAY) return finish(text ? 'answered' : 'goaway');
        if (stream !== 1) continue;
        if (type === RST) return finish(text ? 'answered' : 'reset');
        if (flags & END_STREAM && (type === DATA || type === HEADERS))
          return finish('answered');
      }
    });
    socket.on('close', () => finish('closed'));
    socket.write(Buffer.concat([PREFACE, bytes]));
  });
}

module.exports = { CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS,
  PREFACE, RST, fields, frame, request, tell };
