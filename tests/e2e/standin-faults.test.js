// The stand-in upstream itself: each fault on demand, and its reports.
'use strict';

const { after, before, beforeEach, describe, test } = require('node:test');
const assert = require('node:assert/strict');
const crypto = require('node:crypto');
const http = require('node:http');
const { CHAT, FORM, SAYS, ask, chat, events, form, raw, rawChat, report, said,
	start, stats, streamed, use, wait } = require('./standin-client.js');

let standin;
before(async () => {
	standin = await start();
	use(standin.port);
});
after(async () => {
	standin.child.kill();
	assert.deepEqual(await standin.exit, { code: 0, signal: null });
});
beforeEach(() => ask('POST', '/standin/reset'));

const took = async (promise) => {
	const begun = Date.now();
	return [await promise, Date.now() - begun];
};
const DONE = 'data: [DONE]';

describe('requests as they may come', () => {
	const body = JSON.stringify({ model: 'gpt-oss-120b',
		messages: [{ role: 'user', content: 'ducks' }] });
	const head = `POST ${CHAT} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n`;

	test('chunked bodies, cut anywhere, with extensions and trailers', async () => {
		const chunks = body.match(/.{1,7}/g).map((piece) =>
			`${piece.length.toString(16)};x=1\r\n${piece}\r\n`).join('');
		const bytes = `${head}Transfer-Encoding: chunked\r\n\r\n` +
			`${chunks}0\r\nX-Trailer: 1\r\n\r\n`;
		for (let cut = 1; cut < bytes.length; cut += 7) {
			const { text } = await raw([bytes.slice(0, cut), bytes.slice(cut)]);
			assert.match(text, /You said: ducks/, `cut at ${cut}`);
		}
		const [last] = await report('n=1&body=1');
		assert.equal(Buffer.from(last.body_base64, 'base64').toString(), body);
	});

	test('several on one connection, even ahead of the answer', async () => {
		const one = rawChat('');
		const last = rawChat('').replace('Host: x', 'Connection: close');
		const { text, ended } = await raw([one + one + last]);
		assert.equal(text.match(/HTTP\/1\.1 200/g).length, 3);
		assert.equal(ended, 'FIN');
		assert.deepEqual((await report('n=3')).map((request) =>
			request.request_on_connection), [1, 2, 3]);
	});

	test('Expect: 100-continue, HTTP/1.0, and what is no request', async () => {
		const { text } = await raw([`${head}Expect: 100-continue\r\n` +
			`Content-Length: ${body.length}\r\n\r\n`], (socket, got) => {
			if (got.endsWith('100 Continue\r\n\r\n'))
				socket.write(body);
		});
		assert.match(text, /^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 200/);
		const old = await raw([rawChat('', { stream: true })
			.replace('HTTP/1.1', 'HTTP/1.0')]);
		assert.doesNotMatch(old.text, /chunked/);
		assert.match(old.text, /\r\n\r\ndata: /);
		for (const bytes of ['nonsense\r\n\r\n',
			`POST ${CHAT} HTTP/1.1\r\nContent-Length: x\r\n\r\n`,
			`${head}Transfer-Encoding: chunked\r\n\r\nzz\r\n`,
			`${head}Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n`,
			`GET / HTTP/1.1\r\nX: ${'x'.repeat(200000)}`])
			assert.match((await raw([bytes])).text, /^HTTP\/1\.1 400/,
				bytes.slice(0, 60));
	});

	test('a large upload is hashed whole', async () => {
		const file = 'x'.repeat(30 << 20);
		const upload = form({ model: 'whisper-large-v3' }, file);
		const answer = await ask('POST', '/v1/audio/transcriptions', upload, FORM);
		assert.match(answer.body, /31457280 bytes of audio/);
		const [last] = await report('n=1&body=1');
		assert.equal(last.body_length, upload.length);
		assert.equal(last.body_sha256,
			crypto.createHash('sha256').update(upload).digest('hex'));
		assert.ok(!('body_base64' in last));
	});
});

