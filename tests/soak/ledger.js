'use strict';
/*
 * ledger.js - what each request must have left in the journal.
 *
 * A request is told from all others by its key, its endpoint and its size: the
 * n-th of a key at an endpoint has a prompt of n tokens, or a file of so many
 * bytes. So for each of them its line can be looked for.
 */

/* How often the line of a request may be there, by how it ended. */
const LINES = {
  whole: [1, 1], /* answered, to the last byte */
  refused: [0, 0], /* by the gate, before the upstream heard of it */
  broken: [0, 1], /* killed before the end */
};

class Ledger {
  #next = new Map(); /* key and endpoint: the latest number */
  #sent = new Map(); /* key, endpoint and number: how it ended */
  #counted = new Map(); /* key: { least, most } of those without a number */

  /* The number of a key's next request at an endpoint, from 1 on. */
  number(keyId, endpoint) {
    const which = `${keyId} ${endpoint}`;
    const n = (this.#next.get(which) ?? 0) + 1;

    this.#next.set(which, n);
    return n;
  }

  ended(keyId, endpoint, number, how) {
    this.#sent.set(`${keyId} ${endpoint} ${number}`, how);
  }

  /* Of requests whose lines tell too little to know them again. */
  count(keyId, least, most) {
    const was = this.#counted.get(keyId) ?? { least: 0, most: 0 };

    this.#counted.set(keyId,
      { least: was.least + least, most: was.most + most });
  }

  /* Forgets a key: it was erased. */
  erased(keyId) {
    this.#counted.set(keyId, { least: 0, most: 0 });
  }

  /* { lines, whole, broken, lostBroken, wrong: [what is not as it must be] } */
  compare(lines) {
    const seen = new Map();
    const byKey = new Map();
    const wrong = [];
    const sum = { lines: lines.length, whole: 0, refused: 0, broken: 0,
      written: 0 };

    for (const line of lines) {
      byKey.set(line.key, (byKey.get(line.key) ?? 0) + 1);
      if (this.#counted.has(line.key)) continue;
      const which = `${line.key} ${line.endpoint} ${line.audioBytes || line.prompt}`;
      seen.set(which, (seen.get(which) ?? 0) + 1);
    }
    for (const [which, how] of this.#sent) {
      const n = seen.get(which) ?? 0;
      const [least, most] = LINES[how];

      sum[how]++;
      if (how === 'broken') sum.written += n;
      if (n < least || n > most) wrong.push(`${which}: ${how}, ${n} lines`);
      seen.delete(which);
    }
    for (const [which, n] of seen)
      wrong.push(`${which}: never sent, ${n} lines`);
    for (const [key, { least, most }] of this.#counted) {
      const n = byKey.get(key) ?? 0;

      if (n < least || n > most)
        wrong.push(`${key}: ${n} lines, not ${least} to ${most}`);
    }
    return { ...sum, wrong };
  }
}

module.exports = { Ledger };
