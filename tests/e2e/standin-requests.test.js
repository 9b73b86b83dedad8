// The stand-in upstream itself: requests as they may come, and what it
// reports of them.
'use strict';

const { describe, test } = require('node:test');
const assert = require('node:assert/strict');
const crypto = require('node:crypto');
const http = require('node:http');
const { CHAT, FORM, ask, chat, form, raw, rawChat, report, standinForAll,
	stats, wait } = require('./lib/standin-client.js');

const standin = standinForAll();

describe('requests as they may come', { timeout: 30000 }, () => {
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

	test('chunks as node sends them', async () => {
		const piece = 'x'.repeat(70000);
		const answer = await new Promise((resolve, reject) => {
			const request = http.request({ host: '127.0.0.1',
				port: standin.port, method: 'POST',
				path: CHAT, agent: false }, (response) => {
				response.resume();
				response.on('end', () => resolve(response.statusCode));
			});
			request.on('error', reject);
			request.write('{"model":"gpt-oss-120b","messages":[{"content":"');
			request.write(piece);
			request.write(piece);
			request.end('"}]}');
		});
		assert.equal(answer, 200);
		assert.equal((await report('n=1'))[0].body_length, 140052);
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

describe('reports', { timeout: 30000 }, () => {
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
		const calls = [chat('delay-head=500'), chat('delay-head=500')];
		assert.equal((await two).status, 200);
		assert.equal(JSON.parse((await open).body).open, 2);
		await Promise.all(calls);
		await wait('done=2');
		assert.equal((await ask('GET', '/standin/wait')).status, 400);
	});

	test('reset forgets calls that are still open', async () => {
		const call = chat('delay-head=500');
		await wait('open=1');
		await ask('POST', '/standin/reset');
		assert.equal((await stats()).open, 0);
		assert.deepEqual(await report(''), []);
		assert.equal((await call).status, 200);
		assert.deepEqual({ ...(await stats()), connections: 0, connections_open: 0 },
			{ requests: 0, posts: 0, open: 0, aborted: 0, done: 0, connections: 0,
				connections_open: 0 });
	});
});