describe('faults of a whole answer', () => {
	test('unknown faults and values are refused, never ignored', async () => {
		for (const fault of ['dalay-head=1', 'rate=0', 'words=x', 'truncate=2',
			'type=', 'error-body=jpeg, status=500'])
			assert.equal((await chat(fault)).status, 400, fault);
		assert.equal((await chat('', { model: 'standin/oops' })).status, 400);
	});

	test('the model name asks for faults as the header does', async () => {
		const model = 'standin/status=503, retry-after=7,type=text/plain';
		const answer = await chat('', { model });
		assert.equal(answer.status, 503);
		assert.equal(answer.headers['retry-after'], '7');
		assert.equal(answer.headers['content-type'], 'text/plain');
		assert.equal((await ask('POST', '/v1/embeddings',
			{ model: 'standin/status=500', input: 'a' })).status, 500);
		assert.equal((await ask('POST', '/v1/audio/transcriptions',
			form({ model: 'standin/status=418' }, 'a'), FORM)).status, 418);
		assert.equal((await ask('GET', '/v1/models', undefined,
			{ 'x-standin': 'status=502' })).status, 502);
		const echo = JSON.parse((await chat('', { model: 'standin/words=2' })).body);
		assert.equal(echo.model, 'standin/words=2');
		assert.equal(echo.choices[0].message.content, 'This is');
	});

	test('error bodies in every shape', async () => {
		const body = async (shape) =>
			chat(`status=429, error-body=${shape}`);
		assert.equal(JSON.parse((await body('openai')).body).error.code, 429);
		assert.equal(typeof JSON.parse((await body('string')).body).error, 'string');
		assert.equal((await body('empty')).body, '');
		assert.equal((await body('html')).headers['content-type'], 'text/html');
		assert.equal((await body('text')).headers['content-type'], 'text/plain');
	});

	test('delays', async () => {
		const [head, headMs] = await took(chat('delay-head=120'));
		assert.ok(headMs >= 115 && head.status === 200);
		let headAt = 0;
		const begun = Date.now();
		const { text } = await raw([rawChat('delay-body=150, no-length')],
			(socket, got) => { headAt = headAt || Date.now(); void got; });
		assert.match(text, /You said/);
		assert.ok(Date.now() - headAt >= 120 && headAt - begun < 100);
		const [slow, slowMs] = await took(chat('slow-body=5, pause=30'));
		assert.equal(slow.pieces.length, 5);
		assert.ok(slowMs >= 115);
		assert.match(JSON.parse(slow.body).choices[0].message.content, /hello/);
	});

	test('broken JSON of the right length, and too little of it', async () => {
		const broken = await chat('bad-json=1');
		assert.equal(broken.broken, null);
		assert.throws(() => JSON.parse(broken.body), SyntaxError);
		const short = await chat('truncate=1');
		assert.equal(short.broken, 'ECONNRESET'); // node's name for it
		assert.ok(short.body.length < Number(short.headers['content-length']));
		const { text, ended } = await raw([rawChat('truncate=1')]);
		assert.equal(ended, 'FIN');
		assert.match(text, /^HTTP\/1\.1 200/);
	});

	test('resets and silence at a byte', async () => {
		assert.deepEqual(await raw([rawChat('reset-after=0')]),
			{ text: '', ended: 'ECONNRESET' });
		const some = await raw([rawChat('reset-after=5')]);
		assert.equal(some.text.split('\r\n\r\n')[1].length, 5);
		assert.equal(some.ended, 'ECONNRESET');
		const none = await raw([rawChat('close-after=0')]);
		assert.match(none.text, /^HTTP\/1\.1 200[^]*\r\n\r\n$/);
		assert.equal(none.ended, 'FIN');
		assert.equal((await stats()).aborted, 0);
	});

	test('huge answers', async () => {
		const answer = await chat('huge=20000000');
		assert.equal(JSON.parse(answer.body).choices[0].message.content.length,
			20000000);
	});

	test('headers', async () => {
		const many = await chat('headers=200, set-cookie=1');
		assert.equal(many.headers['x-extra-200'], 'aaaaaaaaaaaaaaaa');
		assert.equal(many.headers['x-secret'], 'upstream');
		assert.equal(many.headers.server, 'stand-in');
		assert.equal(many.headers['set-cookie'].length, 1);
		const moved = await chat('redirect=1');
		assert.equal(moved.status, 302);
		assert.match(moved.headers.location, /elsewhere/);
		const open = await raw([rawChat('no-length=1')]);
		assert.doesNotMatch(open.text, /Content-Length|chunked/);
		assert.match(open.text, /Connection: close[^]*You said: hello/);
	});

	test('usage may be null or missing', async () => {
		assert.equal(JSON.parse((await chat('null-usage=1')).body).usage, null);
		assert.ok(!('usage' in JSON.parse((await chat('no-usage=1')).body)));
		const vector = JSON.parse((await ask('POST', '/v1/embeddings',
			{ model: 'standin/null-usage', input: 'a' })).body);
		assert.equal(vector.usage, null);
	});

	test('split-utf8 sends halves of a character', async () => {
		const answer = await chat('split-utf8=1');
		assert.ok(answer.pieces.length > 5);
		assert.ok(answer.pieces.some((piece) => (piece[0] & 0xc0) === 0x80));
		assert.match(JSON.parse(answer.body).choices[0].message.content, /🐄🐖🐓🐟/);
	});

	test('early answers come before the body', async () => {
		const half = `POST ${CHAT} HTTP/1.1\r\nContent-Length: 1000000\r\n`;
		const header = await raw([`${half}X-Standin: early=1\r\n\r\n`],
			(socket) => socket.end());
		assert.match(header.text, /^HTTP\/1\.1 413/);
		const model = await raw([`${half}\r\n{"model":"standin/early=1,status=429",`],
			(socket) => socket.end());
		assert.match(model.text, /^HTTP\/1\.1 429/);
		const upload = await chat('early=1', { junk: 'x'.repeat(8 << 20) });
		assert.equal(upload.status, 413);
		const hard = await raw([`${half}X-Standin: early=2\r\n\r\nx`]);
		assert.match(hard.text, /^(HTTP\/1\.1 413|$)/);
	});

	test('die-on-reuse and close-idle strike an idle connection', async () => {
		const twice = await raw([rawChat('die-on-reuse=1')], (socket, text) => {
			if (text.endsWith('}'))
				socket.write(rawChat(''));
		});
		assert.equal(twice.ended, 'ECONNRESET');
		assert.equal(twice.text.match(/HTTP\/1\.1/g).length, 1);
		assert.equal((await stats()).requests, 1);
		const idle = await raw([rawChat('close-idle=1')]);
		assert.equal(idle.ended, 'FIN');
		assert.doesNotMatch(idle.text, /Connection:/);
		assert.match(idle.text, /You said: hello/);
	});
});

