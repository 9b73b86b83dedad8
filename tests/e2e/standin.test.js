// The stand-in upstream itself: each endpoint. The other end-to-end tests
// believe it, so it is held to its README here.
'use strict';

const { describe, test } = require('node:test');
const assert = require('node:assert/strict');
const { CHAT, FORM, SAYS, ask, audio, chat, events, form, said, standinForAll,
	start, streamed, use } = require('./lib/standin-client.js');

const standin = standinForAll();

describe('endpoints', { timeout: 30000 }, () => {
	test('chat echoes the last message, announces itself and tells usage', async () => {
		const answer = await chat('', { messages: [
			{ role: 'system', content: 'be kind' },
			{ role: 'user', content: [{ type: 'text', text: 'sow and ' },
				{ type: 'image_url', image_url: { url: 'data:' } },
				{ type: 'text', text: 'piglets' }] }] });
		const body = JSON.parse(answer.body);
		assert.equal(answer.status, 200);
		assert.equal(answer.headers['x-standin'], '1');
		assert.equal(answer.headers['content-type'], 'application/json');
		assert.equal(body.system_fingerprint, 'stand-in');
		assert.equal(body.choices[0].message.content, `${SAYS}sow and piglets`);
		assert.equal(body.choices[0].finish_reason, 'stop');
		assert.deepEqual(body.usage, { prompt_tokens: 4, completion_tokens: 12,
			total_tokens: 16, prompt_tokens_details: { cached_tokens: 0 } });
	});

	test('a chat stream has usage exactly when it is asked for', async () => {
		const plain = events((await streamed('')).body);
		assert.equal(said(plain), `${SAYS}hello world`);
		assert.equal(plain.at(-1), '[DONE]');
		assert.ok(plain.slice(0, -1).every((event) => !('usage' in event)));

		const asked = events((await streamed('',
			{ stream_options: { include_usage: true } })).body);
		assert.deepEqual(asked.at(-2).choices, []);
		assert.equal(asked.at(-2).usage.total_tokens, 14);
		assert.ok(asked.slice(0, -2).every((event) => event.usage === null));

		const each = events((await streamed('', { stream_options:
			{ include_usage: true, continuous_usage_stats: true } })).body);
		assert.deepEqual(each.slice(0, 4).map((event) =>
			event.usage.completion_tokens), [0, 1, 2, 3]);
	});

	test('max_tokens, n and cache_salt count', async () => {
		const body = JSON.parse((await chat('', { max_tokens: 3, n: 2,
			cache_salt: 's'.repeat(32), messages: [{ role: 'user',
				content: 'x'.repeat(400) }] })).body);
		assert.equal(body.choices[1].message.content, 'This is a');
		assert.equal(body.choices[1].finish_reason, 'length');
		assert.equal(body.usage.completion_tokens, 6);
		assert.equal(body.usage.prompt_tokens_details.cached_tokens, 48);
		const both = events((await streamed('words=2', { n: 2 })).body);
		assert.deepEqual(both.slice(0, -1).map((event) => event.choices[0].index),
			[0, 1, 0, 1, 0, 1, 0, 1]);
	});

	test('a tool is called when the prompt speaks of it', async () => {
		const more = { messages: [{ role: 'user', content: 'use the tool' }],
			tools: [{ type: 'function', function: { name: 'find', parameters: {
				type: 'object', properties: { place: { type: 'string' },
					count: { type: 'integer' } } } } }] };
		const { message, finish_reason: finish } =
			JSON.parse((await chat('', more)).body).choices[0];
		assert.equal(finish, 'tool_calls');
		assert.equal(message.tool_calls[0].function.name, 'find');
		assert.deepEqual(JSON.parse(message.tool_calls[0].function.arguments),
			{ place: 'stand-in', count: 1 });
		const deltas = events((await streamed('', more)).body).slice(0, -1)
			.flatMap((event) => event.choices[0].delta.tool_calls || []);
		assert.equal(deltas[0].function.name, 'find');
		assert.equal(deltas.map((delta) => delta.function.arguments).join(''),
			message.tool_calls[0].function.arguments);
		const other = JSON.parse((await chat('', { tools: more.tools })).body);
		assert.equal(other.choices[0].message.content, `${SAYS}hello world`);
	});

	test('completions, whole and streamed', async () => {
		const whole = JSON.parse((await ask('POST', '/v1/completions',
			{ model: 'gemma-3-27b', prompt: 'a hen' })).body);
		assert.equal(whole.choices[0].text, `${SAYS}a hen`);
		assert.equal(whole.object, 'text_completion');
		const list = events((await ask('POST', '/v1/completions', { stream: true,
			model: 'gemma-3-27b', prompt: 'a hen' })).body);
		assert.equal(list.slice(0, -1).map((event) =>
			event.choices[0].text).join(''), `${SAYS}a hen`);
	});

	test('embeddings: float and base64 agree, the same text the same vector', async () => {
		const embed = async (more) => JSON.parse((await ask('POST',
			'/v1/embeddings', { model: 'qwen3-embedding-4b', ...more })).body);
		const floats = await embed({ input: ['cow', 'calf', 'cow'] });
		const coded = await embed({ input: 'cow', encoding_format: 'base64',
			dimensions: 256 });
		const bytes = Buffer.from(coded.data[0].embedding, 'base64');
		assert.equal(bytes.length, 1024);
		assert.deepEqual(floats.data[0].embedding, floats.data[2].embedding);
		assert.notDeepEqual(floats.data[0].embedding, floats.data[1].embedding);
		floats.data[0].embedding.forEach((value, i) =>
			assert.ok(Math.abs(value - bytes.readFloatLE(i * 4)) < 1e-6));
		const norm = floats.data[1].embedding.reduce((sum, x) => sum + x * x, 0);
		assert.ok(Math.abs(norm - 1) < 1e-4);
		assert.equal(floats.usage.prompt_tokens, 3);
		assert.equal(floats.usage.total_tokens, 3);
	});

	test('transcriptions in each format, with the usage that vLLM tells', async () => {
		const text = `${SAYS}40000 bytes of audio, hint`;
		const json = JSON.parse((await audio({ prompt: 'hint' })).body);
		assert.deepEqual(json, { text, usage: { type: 'duration', seconds: 2 } });
		const verbose = JSON.parse((await audio({ prompt: 'hint',
			response_format: 'verbose_json' })).body);
		assert.equal(verbose.duration, '2.0');
		assert.equal(verbose.text, text);
		assert.ok(!('usage' in verbose));
		assert.equal((await audio({ prompt: 'hint',
			response_format: 'text' })).body, `${text}\n`);
		assert.match((await audio({ response_format: 'srt' })).body,
			/^1\n00:00:00,000 --> 00:00:02,000\nThis is a stand-in/);
		assert.match((await audio({ response_format: 'vtt' })).body,
			/^WEBVTT\n\n00:00:00\.000 --> 00:00:02\.000\nThis is/);
		assert.equal((await audio({ response_format: 'mp3' })).status, 400);
		assert.deepEqual(Object.keys(JSON.parse((await audio({}, 'abc',
			'translations')).body)), ['text']);
	});

	test('streamed transcriptions tell usage only when asked', async () => {
		const plain = events((await audio({ stream: 'true' })).body);
		assert.equal(said(plain), `${SAYS}40000 bytes of audio`);
		assert.equal(plain[0].object, 'transcription.chunk');
		assert.ok(plain.every((event) => !event.usage));
		const asked = events((await audio({ stream: 'true',
			stream_include_usage: 'true' })).body);
		assert.deepEqual(asked.at(-2).choices, []);
		assert.equal(asked.at(-2).usage.prompt_tokens, 100);
		assert.equal(asked.at(-1), '[DONE]');
	});

	test('messages, whole and streamed with named events', async () => {
		const more = { model: 'gpt-oss-120b', max_tokens: 100,
			messages: [{ role: 'user', content: 'a goat' }] };
		const whole = JSON.parse((await ask('POST', '/v1/messages', more)).body);
		assert.equal(whole.type, 'message');
		assert.equal(whole.content[0].text, `${SAYS}a goat`);
		assert.deepEqual(whole.usage, { input_tokens: 2, output_tokens: 11,
			cache_read_input_tokens: 0, cache_creation_input_tokens: 0 });
		const answer = await ask('POST', '/v1/messages', { ...more, stream: true });
		const names = [...answer.body.matchAll(/^event: (.*)$/gm)].map((m) => m[1]);
		const list = events(answer.body);
		assert.deepEqual(list.map((event) => event.type), names);
		assert.deepEqual(names.filter((name, i) => name !== names[i - 1]),
			['message_start', 'content_block_start', 'content_block_delta',
				'content_block_stop', 'message_delta', 'message_stop']);
		assert.equal(list[0].message.usage.input_tokens, 2);
		assert.equal(list.at(-2).usage.output_tokens, 11);
		const error = JSON.parse((await ask('POST', '/v1/messages',
			{ ...more, model: 'none' })).body);
		assert.equal(error.type, 'error');
		const tool = JSON.parse((await ask('POST', '/v1/messages', { ...more,
			messages: [{ role: 'user', content: 'tool' }],
			tools: [{ name: 'find', input_schema: {} }] })).body);
		assert.equal(tool.content[0].name, 'find');
		assert.equal(tool.stop_reason, 'tool_use');
	});

	test('models and documents', async () => {
		const models = JSON.parse((await ask('GET', '/v1/models')).body);
		assert.equal(models.object, 'list');
		assert.ok(models.data.some((model) => model.id === 'whisper-large-v3'));
		const elements = JSON.parse((await ask('POST',
			'/unstructured/general/v0/general', form({}, 'abc'), FORM)).body);
		assert.match(elements[0].text, /stand-in.* 3 bytes/);
		assert.equal(elements[0].metadata.filename, 'a.wav');
	});

	test('errors are those of vLLM and the proxy', async () => {
		const post = (body, headers) => ask('POST', CHAT, body, headers);
		const unknown = await chat('', { model: 'none' });
		assert.equal(unknown.status, 404);
		assert.equal(JSON.parse(unknown.body).error.code, 404);
		assert.equal(JSON.parse(unknown.body).error.param, 'model');
		for (const body of ['{', '[]', '{} x', '', '{"model":1}',
			'{"model":"gpt-oss-120b"}'])
			assert.equal((await post(body)).status, 400, body);
		const deep = (n) => `{"model":"gpt-oss-120b","messages":[{"content":"a"}],` +
			`"x":${'['.repeat(n)}${']'.repeat(n)}}`;
		assert.equal((await post(deep(600))).status, 200);
		assert.equal((await chat('', { stream_options: {} })).status, 400);
		assert.equal((await chat('', { cache_salt: 'short' })).status, 400);
		assert.equal((await ask('POST', '/v1/audio/transcriptions',
			form({ model: 'whisper-large-v3' }), FORM)).status, 400);
		const method = await ask('GET', CHAT);
		assert.equal(method.status, 405);
		assert.equal(method.headers.allow, 'POST');
		assert.equal((await ask('GET', '/v1/nothing')).body,
			'{"detail":"Not Found"}');
		const event = await post('{', { accept: 'text/event-stream' });
		assert.equal(event.headers['content-type'], 'text/event-stream');
		assert.equal(events(event.body)[0].error.code, 400);
	});

	test('a key is asked for when one is required', async () => {
		const other = await start('--require-key', 'right');
		use(other.port);
		try {
			assert.equal((await ask('GET', '/v1/models')).status, 401);
			const wrong = await ask('GET', '/v1/models', undefined,
				{ authorization: 'Bearer wrong' });
			assert.equal(wrong.status, 401);
			assert.equal(typeof JSON.parse(wrong.body).error.message, 'string');
			assert.equal((await ask('GET', '/v1/models', undefined,
				{ authorization: 'Bearer right' })).status, 200);
			assert.equal((await ask('GET', '/standin/stats')).status, 200);
		} finally {
			use(standin.port);
			other.child.kill('SIGINT');
			assert.deepEqual(await other.exit, { code: 0, signal: null });
		}
	});
});
