// Talks to a stand-in upstream that it starts itself; for the tests of the
// stand-in alone.
'use strict';

const http = require('node:http');
const net = require('node:net');
const path = require('node:path');
const assert = require('node:assert/strict');
const { spawn } = require('node:child_process');
const { after, before, beforeEach } = require('node:test');

const PROGRAM = process.env.STANDIN ||
	path.resolve(__dirname, '../../..', process.env.BUILD || 'build',
		'tests/standin');
const CHAT = '/v1/chat/completions';
const SAYS = 'This is a stand-in, not a model. You said: ';

// Starts one; resolves to { port, child, exit }.
function start(...args) {
	const child = spawn(PROGRAM, ['--port', '0', ...args]);
	const exit = new Promise((resolve) => child.on('exit', (code, signal) =>
		resolve({ code, signal })));
	let out = '', err = '';
	child.stderr.on('data', (data) => { err += data; });
	return new Promise((resolve, reject) => {
		child.on('error', reject);
		child.stdout.on('data', (data) => {
			out += data;
			const line = /^listening on http:\/\/127\.0\.0\.1:(\d+)\n/.exec(out);
			if (line)
				resolve({ port: Number(line[1]), child, exit,
					stderr: () => err });
		});
		exit.then(() => reject(new Error(`standin ended: ${err}`)));
	});
}

let port;
const use = (newPort) => { port = newPort; };

// One for all tests of a file, as new before each; filled in before the first.
function standinForAll() {
	const standin = {};
	before(async () => {
		Object.assign(standin, await start());
		use(standin.port);
	});
	beforeEach(() => ask('POST', '/standin/reset'));
	after(async () => {
		standin.child.kill();
		assert.deepEqual(await standin.exit, { code: 0, signal: null });
		assert.match(standin.stderr(), /not Privatemode/);
	});
	return standin;
}

// One exchange: { status, headers, body, broken }. 'broken' is the error that
// ended the answer before its time, if one did.
function ask(method, target, body, headers = {}, options = {}) {
	if (body !== undefined && !Buffer.isBuffer(body) && typeof body !== 'string')
		body = JSON.stringify(body);
	return new Promise((resolve, reject) => {
		const request = http.request({ host: '127.0.0.1', port, method, path: target,
			agent: options.agent || false, headers: body === undefined ? headers :
				{ 'content-length': Buffer.byteLength(body), ...headers } });
		request.on('error', reject);
		request.on('response', (response) => {
			const pieces = [], times = [];
			const end = (broken) => resolve({ status: response.statusCode, broken,
				headers: response.headers, pieces, times,
				raw: response.rawHeaders, body: Buffer.concat(pieces).toString() });
			response.on('data', (data) => {
				pieces.push(data);
				times.push(Date.now());
			});
			response.on('end', () => end(null));
			response.on('error', (error) => end(error.code));
		});
		request.end(body);
	});
}

// A chat call with these faults; 'more' goes into the request.
function chat(faults, more = {}, headers = {}) {
	return ask('POST', CHAT, { model: 'gpt-oss-120b',
		messages: [{ role: 'user', content: 'hello world' }], ...more },
	faults === '' ? headers : { 'x-standin': faults, ...headers });
}
const streamed = (faults, more = {}) => chat(faults, { stream: true, ...more });

// The data of each event, parsed but for [DONE].
function events(text) {
	return text.split(/\r?\n\r?\n/).filter((event) => /^data: /m.test(event))
		.map((event) => /^data: (.*?)\r?$/m.exec(event)[1])
		.map((data) => (data === '[DONE]' ? data : JSON.parse(data)));
}
const said = (list) => list.filter((event) => event.choices && event.choices[0])
	.map((event) => event.choices[0].delta.content || '').join('');

function form(fields, file) {
	const parts = Object.entries(fields).map(([name, value]) =>
		`--edge\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`);
	if (file !== undefined)
		parts.push('--edge\r\nContent-Disposition: form-data; name="file"; ' +
			`filename="a.wav"\r\nContent-Type: audio/wav\r\n\r\n${file}\r\n`);
	return `${parts.join('')}--edge--\r\n`;
}
const FORM = { 'content-type': 'multipart/form-data; boundary=edge' };
const audio = (fields, file = 'x'.repeat(40000), where = 'transcriptions') =>
	ask('POST', `/v1/audio/${where}`,
		form({ model: 'whisper-large-v3', ...fields }, file), FORM);

// Writes over a bare socket, each apart; { text, ended } is all that came and
// how. 'next' is called with the socket and the text so far, 'begun' with it
// connected.
function raw(writes, next = () => {}, begun = () => {}) {
	return new Promise((resolve) => {
		const socket = net.connect(port, '127.0.0.1', () => begun(socket));
		let text = '';
		socket.setNoDelay(true);
		socket.on('data', (data) => {
			text += data.toString('latin1');
			next(socket, text);
		});
		socket.on('error', (error) => resolve({ text, ended: error.code }));
		socket.on('close', () => resolve({ text, ended: 'FIN' }));
		const write = (i) => i < writes.length &&
			socket.write(writes[i], () => setImmediate(write, i + 1));
		write(0);
	});
}
function rawChat(faults, more = {}) {
	const body = JSON.stringify({ model: 'gpt-oss-120b',
		messages: [{ role: 'user', content: 'hello' }], ...more });
	return `POST ${CHAT} HTTP/1.1\r\nHost: x\r\nX-Standin: ${faults}\r\n` +
		`Content-Length: ${body.length}\r\n\r\n${body}`;
}

const report = async (query) =>
	JSON.parse((await ask('GET', `/standin/requests?${query}`)).body);
const stats = async () => JSON.parse((await ask('GET', '/standin/stats')).body);
const wait = async (what) => {
	const answer = await ask('GET', `/standin/wait?${what}&timeout=10000`);
	if (answer.status !== 200)
		throw new Error(`waited in vain for ${what}: ${answer.body}`);
};

module.exports = { CHAT, FORM, SAYS, ask, audio, chat, events, form, raw, rawChat,
	report, said, standinForAll, start, stats, streamed, use, wait };
