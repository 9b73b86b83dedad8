'use strict';
/*
 * report.js - after the load: what is in the journal, what the limits let
 * through, what grew, and what all of it came to.
 */
const { GIVEN_A_LENGTH } = require('./ask');
const { EARLIER_KEY, checkExport } = require('./books');
const limited = require('./limited');

/* Of what lives all the time, after the warm-up. */
const GROWTH_PERCENT = 5;
/* Below this the warm-up is not over, and nothing can be said of growth. */
const GROWTH_SECONDS = 300;
/* As many more descriptors than ever in the first half are no leak. */
const SOME_FDS = 24;
/* The same of threads. */
const SOME_THREADS = 16;

const { journal } = require('../e2e/lib/journal');

const percentile = (list, p) => [...list].sort((a, b) => a - b)[
  Math.min(list.length - 1, Math.floor(list.length * p))];
const seconds = (ms) => (ms / 1000).toFixed(2);

/* What broke without a death nearby was no death's fault. */
function checkBroken(soak) {
  const unexplained = soak.broken.filter(({ sent, end }) =>
    !soak.watch.deathIn(sent, end));

  for (const { name, why } of unexplained)
    soak.breach(`${name}: ${why}, and no responder had died`);
  return unexplained.length;
}

const givenLength = (soak) =>
  soak.broken.filter(({ why }) => why === GIVEN_A_LENGTH).length;

function checkLimits(soak) {
  const { LIMITS, WINDOW_MS, MINUTE_MS } = limited;
  const { requests, tokens, parallel } = soak.admitted;
  const most = {
    requests: limited.mostWithin(requests, WINDOW_MS),
    tokens: limited.mostWithin(tokens, MINUTE_MS),
    parallel: limited.mostAtOnce(parallel),
  };

  for (const [name, n] of Object.entries(most))
    if (n > LIMITS[name])
      soak.breach(`${name}: ${n} admitted, the limit is ${LIMITS[name]}`);
  return most;
}

/* Little must be left, and not less than nothing. */
async function checkBudget(soak) {
  const person = soak.limited.budget;
  const asked = await limited.spendRest(soak, person);
  const spent = journal(soak.gate).filter(({ key }) => key === person.key_id)
    .reduce((sum, { total }) => sum + total, 0);

  if (spent > person.budget)
    soak.breach(`budget: ${spent} of ${person.budget} tokens spent`);
  if (spent + asked <= person.budget)
    soak.breach(`budget: refused with ${person.budget - spent} tokens left, ` +
      `${asked} asked for`);
  return `${spent} of ${person.budget} tokens, then refused ${asked}`;
}

function checkGrowth(soak, long) {
  const { began, calmAt } = soak.times;
  const figures = soak.watch.growth(began, calmAt);

  for (const [name, [early, late, percent]] of Object.entries(figures))
    if (long && !/ (fds|threads)$/.test(name) && percent > GROWTH_PERCENT)
      soak.breach(`${name} grew from ${early} to ${late}`);
  return figures;
}

/* What must be as it was, once all is quiet. */
function checkRest(soak, { PROCESSES, tree, look }) {
  const { gate, watch } = soak;
  const pids = gate.responders();
  const run = tree(gate.runDir);
  const state = tree(gate.stateDir);
  const first = pids.includes(watch.first) ? look(watch.first) : {};
  const left = [...run.names.filter((name) => name.startsWith('upload/')),
    ...state.names.filter((name) => /draft|tmp/.test(name))];

  if (pids.length !== PROCESSES)
    soak.breach(`${pids.length} responders, not ${PROCESSES}`);
  if (!pids.includes(watch.first)) soak.breach('the first responder is gone');
  /* There are as many as were needed at once so far. */
  if (first.threads > watch.mostEarly('responder', 'threads') + SOME_THREADS)
    soak.breach(`${first.threads} threads when all is quiet, ` +
      `${watch.mostEarly('responder', 'threads')} at most in the first half`);
  /* Threads keep one each once they were used, and warm connections stay. */
  if (first.fds > watch.mostEarly('responder', 'fds') + SOME_FDS)
    soak.breach(`${first.fds} descriptors when all is quiet, ` +
      `${watch.mostEarly('responder', 'fds')} at most in the first half`);
  if (left.length > 0) soak.breach(`left behind: ${left}`);
  return { run, state, first };
}

