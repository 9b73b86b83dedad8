/*
 * The official openai client against a real gate: what its users do all day,
 * and each way in which it tells them that something went wrong.
 */
import assert from 'node:assert/strict';
import { File } from 'node:buffer';
import { createRequire } from 'node:module';
import { Readable } from 'node:stream';
import { after, before, describe, it } from 'node:test';
import OpenAI, { toFile } from 'openai';

const { startStack } = createRequire(import.meta.url)('../e2e/lib/stack.js');

/* Debian 12's node 18 has it, but not as a global, where the client looks. */
globalThis.File ??= File;

/* The certificate is the test's own, made a moment ago. */
process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0';

const MODEL = 'gpt-oss-120b';
const hello = [{ role: 'user', content: 'a note for the campaign' }];
const fault = (what) => `standin/${what}`;

function pieces(chunks) {
  return chunks.flatMap((c) => c.choices.map((x) => x.delta.content || ''))
    .join('');
}

async function collect(stream) {
  const chunks = [];

  for await (const chunk of stream) chunks.push(chunk);
  return chunks;
}

for (const tls of [false, true])
  describe(`openai over ${tls ? 'TLS' : 'plain HTTP'}`, () => {
    let gate;
    let client;

    before(async () => {
      gate = await startStack({ tls });
      client = new OpenAI({
        apiKey: gate.apiKey, baseURL: `${gate.baseUrl}/v1`, maxRetries: 0,
      });
    });
    after(() => gate?.stop());

    it('lists the models and retrieves one', async () => {
      const ids = [];

      for await (const model of client.models.list()) ids.push(model.id);
      assert.ok(ids.includes(MODEL));
      assert.equal((await client.models.retrieve(MODEL)).id, MODEL);
    });

    it('completes a chat, with usage and a request id', async () => {
      const answer = await client.chat.completions.create(
        { model: MODEL, messages: hello });

      assert.match(answer.choices[0].message.content, /a note for the campaign/);
      assert.equal(answer.usage.total_tokens,
        answer.usage.prompt_tokens + answer.usage.completion_tokens);
      assert.match(answer._request_id, /^req_/);
    });

    it('streams a chat and shows no usage that was not asked for', async () => {
      const chunks = await collect(await client.chat.completions.create(
        { model: MODEL, messages: hello, stream: true }));

      assert.match(pieces(chunks), /a note for the campaign/);
      assert.ok(chunks.every((c) => c.choices.length > 0));
      assert.ok(chunks.every((c) => !c.usage));
    });

    it('streams a chat with one last chunk of usage when asked', async () => {
      const chunks = await collect(await client.chat.completions.create({
        model: MODEL, messages: hello, stream: true,
        stream_options: { include_usage: true },
      }));
      const last = chunks.at(-1);

      assert.deepEqual(last.choices, []);
      assert.ok(last.usage.total_tokens > 0);
      assert.equal(chunks.filter((c) => c.usage).length, 1);
    });

    it('calls tools, whole and streamed', async () => {
      const request = {
        model: MODEL,
        messages: [{ role: 'user', content: 'use the tool' }],
        tools: [{
          type: 'function',
          function: {
            name: 'find_permit',
            parameters: { type: 'object', properties: {} },
          },
        }],
      };
      const whole = await client.chat.completions.create(request);
      const call = whole.choices[0].message.tool_calls[0];
      const streamed = await client.chat.completions.stream(request)
        .finalChatCompletion();

      assert.equal(call.function.name, 'find_permit');
      assert.doesNotThrow(() => JSON.parse(call.function.arguments));
      assert.equal(streamed.choices[0].message.tool_calls[0].function.name,
        'find_permit');
    });

    it('embeds as base64, which it asks for itself, and as floats', async () => {
      const input = ['one witness', 'another'];
      const model = 'qwen3-embedding-4b';
      const base64 = await client.embeddings.create({ model, input });
      const floats = await client.embeddings.create(
        { model, input, encoding_format: 'float' });

      assert.equal(base64.data.length, 2);
      base64.data.forEach((row, i) => row.embedding.forEach((x, j) =>
        assert.ok(Math.abs(x - floats.data[i].embedding[j]) < 1e-6)));
      assert.ok(floats.usage.total_tokens > 0);
    });

    it('transcribes a buffer and a stream of unknown length', async () => {
      const audio = Buffer.alloc(300000, 7);
      const model = 'whisper-large-v3';
      const buffer = await client.audio.transcriptions.create(
        { model, file: await toFile(audio, 'statement.wav') });
      const stream = await client.audio.transcriptions.create({
        model,
        file: await toFile(Readable.from([audio, audio]), 'statement.wav'),
      });

      assert.match(buffer.text, /300000 bytes of audio/);
      assert.match(stream.text, /600000 bytes of audio/);
    });

    it('completes in the legacy way', async () => {
      const answer = await client.completions.create(
        { model: MODEL, prompt: 'once' });

      assert.match(answer.choices[0].text, /once/);
    });

    it('raises AuthenticationError for a wrong key', async () => {
      const other = new OpenAI({
        apiKey: 'pm_wrong', baseURL: `${gate.baseUrl}/v1`, maxRetries: 0,
      });

      await assert.rejects(
        other.chat.completions.create({ model: MODEL, messages: hello }),
        (e) => e instanceof OpenAI.AuthenticationError && e.status === 401 &&
          e.code === 'invalid_api_key' && e.type === 'invalid_request_error' &&
          /^req_/.test(e.requestID));
    });

    it('raises NotFoundError for a model that is not there', async () => {
      await assert.rejects(client.models.retrieve('no-such-model'),
        (e) => e instanceof OpenAI.NotFoundError &&
          e.code === 'model_not_found' && e.param === 'model');
    });

    it('raises BadRequestError and names the member', async () => {
      await assert.rejects(client.chat.completions.create({ messages: hello }),
        (e) => e instanceof OpenAI.BadRequestError && e.param === 'model' &&
          e.type === 'invalid_request_error');
    });

    it('raises RateLimitError that says when to return', async () => {
      const key = gate.pmkey('create', '--label', 'sdk',
        '--rate-limit', '1').key;
      const limited = new OpenAI({
        apiKey: key, baseURL: `${gate.baseUrl}/v1`, maxRetries: 0,
      });
      const request = { model: MODEL, messages: hello };

      await limited.chat.completions.create(request);
      await assert.rejects(limited.chat.completions.create(request),
        (e) => e instanceof OpenAI.RateLimitError &&
          e.code === 'rate_limit_exceeded' && e.type === 'requests' &&
          Number(e.headers.get('retry-after')) >= 1 &&
          e.headers.get('x-ratelimit-remaining-requests') === '0');
    });

    it('raises InternalServerError when the upstream fails', async () => {
      await assert.rejects(client.chat.completions.create(
        { model: fault('status=500'), messages: hello }),
      (e) => e instanceof OpenAI.InternalServerError && e.status === 500);
      await assert.rejects(client.chat.completions.create(
        { model: fault('reset-after=0'), messages: hello }),
      (e) => e instanceof OpenAI.InternalServerError && e.status === 502 &&
          e.code === 'upstream_unreachable');
    });

    it('raises APIError when a stream breaks, however it breaks', async () => {
      for (const how of ['reset-after=3', 'close-after=3', 'end-after=3',
        'error-after=3'])
        await assert.rejects(async () => collect(
          await client.chat.completions.create(
            { model: fault(how), messages: hello, stream: true })),
        (e) => e instanceof OpenAI.APIError, how);
    });

    it('retries by itself, and in time, when told to', async () => {
      const patient = client.withOptions({ maxRetries: 2 });
      const seen = (await gate.standin.stats()).requests;

      await assert.rejects(patient.chat.completions.create(
        { model: fault('status=503,retry-after=1'), messages: hello }),
      OpenAI.InternalServerError);
      assert.equal((await gate.standin.stats()).requests, seen + 3);
    });

    it('aborts in mid-stream, and the upstream call ends', async () => {
      const aborted = (await gate.standin.stats()).aborted;
      const stream = await client.chat.completions.create({
        model: fault('rate=20,words=1000'), messages: hello, stream: true,
      });
      let events = 0;

      for await (const chunk of stream) {
        assert.ok(chunk);
        if (++events === 3) break;
      }
      await gate.standin.wait({ aborted: aborted + 1 });
    });

    it('aborts before the first byte, and the upstream call ends', async () => {
      /*
       * lighttpd 1.4.69 watches a kept-alive connection for hang-ups only when
       * it was idle for a moment, and nothing tells when it does.
       */
      await new Promise((resolve) => setTimeout(resolve, 150));
      const aborted = (await gate.standin.stats()).aborted;
      const open = (await gate.standin.stats()).open;
      const controller = new AbortController();
      const answer = client.chat.completions.create(
        { model: fault('delay-head=60000'), messages: hello },
        { signal: controller.signal });

      await gate.standin.wait({ open: open + 1 });
      controller.abort();
      await assert.rejects(answer, OpenAI.APIUserAbortError);
      await gate.standin.wait({ aborted: aborted + 1 });
    });
  });
