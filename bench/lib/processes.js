'use strict';
/* processes.js - what groups of processes take, as /proc tells it. */
const fs = require('node:fs');
const path = require('node:path');

const TICK = 1 / 100; /* s, as Linux counts for /proc/PID/stat */
const LOOK_MS = 100;

function read(file) {
  try {
    return fs.readFileSync(file, 'utf8');
  } catch {
    return ''; /* it ended */
  }
}

const nameOf = (pid) => read(`/proc/${pid}/comm`).trim();

function children(pid) {
  return read(`/proc/${pid}/task/${pid}/children`).split(/\s+/)
    .filter(Boolean).map(Number);
}

function family(pid) {
  return [pid, ...children(pid).flatMap(family)];
}

function parentOf(pid) {
  return Number(/^PPid:\s*(\d+)/m.exec(read(`/proc/${pid}/status`))[1]);
}

/* { web: [pid], responders: [pid] } of what these lead. */
function groupsOf(leaders) {
  const all = [...new Set(leaders.flatMap(family))];
  const responders = all.filter((pid) => nameOf(pid) === 'v1.fcgi');

  return { responders, web: all.filter((pid) => !responders.includes(pid)) };
}

/* Seconds of processor that these have had. */
function cpu(pids) {
  return pids.reduce((sum, pid) => {
    const fields = read(`/proc/${pid}/stat`).split(') ').at(-1).split(' ');
    return fields.length < 13 ? sum
      : sum + (Number(fields[11]) + Number(fields[12])) * TICK;
  }, 0);
}

/* Bytes resident; what several share counts once. */
function resident(pids) {
  return pids.reduce((sum, pid) => {
    const pss = /^Pss:\s*(\d+)/m.exec(read(`/proc/${pid}/smaps_rollup`));
    return pss ? sum + Number(pss[1]) * 1024 : sum;
  }, 0);
}

/* Bytes of files in a folder, those that are open without a name as well. */
function held(folder, pids) {
  const seen = new Map();
  const look = (file) => {
    try {
      const s = fs.statSync(file);
      if (s.isFile()) seen.set(s.ino, s.blocks * 512);
    } catch { /* gone */ }
  };
  const under = (at) => {
    let entries = [];
    try {
      entries = fs.readdirSync(at, { withFileTypes: true });
    } catch { /* gone */ }
    for (const entry of entries) {
      const name = path.join(at, entry.name);
      if (entry.isDirectory()) under(name);
      else look(name);
    }
  };

  under(folder);
  for (const pid of pids) {
    let fds = [];
    try {
      fds = fs.readdirSync(`/proc/${pid}/fd`);
    } catch { /* ended */ }
    for (const fd of fds)
      try {
        if (fs.readlinkSync(`/proc/${pid}/fd/${fd}`).startsWith(folder))
          look(`/proc/${pid}/fd/${fd}`);
      } catch { /* closed */ }
  }
  return [...seen.values()].reduce((a, b) => a + b, 0);
}

/* The most that 'bytes' returns until stop() is called, which returns it. */
function peak(bytes) {
  let most = bytes();
  const timer = setInterval(() => { most = Math.max(most, bytes()); }, LOOK_MS);

  return { stop: () => {
    clearInterval(timer);
    return most;
  } };
}

module.exports = { children, family, parentOf, nameOf, groupsOf, cpu, resident,
  held, peak };
