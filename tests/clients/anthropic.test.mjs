/* The official Anthropic client against a real gate. */
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { after, before, describe, it } from 'node:test';
import Anthropic from '@anthropic-ai/sdk';

const { startStack } = createRequire(import.meta.url)('../e2e/lib/stack.js');

/* The certificate is the test's own, made a moment ago. */
process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0';

const request = {
  model: 'gpt-oss-120b',
  max_tokens: 100,
  messages: [{ role: 'user', content: 'a note for the campaign' }],
};

for (const tls of [false, true])
  describe(`anthropic over ${tls ? 'TLS' : 'plain HTTP'}`, () => {
    let gate;
    let client;

    before(async () => {
      gate = await startStack({ tls });
      client = new Anthropic({
        apiKey: gate.apiKey, baseURL: gate.baseUrl, maxRetries: 0,
      });
    });
    after(() => gate?.stop());

    it('creates a message, with usage and a request id', async () => {
      const message = await client.messages.create(request);

      assert.match(message.content[0].text, /a note for the campaign/);
      assert.ok(message.usage.input_tokens > 0);
      assert.ok(message.usage.output_tokens > 0);
      assert.match(message._request_id, /^req_/);
    });

    it('streams a message to its end', async () => {
      const stream = client.messages.stream(request);
      let text = '';

      stream.on('text', (piece) => { text += piece; });
      const message = await stream.finalMessage();
      assert.equal(message.content[0].text, text);
      assert.ok(message.usage.output_tokens > 0);
      assert.ok(message.stop_reason);
    });

    it('raises AuthenticationError for a wrong key', async () => {
      const other = new Anthropic({
        apiKey: 'pm_wrong', baseURL: gate.baseUrl, maxRetries: 0,
      });

      await assert.rejects(other.messages.create(request), (e) =>
        e instanceof Anthropic.AuthenticationError && e.status === 401 &&
        e.error.type === 'error' &&
        e.error.error.type === 'authentication_error' &&
        /^req_/.test(e.requestID));
    });

    it('raises BadRequestError and RateLimitError of its own kind', async () => {
      const key = gate.pmkey('create', '--label', 'sdk', '--rate-limit', '1');
      const limited = new Anthropic({
        apiKey: key.key, baseURL: gate.baseUrl, maxRetries: 0,
      });

      await assert.rejects(limited.messages.create({ ...request, model: '' }),
        (e) => e instanceof Anthropic.BadRequestError &&
          e.error.error.type === 'invalid_request_error');
      await limited.messages.create(request);
      await assert.rejects(limited.messages.create(request), (e) =>
        e instanceof Anthropic.RateLimitError &&
        e.error.error.type === 'rate_limit_error' &&
        Number(e.headers.get('retry-after')) >= 1 &&
        e.headers.get('anthropic-ratelimit-requests-remaining') === '0');
    });

    it('raises an error when a stream breaks', async () => {
      for (const how of ['reset-after=3', 'end-after=3'])
        await assert.rejects(client.messages.stream(
          { ...request, model: `standin/${how}` }).finalMessage(),
        (e) => e instanceof Anthropic.AnthropicError, how);
    });

    it('aborts in mid-stream, and the upstream call ends', async () => {
      const aborted = (await gate.standin.stats()).aborted;
      const stream = await client.messages.create({
        ...request, model: 'standin/rate=20,words=1000', max_tokens: 1000,
        stream: true,
      });

      for await (const event of stream)
        if (event.type === 'content_block_delta') break;
      await gate.standin.wait({ aborted: aborted + 1 });
    });

    it('aborts before the first byte, and the upstream call ends', async () => {
      /*
       * lighttpd 1.4.69 watches a kept-alive connection for hang-ups only when
       * it was idle for a moment, and nothing tells when it does.
       */
      await new Promise((resolve) => setTimeout(resolve, 150));
      const { aborted, open } = await gate.standin.stats();
      const controller = new AbortController();
      const answer = client.messages.create(
        { ...request, model: 'standin/delay-head=60000' },
        { signal: controller.signal });

      await gate.standin.wait({ open: open + 1 });
      controller.abort();
      await assert.rejects(answer, Anthropic.APIUserAbortError);
      await gate.standin.wait({ aborted: aborted + 1 });
    });
  });
