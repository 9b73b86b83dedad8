'use strict';
/*
 * watch.js - kills responders at random, all but the first, and looks at what
 * grows: the first, which lives from beginning to end, and the web server.
 */
const fs = require('node:fs');
const path = require('node:path');
const { setTimeout: sleep } = require('node:timers/promises');

/* The web server notices within a second; starting takes a moment. */
const BACK_MS = 30000;
/* After a death, until nothing that comes of it can still be met. */
const AFTER_MS = 3000;

/* Of one that is gone: as if it were a remnant. */
function read(file) {
  try {
    return fs.readFileSync(file, 'utf8');
  } catch {
    return 'State:\tZ';
  }
}

const field = (pid, name) => Number(new RegExp(`^${name}:\\s*(\\d+)`, 'm')
  .exec(read(`/proc/${pid}/status`))?.[1]);

const look = (pid) => ({ rss: field(pid, 'VmRSS'), threads: field(pid, 'Threads'),
  fds: fs.readdirSync(`/proc/${pid}/fd`).length });

/* Files below a folder, and their bytes. */
function tree(dir) {
  const all = { files: 0, bytes: 0, names: [] };

  for (const name of fs.readdirSync(dir)) {
    const stat = fs.lstatSync(path.join(dir, name), { throwIfNoEntry: false });
    if (!stat) continue; /* gone meanwhile */
    if (stat.isDirectory()) {
      const below = tree(path.join(dir, name));
      all.files += below.files;
      all.bytes += below.bytes;
      all.names.push(...below.names.map((n) => `${name}/${n}`));
    } else {
      all.files++;
      all.bytes += stat.size;
      all.names.push(name);
    }
  }
  return all;
}

const median = (list) => [...list].sort((a, b) => a - b)[list.length >> 1];

class Watch {
  samples = [];
  deaths = []; /* { at, until }: when failures may come of it */
  slowest = 0; /* ms until all were there again */

  constructor(soak, processes) {
    this.soak = soak;
    this.processes = processes;
    [this.first] = soak.gate.responders();
  }

  async sampler() {
    while (!this.soak.over) {
      this.samples.push({ at: performance.now(), responder: look(this.first),
        server: look(this.soak.gate.serverPid) });
      await sleep(Math.min(1000, this.soak.pace));
    }
  }

  /* Without those that ended and that nobody has waited for yet. */
  #all() {
    return this.soak.gate.responders().filter((pid) =>
      !/^State:\s*Z/m.test(read(`/proc/${pid}/status`)));
  }

  async #untilBack(began) {
    while (this.#all().length < this.processes) {
      if (performance.now() - began > BACK_MS) {
        this.soak.breach(`a responder did not come back in ${BACK_MS} ms`);
        return;
      }
      await sleep(50);
    }
    this.slowest = Math.max(this.slowest, performance.now() - began);
  }

  /* Kills one, or now and then all but the first. */
  async killer(untilMs) {
    while (performance.now() < untilMs && !this.soak.over) {
      const victims = this.#all().filter((pid) => pid !== this.first);
      const chosen = Math.random() < 0.15 ? victims
        : [victims[Math.floor(Math.random() * victims.length)]];
      const death = { at: performance.now(), until: Infinity, n: 0 };

      this.deaths.push(death);
      for (const pid of chosen) {
        process.kill(pid, 'SIGKILL');
        death.n++;
      }
      await this.#untilBack(death.at);
      death.until = performance.now() + AFTER_MS;
      await sleep((0.2 + Math.random() * 1.6) * this.soak.pace * 3);
    }
  }

  /* Whether a request of that time may have met a death. */
  deathIn(from, to) {
    return this.deaths.some(({ at, until }) => at <= to && until >= from);
  }

  killed() {
    return this.deaths.reduce((n, death) => n + death.n, 0);
  }

  /* In the first half of the samples. */
  mostEarly(who, what) {
    const half = this.samples.slice(0, this.samples.length / 2 + 1);
    return Math.max(...half.map((sample) => sample[who][what]));
  }

  /*
   * { name: [early, late, percent] } of the median in two equal parts of the
   * time under fire: after the warm-up, and at its end.
   */
  growth(from, to) {
    const part = (a, b) => this.samples.filter(({ at }) =>
      at >= from + (to - from) * a && at < from + (to - from) * b);
    const early = part(0.3, 0.5);
    const late = part(0.8, 1);
    const figures = {};

    for (const who of ['responder', 'server'])
      for (const what of ['rss', 'threads', 'fds']) {
        const [a, b] = [early, late].map((list) =>
          median(list.map((sample) => sample[who][what])));
        figures[`${who} ${what}`] = [a, b, 100 * (b - a) / a];
      }
    return figures;
  }
}

module.exports = { Watch, look, tree };
