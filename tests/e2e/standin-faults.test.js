// The stand-in upstream itself: each fault on demand.
'use strict';

const { describe, test } = require('node:test');
const assert = require('node:assert/strict');
const { CHAT, FORM, SAYS, ask, chat, events, form, raw, rawChat, said,
	standinForAll, stats, streamed, wait } = require('./lib/standin-client.js');

standinForAll();

const took = async (promise) => {
	const begun = Date.now();
	return [await promise, Date.now() - begun];
};
const DONE = 'data: [DONE]';
const DONE_DATA = '[DONE]';

describe('faults of a whole answer', { timeout: 30000 }, () => {
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
		const [body, bodyMs] = await took(chat('delay-body=120, no-length'));
		assert.ok(bodyMs >= 115 && body.status === 200);
		const [slow, slowMs] = await took(chat('slow-body=5, pause=30'));
		assert.ok(slowMs >= 115, `${slowMs} ms`);
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
		const answer = await chat('split-utf8=1, pause=15');
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

describe('faults of a stream', { timeout: 30000 }, () => {
	test('rate, words and burst', async () => {
		const [slow, ms] = await took(streamed('rate=50, words=10'));
		assert.equal(events(slow.body).length, 13);
		assert.ok(ms >= 220, `${ms} ms`);
		const burst = await raw([rawChat('burst=4, words=10', { stream: true })
			.replace('Host: x', 'Connection: close')]);
		assert.deepEqual(burst.text.split(/\r\n[0-9a-f]+\r\n/).slice(1)
			.map((chunk) => chunk.split('data: ').length - 1), [4, 4, 4, 1, 0]);
	});

	test('stamps: a number, and the time by a clock that we have too', async () => {
		const now = () => Number(process.hrtime.bigint() / 1000n);
		const begun = now();
		const text = said(events((await streamed('stamp=1, words=5')).body));
		assert.match(text, /^(@\d+:\d+;){5}$/);
		let last = begun;
		[...text.matchAll(/@(\d+):(\d+);/g)].forEach(([, number, at], i) => {
			assert.equal(Number(number), i);
			assert.ok(Number(at) >= last, `${at} after ${last}`);
			last = Number(at);
		});
		assert.ok(last <= now());
	});

	test('stamped events differ from others in their text alone', async () => {
		const bare = async (faults, more) =>
			events((await streamed(faults, more)).body).map((event) => {
				const { id, created, choices, ...rest } = event;
				for (const choice of choices ?? [])
					if (choice.delta.content) choice.delta.content = 'text';
				return event === DONE_DATA ? event : { choices, ...rest };
			});
		for (const [faults, more] of [['words=4'], ['words=4, continuous=1'],
			['words=4, crlf=1, comment=1'], ['words=3', { n: 2 }]])
			assert.deepEqual(await bare(`stamp=1, ${faults}`, more),
				await bare(faults, more), faults);
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
		const { text } = await raw([rawChat('split-utf8=1', { stream: true })
			.replace('Host: x', 'Connection: close')]);
		const chunks = text.split(/\r\n[0-9a-f]+\r\n/).slice(1);
		assert.ok(chunks.filter((chunk) => /^[\x80-\xbf]/.test(chunk)).length > 9);
		const answer = await streamed('split-utf8=1');
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
