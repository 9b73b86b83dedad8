'use strict';
/*
 * drive.js - so many requests of a kind, one after the other, to the responder
 * at a socket. usage: node bench/drive.js SOCKET chat|stream|refused N
 */
const { setTimeout: sleep } = require('node:timers/promises');
const { call } = require('../tests/e2e/lib/fastcgi.js');

const [, , socket, kind, times] = process.argv;
/* Under callgrind it needs this for what it does after an answer. */
const PAUSE_MS = 10;
const KINDS = {
  chat: { status: 200, model: 'standin-chat', end: /"usage"/ },
  stream: { status: 200, model: 'standin-chat', stream: true,
    end: /data: \[DONE\]\s*$/ },
  refused: { status: 401, model: 'standin-chat', key: 'pm_nobody', end: /error/ },
};

async function main() {
  const { status, model, stream, key, end } = KINDS[kind];
  const body = JSON.stringify({ model, ...(stream ? { stream } : {}),
    messages: [{ role: 'user', content: 'a short note '.repeat(18) }] });
  const variables = { REQUEST_METHOD: 'POST', QUERY_STRING: '',
    REQUEST_URI: '/v1/chat/completions', SCRIPT_NAME: '/v1/chat/completions',
    PATH_INFO: '', SCRIPT_FILENAME: '/dev/null/v1', DOCUMENT_ROOT: '/dev/null',
    GATEWAY_INTERFACE: 'CGI/1.1', SERVER_SOFTWARE: 'lighttpd/1.4.69',
    SERVER_PROTOCOL: 'HTTP/1.1', SERVER_NAME: '127.0.0.1',
    SERVER_ADDR: '127.0.0.1', SERVER_PORT: '8080', REMOTE_ADDR: '127.0.0.1',
    REMOTE_PORT: '5555', REQUEST_SCHEME: 'http', REDIRECT_STATUS: '200',
    HTTP_HOST: '127.0.0.1:8080', HTTP_USER_AGENT: 'OpenAI/JS 4',
    HTTP_ACCEPT: 'application/json', CONTENT_TYPE: 'application/json',
    CONTENT_LENGTH: String(body.length),
    HTTP_AUTHORIZATION: `Bearer ${key || process.env.API_KEY}` };

  for (let i = 0; i < Number(times); i++) {
    /* The responder rests in between, or it takes some together by chance. */
    await sleep(PAUSE_MS);
    const answer = await call(socket, variables, body);
    if (answer.status !== status || !end.test(answer.text))
      throw new Error(`${kind}: ${answer.status} ${answer.text.slice(0, 200)}`);
  }
}

main().catch((error) => {
  console.error(error.message);
  process.exitCode = 1;
});