describe('faults of a stream', () => {
	test('rate, words and burst', async () => {
		const [slow, ms] = await took(streamed('rate=50, words=10'));
		assert.equal(events(slow.body).length, 13);
		assert.ok(ms >= 220 && ms < 1500, `${ms} ms`);
		const burst = await raw([rawChat('burst=4, words=10', { stream: true })
			.replace('Host: x', 'Connection: close')]);
		assert.deepEqual(burst.text.split(/\r\n[0-9a-f]+\r\n/).slice(1)
			.map((chunk) => chunk.split('data: ').length - 1), [4, 4, 4, 1, 0]);
	});

	test('ends of every kind after three events', async () => {
		const end = await streamed('end-after=3');
		assert.equal(events(end.body).length, 3);
		assert.ok(!end.broken && !end.body.includes(DONE));

		const error = events((await streamed('error-after=3')).body);
		assert.equal(error.length, 5);
		assert.equal(error[3].error.code, 500);
		assert.equal(error[4], '[DONE]');

		const closed = await raw([rawChat('close-after=3', { stream: true })]);
		assert.equal(closed.ended, 'FIN');
		assert.equal(events(closed.text).length, 3);
		assert.doesNotMatch(closed.text, /\r\n0\r\n/);

		const reset = await raw([rawChat('reset-after=3', { stream: true })]);
		assert.equal(reset.ended, 'ECONNRESET');
		assert.equal(events(reset.text).length, 3);

		const half = await raw([rawChat('truncate=1', { stream: true })]);
		assert.equal(half.ended, 'FIN');
		assert.doesNotMatch(half.text, /\n\n$/);

		let stalled = '';
		await raw([rawChat('stall-after=3', { stream: true })],
			(socket, text) => {
				stalled = text;
				if (events(text).length === 3)
					setTimeout(() => socket.destroy(), 150);
			});
		assert.equal(events(stalled).length, 3);
		await wait('open=0');
		assert.equal((await stats()).aborted, 1);
	});

	test('lines: as long as asked, broken, CRLF, comments', async () => {
		const long = await streamed('line=262144');
		const lines = long.body.split('\n').map((line) => line.length);
		assert.equal(Math.max(...lines), 262144);
		assert.equal(events(long.body).at(-1), '[DONE]');
		const broken = await streamed('bad-json=1');
		assert.throws(() => events(broken.body), SyntaxError);
		assert.ok(broken.body.includes(DONE));
		const crlf = await streamed('crlf=1');
		assert.doesNotMatch(crlf.body, /[^\r]\n/);
		assert.equal(said(events(crlf.body)), `${SAYS}hello world`);
		const comments = await streamed('comment=1, words=2');
		assert.equal(comments.body.match(/^: ping\n\n/gm).length, 5);
	});

	test('usage: null, never, always', async () => {
		const options = { stream_options: { include_usage: true } };
		const last = async (faults) =>
			events((await streamed(faults, options)).body).at(-2);
		assert.equal((await last('null-usage=1')).usage, null);
		assert.equal((await last('null-usage=1')).choices.length, 0);
		assert.equal((await last('no-usage=1')).choices.length, 1);
		assert.doesNotMatch((await streamed('no-usage=1', options)).body, /usage/);
		const each = events((await streamed('continuous=1')).body).slice(0, -1);
		assert.ok(each.every((event) => event.usage.prompt_tokens === 3));
		assert.equal(each.at(-1).choices.length, 1);
	});

	test('split-utf8 cuts events within a character', async () => {
		const answer = await streamed('split-utf8=1');
		assert.ok(answer.pieces.some((piece) => (piece[0] & 0xc0) === 0x80));
		assert.match(said(events(answer.body)), /Zażółć gęślą jaźń, 牛さん, 🐄🐖🐓🐟/);
	});

	test('huge streams arrive whole at a slow reader', async () => {
		const { text } = await raw([rawChat('huge=20000000, no-length',
			{ stream: true }).replace('HTTP/1.1', 'HTTP/1.0')], undefined,
		(socket) => {
			socket.pause();
			setTimeout(() => socket.resume(), 100);
		});
		assert.equal(said(events(text.split('\r\n\r\n')[1])).length, 20000000);
		assert.equal((await stats()).done, 1);
	});
});

