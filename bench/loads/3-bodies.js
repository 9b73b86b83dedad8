'use strict';
/* Large bodies, eight at once; uploads also beside bench/floor.c. */
const { withAll } = require('../lib/gates.js');
const { median, ratio, show, showSpread, table } = require('../lib/numbers.js');
const { bodies, turns } = require('../lib/run.js');
const { held, peak, resident } = require('../lib/processes.js');

const LANES = 8;
const MIB = 1 << 20;
/* Kind, bytes, how many in a round. */
const STEPS = [['json', 2 * MIB, 64], ['audio', 25 * MIB, 16]];

async function measure(gate, kind, bytes, times) {
  const { web, responders } = gate.groups();
  const pids = [...web, ...responders];
  const now = () => resident(pids) +
    (gate.uploads ? held(gate.uploads, pids) : 0);
  const rest = now();
  const most = peak(now);

  return { ...await bodies(gate, [kind, bytes, LANES, times]), rest,
    most: most.stop() };
}

/* Seconds of processor for 100 MB. */
const cpu = (list, group, bytes, times) =>
  show(median(list.map((r) => r.cpu[group] / (bytes * times) * 1e8)));

async function run({ rounds, say }) {
  const all = {};
  const text = [];

  await withAll({ floors: ['read', 'post'] }, async (gates) => {
    for (const [kind, bytes, times] of STEPS) {
      const results = await turns(rounds, gates.filter(({ name }) =>
        kind === 'audio' || !name.startsWith('floor')), (gate) =>
        measure(gate, kind, bytes, times));
      const speed = (name) => results[name].map((r) => r.mbps);
      all[kind] = results;
      text.push(`### ${bytes / MIB} MiB, ${kind}\n`, table([['through', 'MB/s',
        'ratio', 'peak MiB', 'more than at rest', 'in bodies at once', 'CPU web',
        'responders', 'upstream', 'failed'],
      ...Object.keys(results).map((name) => {
        const list = results[name];
        const more = list.map((r) => r.most - r.rest);
        return [name, showSpread(speed(name)),
          show(ratio(speed(name), speed('mod_proxy'))),
          showSpread(list.map((r) => r.most / MIB)),
          showSpread(more.map((b) => b / MIB)),
          show(Math.max(...more) / bytes / LANES),
          ...['web', 'responders', 'upstream'].map((group) =>
            cpu(list, group, bytes, times)),
          list.reduce((n, r) => n + r.failed, 0)];
      })]), '');
      say(text.at(-2));
    }
  });
  text.push('CPU: seconds for 100 MB. "floor: read" has no upstream.', '');
  const audio = all.audio.pmproxy;
  return { text: text.join('\n'), data: all, goals: [
    { name: 'large uploads, MB/s against mod_proxy', goal: 0.9, least: true,
      measured: ratio(audio.map((r) => r.mbps),
        all.audio.mod_proxy.map((r) => r.mbps)) },
    { name: 'their peak memory (above rest, files in RUN_DIR included), in ' +
      'bodies x concurrency', goal: 2.2,
    measured: Math.max(...audio.map((r) => r.most - r.rest)) /
      (25 * MIB * LANES) }] };
}

module.exports = { title: 'Large bodies', run };