const counts = (o) => `${o.whole} whole, ${o.error} errors, ${o.left} left, ` +
  `${o.broken} broken, ${o.hung} hung`;

function printLoad(soak, { SECONDS, CLIENTS }) {
  const all = [...soak.outcomes.values()];
  const sum = (name) => all.reduce((n, o) => n + o[name], 0);
  const total = all.reduce((n, o) => n + o.times.length, 0);

  console.log(`\n${SECONDS} s, ${CLIENTS} clients: ${total} requests ` +
    `(${(total / SECONDS).toFixed(0)} a second), ${sum('broken')} broken, ` +
    `${sum('hung')} hung`);
  for (const [name, o] of soak.outcomes)
    console.log(`  ${name.padEnd(20)} ${counts(o)}; median ` +
      `${seconds(percentile(o.times, 0.5))} s, longest ` +
      `${seconds(percentile(o.times, 1))} s`);
  console.log(`  deaths: ${soak.watch.killed()} responders in ` +
    `${soak.watch.deaths.length} blows, back within ` +
    `${seconds(soak.watch.slowest)} s`);
}

function printLimits(soak, most, holds, budget) {
  const { LIMITS } = limited;

  console.log(`  limits: ${most.requests} of ${LIMITS.requests} requests in ` +
    `a window, ${most.tokens} of ${LIMITS.tokens} tokens in a minute, ` +
    `${most.parallel} of ${LIMITS.parallel} at once, ${holds} after the load; ` +
    `budget ${budget}`);
}

function printGrowth(figures) {
  for (const [name, [early, late, percent]] of Object.entries(figures))
    console.log(`  ${name.padEnd(20)} ${early} -> ${late} ` +
      `(${percent >= 0 ? '+' : ''}${percent.toFixed(1)} %)`);
}

async function conclude(soak, options) {
  const holds = await limited.holdsExactly(soak, soak.limited.parallel);
  const budget = await checkBudget(soak);
  const most = checkLimits(soak);
  const unexplained = checkBroken(soak);

  soak.settle();
  await soak.earlier.rollup(soak);
  await soak.earlier.export(soak);
  soak.earlier.check(soak);
  const lines = journal(soak.gate);
  await checkExport(soak, lines);
  const books = soak.ledger.compare(
    lines.filter(({ key }) => key !== EARLIER_KEY && key !== 'deleted'));
  for (const text of books.wrong) soak.breach(text);
  const figures = checkGrowth(soak, options.SECONDS >= GROWTH_SECONDS);
  const rest = checkRest(soak, options);

  printLoad(soak, options);
  console.log(`  journal: ${books.lines} lines; ${books.whole} whole answers ` +
    `with one each, ${books.refused} refused with none, ${books.broken} ` +
    `broken of which ${books.written} have theirs; ${books.wrong.length} ` +
    `wrong; ${givenLength(soak)} streams cut at their head, with a length; ${unexplained} broken without a death`);
  printLimits(soak, most, holds, budget);
  console.log(`  books: ${soak.earlier.rollups} roll-ups and ` +
    `${soak.earlier.exports} exports of ${soak.earlier.written} lines of ` +
    `earlier hours; ${soak.changes} changes of keys`);
  printGrowth(figures);
  console.log(`  at rest: ${rest.first.fds} descriptors, ${rest.first.threads} ` +
    `threads (${soak.quietBefore.fds}, ${soak.quietBefore.threads} at first), ` +
    `RUN_DIR ${rest.run.files} files of ${rest.run.bytes} bytes, STATE_DIR ` +
    `${rest.state.files} of ${rest.state.bytes}\n`);
}

module.exports = { conclude };
