'use strict';
/* processes.js - what a process takes of memory and of time. */
const fs = require('node:fs');

const TICK_MS = 10; // USER_HZ is 100 everywhere that we run

/* Bytes in memory. */
function residentOf(pid) {
  const status = fs.readFileSync(`/proc/${pid}/status`, 'utf8');
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)[1]) * 1024;
}

/* Milliseconds of processor time so far, its own and the kernel's for it. */
function cpuOf(pid) {
  const stat = fs.readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) * TICK_MS;
}

module.exports = { cpuOf, residentOf };
