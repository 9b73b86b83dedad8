'use strict';
/*
 * limited.js - keys with limits, each asked for more than it may have by
 * several clients at once while responders die. What was admitted is known
 * only to lie between the sending and the answer's head, so what is counted
 * here is what must have been admitted within a window, or held at once.
 */
const { setTimeout: sleep } = require('node:timers/promises');
const { ask, newAgent } = require('./ask');

const CHAT = '/v1/chat/completions';
const WINDOW_MS = 10000; /* RATE_LIMIT_WINDOW of the soak's gate */
const MINUTE_MS = 60000;
/* The gate counts in whole milliseconds. */
const ROUNDING_MS = 2;
const LIMITS = { requests: 20, tokens: 3000, parallel: 5 };

/* The most that was surely admitted within any 'ms' milliseconds. */
function mostWithin(admitted, ms) {
  const list = [...admitted].sort((a, b) => a.from - b.from);
  let most = 0;

  for (let i = 0; i < list.length; i++) {
    const end = list[i].from + ms - ROUNDING_MS;
    let sum = 0;
    for (let j = i; j < list.length && list[j].from < end; j++)
      if (list[j].to < end) sum += list[j].weight;
    most = Math.max(most, sum);
  }
  return most;
}

/* The most of these spans that hold at one moment. */
function mostAtOnce(spans) {
  const steps = spans.filter(({ from, to }) => from < to)
    .flatMap(({ from, to }) => [[from, 1], [to, -1]])
    .sort(([a, up], [b, other]) => a - b || up - other);
  let now = 0;
  let most = 0;

  for (const [, step] of steps) most = Math.max(most, now += step);
  return most;
}

const chat = (words, content, more) => ({ model: `standin/words=${words}`,
  messages: [{ role: 'user', content }], ...more });

/* Asks with a key that has a limit; 429 is what it may get, other errors not. */
async function insist(soak, person, name, make, agent) {
  const n = soak.ledger.number(person.key_id, 'chat.completions');
  const { json, prompt } = make(n);
  const result = await ask(soak.gate, CHAT, { key: person.key, json, agent });

  soak.note(name, result);
  soak.ledger.ended(person.key_id, 'chat.completions', prompt,
    { whole: 'whole', error: 'refused' }[result.how] ?? 'broken');
  if (result.how === 'error' && result.status !== 429)
    soak.breach(`${name}: ${result.status} ${result.text}`);
  return result;
}

/* A prompt of n tokens, so that each request can be told from others. */
const prompt = (n) => 'x'.repeat(4 * n);

async function requestsClient(soak, person) {
  const agent = newAgent();

  while (!soak.over) {
    const r = await insist(soak, person, 'window of requests', (n) =>
      ({ json: chat(2, prompt(n)), prompt: n }), agent);
    if (r.how === 'whole')
      soak.admitted.requests.push({ from: r.sent, to: r.head, weight: 1 });
    await sleep(r.how === 'whole' ? 50 : 100 + Math.random() * 400);
  }
  agent.destroy();
}

/* What asks for more than the limit is let in alone, and charged all of it. */
async function tokensClient(soak, person) {
  const agent = newAgent();

  while (!soak.over) {
    const r = await insist(soak, person, 'window of tokens', (n) =>
      ({ json: chat(5, prompt(n), { max_tokens: 5 }), prompt: n }), agent);
    if (r.how === 'whole')
      soak.admitted.tokens.push({ from: r.sent, to: r.head,
        weight: Math.min(LIMITS.tokens,
          JSON.parse(r.text).usage.total_tokens) });
    await sleep(200 + Math.random() * 600);
  }
  agent.destroy();
}

/* Its stream takes two seconds from whenever it was let in. */
const HOLD_MS = 1900;
const hold = (n) => ({ json: { ...chat(20, prompt(n)), stream: true,
  model: 'standin/words=20,rate=10' }, prompt: n });

async function parallelClient(soak, person) {
  const agent = newAgent();

  while (!soak.over) {
    const r = await insist(soak, person, 'at once', hold, agent);
    if (r.how === 'whole')
      soak.admitted.parallel.push({ from: r.head, to: r.sent + HOLD_MS });
    await sleep(100 + Math.random() * 500);
  }
  agent.destroy();
}

const BUDGET_STEP = 6000;
const spend = (n) => ({ prompt: n + 50,
  json: chat(5, prompt(n + 50), { max_tokens: 20 }) });

/* Spends a budget; when nothing is left, an admin gives more. */
async function budgetClient(soak, person) {
  const agent = newAgent();

  while (!soak.over) {
    const r = await insist(soak, person, 'budget', spend, agent);
    if (r.how === 'error' && !soak.over && Math.random() < 0.3) {
      person.budget += BUDGET_STEP;
      await soak.pmkey('set', person.key_id, '--budget-tokens',
        String(person.budget));
    }
    await sleep(300 + Math.random() * 900);
  }
  agent.destroy();
}

/*
 * After the load, with nothing under way: what the dead held is back, all of
 * it and no more.
 */
async function holdsExactly(soak, person) {
  const all = await Promise.all(Array.from({ length: LIMITS.parallel + 3 },
    () => insist(soak, person, 'at once', hold, false)));
  const n = all.filter(({ how }) => how === 'whole').length;

  if (n !== LIMITS.parallel)
    soak.breach(`${n} at once after the load, not ${LIMITS.parallel}`);
  return n;
}

/* Spends the rest of the budget, one by one; returns what the last asked for. */
async function spendRest(soak, person) {
  const agent = newAgent();
  let r, tokens;

  do {
    r = await insist(soak, person, 'budget', (n) => {
      const asked = spend(n);
      tokens = Math.floor(JSON.stringify(asked.json).length / 4) + 1 + 20;
      return asked;
    }, agent);
  } while (r.how === 'whole');
  agent.destroy();
  return tokens;
}

module.exports = { BUDGET_STEP, LIMITS, MINUTE_MS, WINDOW_MS, budgetClient,
  holdsExactly, mostAtOnce, mostWithin, parallelClient, requestsClient,
  spendRest, tokensClient };