describe('reports', () => {
	test('requests are reported as they came', async () => {
		const body = '{"model": "gemma-3-27b", "messages": [{"content": "ö"}]}';
		await ask('POST', `${CHAT}?a=b&c`, body, { 'X-Odd': '  1 2 ', 'x-odd2': '' });
		const [last, ...more] = await report('n=1&body=1');
		assert.equal(more.length, 0);
		assert.deepEqual([last.method, last.path, last.query, last.state],
			['POST', CHAT, 'a=b&c', 'done']);
		assert.deepEqual(last.headers.slice(1, 3), [['X-Odd', '1 2'], ['x-odd2', '']]);
		assert.equal(last.body_length, Buffer.byteLength(body));
		assert.equal(last.body_sha256,
			crypto.createHash('sha256').update(body).digest('hex'));
		assert.equal(Buffer.from(last.body_base64, 'base64').toString(), body);
		assert.ok(last.ms >= 0 && last.connection > 0);
	});

	test('the last thousand are kept, in order', async () => {
		const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
		for (let i = 0; i < 1003; i++)
			await ask('GET', `/v1/models?${i}`, undefined, {}, { agent });
		agent.destroy();
		const all = await report('');
		assert.deepEqual(all.map((request) => Number(request.query)),
			Array.from({ length: 1000 }, (_, i) => i + 3));
		const counts = await stats();
		assert.equal(counts.requests, 1003);
		assert.equal(counts.done, 1003);
		assert.equal(all[0].connection, all[999].connection);
	});

	test('clients that go are counted at once, whatever they waited for', async () => {
		const stages = { 'delay-head=60000': /^$/, 'delay-body=60000': /\r\n\r\n$/,
			'stall-after=2': /data:/, 'slow-body=100, pause=60000': /\{/ };
		let aborted = 0;
		for (const [faults, got] of Object.entries(stages)) {
			const stream = faults.startsWith('stall');
			let client;
			const gone = raw([rawChat(faults, { stream })],
				(socket, text) => { if (got.test(text)) socket.destroy(); },
				(socket) => { client = socket; });
			if (faults.startsWith('delay-head')) {
				await wait('open=1');
				client.destroy();
			}
			await gone;
			await wait(`aborted=${++aborted}`);
			assert.equal((await stats()).open, 0);
			assert.equal((await report('n=1'))[0].state, 'aborted');
		}
		await raw([rawChat('').slice(0, -5)], undefined,
			(socket) => wait('open=1').then(() => socket.destroy()));
		await wait(`aborted=${++aborted}`);
		let deaf;
		const flood = raw([rawChat('huge=50000000', { stream: true })], undefined,
			(socket) => { deaf = socket.pause(); });
		await wait('open=1');
		assert.equal((await report('n=1'))[0].state, 'open');
		deaf.destroy();
		await flood;
		await wait(`aborted=${++aborted}`);
	});

	test('waiting is answered in time or with 504', async () => {
		const vain = await ask('GET', '/standin/wait?requests=1&timeout=50');
		assert.equal(vain.status, 504);
		const two = ask('GET', '/standin/wait?requests=2&timeout=3000');
		const open = ask('GET', '/standin/wait?open=2&timeout=3000');
		const calls = [chat('delay-head=100'), chat('delay-head=100')];
		assert.equal((await two).status, 200);
		assert.equal(JSON.parse((await open).body).open, 2);
		await Promise.all(calls);
		await wait('done=2');
		assert.equal((await ask('GET', '/standin/wait')).status, 400);
	});

	test('reset forgets calls that are still open', async () => {
		const call = chat('delay-head=100');
		await wait('open=1');
		await ask('POST', '/standin/reset');
		assert.equal((await stats()).open, 0);
		assert.deepEqual(await report(''), []);
		assert.equal((await call).status, 200);
		assert.deepEqual({ ...(await stats()), connections: 0, connections_open: 0 },
			{ requests: 0, open: 0, aborted: 0, done: 0, connections: 0,
				connections_open: 0 });
	});
});
