'use strict';
/*
 * ask.js - one request of the soak, and how it ended.
 */
const http = require('node:http');
const { exchange } = require('../e2e/lib/exchange');

/* Far more than the slowest answer needs on a busy machine. */
const HANGS_MS = 60000;

/*
 * The gate's streams have no length. lighttpd gives one to what it has when a
 * responder dies before it passed the head on (docs/servers.md).
 */
const GIVEN_A_LENGTH = 'a stream that was given a length';

/* A client's own connections, kept open between requests as clients do. */
const newAgent = () => new http.Agent({ keepAlive: true, maxSockets: 4,
  timeout: 20000 });

async function gather(call, result, leave) {
  const pieces = [];

  for await (const piece of call.body) {
    pieces.push(piece);
    if (leave) return;
  }
  result.end = performance.now();
  result.text = Buffer.concat(pieces).toString('utf8');
}

/*
 * { how, status, headers, text, sent, head, end, why }, the times by
 * performance.now(). how: "whole" (2xx, to the last byte), "error" (an error of
 * the gate's own, whole), "broken" (no answer, a piece of one, or the web
 * server's own regrets), "left" (as asked for) or "hung".
 *
 * leave: "head" to go away when the answer begins to come, or a number of ms.
 */
async function ask(gate, target, options) {
  const { key, leave, agent, method = 'POST' } = options;
  const headers = { ...options.headers, authorization: `Bearer ${key}` };
  let { body } = options;

  if (options.json) {
    body = JSON.stringify(options.json);
    headers['content-type'] = 'application/json';
  }
  const result = { how: 'broken', status: 0, sent: performance.now() };
  const call = exchange({ url: new URL(target, gate.baseUrl), method,
    headers, body, agent });
  const stop = (how) => () => {
    result.how = how;
    call.abort();
    call.body.destroy();
  };
  const timers = [setTimeout(stop('hung'), HANGS_MS)];

  if (typeof leave === 'number') timers.push(setTimeout(stop('left'), leave));
  try {
    const { status, headers: fields } = await call.head;
    result.head = performance.now();
    Object.assign(result, { status, headers: fields });
    await gather(call, result, leave === 'head');
    if (result.end === undefined) stop('left')();
    else if (fields['content-length'] &&
        fields['content-type'] === 'text/event-stream')
      result.why = GIVEN_A_LENGTH;
    else if (result.how === 'broken' && fields['x-request-id'])
      result.how = status < 300 ? 'whole' : 'error';
    else result.why = `status ${status}`;
  } catch (error) {
    result.why = error.code || error.message;
  } finally {
    timers.forEach(clearTimeout);
  }
  result.end ??= performance.now();
  return result;
}

module.exports = { GIVEN_A_LENGTH, ask, newAgent };
