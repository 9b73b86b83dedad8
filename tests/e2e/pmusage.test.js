'use strict';
// pmusage on journals written here: what scripts and spreadsheets rely on.
const { test } = require('node:test');
const assert = require('node:assert');
const { execFile, spawnSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');

const root = path.resolve(__dirname, '..', '..');
const program = path.resolve(root, process.env.BUILD || 'build', 'bin/pmusage');

function stateDir(t) {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'pmusage-'));
  fs.mkdirSync(path.join(dir, 'journal'), { mode: 0o700 });
  t.after(() => fs.rmSync(dir, { recursive: true }));
  return dir;
}

function line(r) {
  const x = { key: 'key_a', model: 'gpt-oss-120b', endpoint: 'chat.completions',
    status: 2, prompt: 0, completion: 0, cached: 0, total: 0, bytes: 0, ms: 0, ...r };
  return '\n' + [1, x.key, x.model, x.endpoint, x.status, x.prompt, x.completion,
    x.cached, x.total, x.bytes, x.ms, 1500, 200, 0, '.'].join('\t') + '\n';
}

function write(dir, hour, ...records) {
  fs.appendFileSync(path.join(dir, 'journal', hour), records.map(line).join(''));
}

function env(dir) {
  const e = { ...process.env, STATE_DIR: dir };
  delete e.PMPROXY_ENV;
  return e;
}

function run(dir, ...args) {
  const r = spawnSync(program, args, { env: env(dir), encoding: 'utf8', timeout: 30000 });
  assert.ifError(r.error);
  return r;
}

function ok(dir, ...args) {
  const r = run(dir, ...args);
  assert.strictEqual(r.stderr, '');
  assert.strictEqual(r.status, 0);
  return r.stdout;
}

function jsonl(dir, ...args) {
  return ok(dir, 'export', '--format', 'jsonl', ...args)
    .split('\n').filter(Boolean).map((s) => JSON.parse(s));
}

// An RFC 4180 reader, strict: CRLF only, quotes only around whole fields.
function csv(text) {
  const rows = [];
  let at = 0;
  while (at < text.length) {
    const row = [];
    for (;;) {
      let field = '';
      if (text[at] === '"') {
        for (at++; text[at] !== '"' || text[at + 1] === '"'; at++) {
          assert.ok(at < text.length, 'a quote that does not end');
          if (text[at] === '"') at++;
          field += text[at];
        }
        at++;
      } else {
        while (!',\r\n"'.includes(text[at])) field += text[at++];
      }
      row.push(field);
      if (text[at] === ',') { at++; continue; }
      assert.strictEqual(text.slice(at, at + 2), '\r\n');
      at += 2;
      break;
    }
    rows.push(row);
  }
  return rows;
}

const columns = ['key_id', 'model', 'endpoint', 'requests', 'errors', 'prompt_tokens',
  'completion_tokens', 'cached_tokens', 'total_tokens', 'audio_bytes', 'audio_seconds', 'cost_eur'];

function example(dir) {
  write(dir, '2024022823', { prompt: 100, completion: 20, cached: 5, total: 120 },
    { prompt: 1, completion: 2, total: 3, status: 4 }, { status: 5 });
  write(dir, '2024022900', { key: 'key_b', model: 'whisper-large-v3',
    endpoint: 'audio.transcriptions', bytes: 1, ms: 61500 });
  write(dir, '2024022912', { key: 'key_b', model: 'qwen3-embedding-4b',
    endpoint: 'embeddings', prompt: 1000000, total: 1000000 });
  write(dir, '2024030100', { prompt: 7, total: 7 });
}

test('the rows that scripts read', (t) => {
  const dir = stateDir(t);
  example(dir);
  const rows = jsonl(dir);
  assert.deepStrictEqual(rows[0], { hour: '2024-02-28T23:00:00Z', key_id: 'key_a',
    model: 'gpt-oss-120b', endpoint: 'chat.completions', requests: 3, errors: 2,
    prompt_tokens: 101, completion_tokens: 22, cached_tokens: 5, total_tokens: 123,
    audio_bytes: 0, audio_seconds: 0, cost_eur: 0.000615 });
  assert.deepStrictEqual(rows[1], { hour: '2024-02-29T00:00:00Z', key_id: 'key_b',
    model: 'whisper-large-v3', endpoint: 'audio.transcriptions', requests: 1, errors: 0,
    prompt_tokens: 0, completion_tokens: 0, cached_tokens: 0, total_tokens: 0,
    audio_bytes: 1, audio_seconds: 61.5, cost_eur: 0.000000092 });
  assert.deepStrictEqual(rows.map((r) => r.hour), ['2024-02-28T23:00:00Z',
    '2024-02-29T00:00:00Z', '2024-02-29T12:00:00Z', '2024-03-01T00:00:00Z']);
  for (const row of rows) assert.deepStrictEqual(Object.keys(row), ['hour', ...columns]);
});

test('money and seconds are decimal text, without noise', (t) => {
  const dir = stateDir(t);
  write(dir, '2024022900', { total: 60000, ms: 100 }); // 0.3, and 0.1 + 0.2 is not that
  write(dir, '2024022901', { total: 1, ms: 1 }, { total: 1000000000000, ms: 3600000 });
  const text = ok(dir, 'export', '--format', 'jsonl');
  assert.match(text, /"audio_seconds":0\.1,"cost_eur":0\.3\}\n/);
  assert.match(text, /"audio_seconds":3600\.001,"cost_eur":5000000\.000005\}\n/);
});

test('days and months, groups, ranges and one key', (t) => {
  const dir = stateDir(t);
  example(dir);
  const days = jsonl(dir, '--by', 'day', '--group', 'key');
  assert.deepStrictEqual(days.map((r) => [r.day, r.key_id, r.requests]),
    [['2024-02-28', 'key_a', 3], ['2024-02-29', 'key_b', 2], ['2024-03-01', 'key_a', 1]]);
  assert.deepStrictEqual(Object.keys(days[0]),
    ['day', 'key_id', ...columns.slice(3)]);
  const months = jsonl(dir, '--by', 'month', '--group', 'none');
  assert.deepStrictEqual(months.map((r) => [r.month, r.requests, r.cost_eur]),
    [['2024-02', 5, 0.130615092], ['2024-03', 1, 0.000035]]);
  const starts = (...range) => jsonl(dir, ...range).map((r) => r.hour.slice(5, 13));
  assert.deepStrictEqual(starts('--from', '2024-02-29'), ['02-29T00', '02-29T12', '03-01T00']);
  assert.deepStrictEqual(starts('--to', '2024-02-29'), ['02-28T23', '02-29T00', '02-29T12']);
  assert.deepStrictEqual(starts('--from', '2024-02', '--to', '2024-02'),
    ['02-28T23', '02-29T00', '02-29T12']);
  assert.deepStrictEqual(starts('--from', '2024-02-29T00:00:00Z', '--to', '2024-02-29T12:00:00Z'),
    ['02-29T00']);
  assert.deepStrictEqual(jsonl(dir, '--key', 'key_b').map((r) => r.key_id), ['key_b', 'key_b']);
  assert.deepStrictEqual(jsonl(dir, '--key', 'nobody'), []);
});

test('CSV holds what JSON lines hold, and nothing a spreadsheet would run', (t) => {
  const dir = stateDir(t);
  example(dir);
  const names = ['=1+1', '+1', '-1', '@x', 'a,b', 'say "so"', '="a",b', "it's", 'plain=-+@'];
  for (const model of names) write(dir, '2024030200', { model, total: 1 });
  const rows = csv(ok(dir, 'export', '--format', 'csv'));
  assert.deepStrictEqual(rows[0], ['hour', ...columns]);
  const objects = jsonl(dir);
  assert.strictEqual(rows.length, objects.length + 1);
  objects.forEach((o, i) => {
    const want = Object.values(o).map(String);
    if (/^[=+\-@]/.test(o.model)) want[2] = "'" + o.model;
    // JavaScript writes small numbers with an exponent; CSV must not.
    const got = rows[i + 1].map((f, k) => (k < 4 ? f : String(Number(f))));
    assert.deepStrictEqual(got, want);
  });
  assert.deepStrictEqual(objects.slice(4).map((o) => o.model).sort(), [...names].sort());
  assert.match(ok(dir, 'export', '--format', 'csv'), /,0\.000000092\r\n/);
  assert.strictEqual(ok(stateDir(t), 'export', '--format', 'csv', '--by', 'day', '--group', 'model'),
    ['day', 'model', ...columns.slice(3)].join() + '\r\n');
});

test('a roll-up changes nothing that is shown, and can be repeated', (t) => {
  const dir = stateDir(t);
  example(dir);
  const before = jsonl(dir);
  assert.deepStrictEqual(JSON.parse(ok(dir, 'rollup', '--json')), { hours: 4, malformed_lines: 0 });
  assert.strictEqual(ok(dir, 'rollup'), 'hours rolled up: 0\n');
  assert.deepStrictEqual(jsonl(dir), before);
  write(dir, '2024022823', { total: 1 }); // late
  assert.strictEqual(jsonl(dir)[0].requests, 4);
  assert.strictEqual(ok(dir, 'rollup'), 'hours rolled up: 1\n');
  assert.strictEqual(jsonl(dir)[0].requests, 4);
  fs.rmSync(path.join(dir, 'journal'), { recursive: true });
  assert.strictEqual(jsonl(dir).length, 4);
  assert.strictEqual(jsonl(dir)[0].requests, 4);
});

test('roll-ups at once and killed ones leave exact totals', async (t) => {
  const dir = stateDir(t);
  for (let h = 0; h < 24; h++)
    for (let i = 0; i < 50; i++)
      write(dir, '20240229' + String(h).padStart(2, '0'), { key: 'key_' + (i % 5), total: 3 });
  const exits = [];
  for (let i = 0; i < 6; i++)
    exits.push(new Promise((resolve) => {
      const child = execFile(program, ['rollup'], { env: env(dir) }, (error) =>
        resolve(error === null || error.signal === 'SIGKILL'));
      if (i % 2) setTimeout(() => child.kill('SIGKILL'), i);
    }));
  assert.deepStrictEqual(await Promise.all(exits), [true, true, true, true, true, true]);
  ok(dir, 'rollup');
  const [month] = jsonl(dir, '--by', 'month', '--group', 'none');
  assert.strictEqual(month.requests, 1200);
  assert.strictEqual(month.total_tokens, 3600);
  assert.deepStrictEqual(fs.readdirSync(dir).filter((f) => f.startsWith('usage.gdbm') &&
    f !== 'usage.gdbm' && f !== 'usage.gdbm.lock'), []);
});

test('malformed lines are told and skipped', (t) => {
  const dir = stateDir(t);
  write(dir, '2024022900', {});
  fs.appendFileSync(path.join(dir, 'journal', '2024022900'), '\n1\tkey_a\ttorn\n');
  write(dir, '2024022900', {});
  for (const args of [['export', '--format', 'jsonl'], ['show', '--period', 'all'], ['rollup', '--json']]) {
    const r = run(dir, ...args);
    assert.strictEqual(r.status, 0);
    assert.match(r.stderr, /1 lines of the journal cannot be read/);
    if (args[0] === 'export') assert.strictEqual(JSON.parse(r.stdout).requests, 2);
    if (args[0] === 'rollup') assert.strictEqual(JSON.parse(r.stdout).malformed_lines, 1);
  }
});

test('show: a table and its sum, and the same as JSON', (t) => {
  const dir = stateDir(t);
  example(dir);
  const cells = (...args) => ok(dir, 'show', ...args).trimEnd().split('\n').map((l) => l.split(/ {2,}/));
  const table = cells('--period', '2024-02', '--by', 'day,model');
  assert.deepStrictEqual(table.map((r) => [r[0], r[1], r[2], r.at(-1)]), [
    ['DAY', 'MODEL', 'REQUESTS', 'EUR'],
    ['2024-02-28', 'gpt-oss-120b', '3', '0.0006'],
    ['2024-02-29', 'qwen3-embedding-4b', '1', '0.1300'],
    ['2024-02-29', 'whisper-large-v3', '1', '0.0000'],
    ['total', '5', '2', '0.1306']]);
  assert.deepStrictEqual(cells('--period', 'all').map((r) => r.slice(0, 2)),
    [['KEY', 'REQUESTS'], ['key_a', '4'], ['key_b', '2'], ['total', '6']]);
  const json = JSON.parse(ok(dir, 'show', '--period', '2024-02-29', '--by', 'endpoint,hour', '--json'));
  assert.deepStrictEqual(json.rows.map((r) => [r.hour, r.endpoint, r.requests]), [
    ['2024-02-29T00:00:00Z', 'audio.transcriptions', 1], ['2024-02-29T12:00:00Z', 'embeddings', 1]]);
  assert.strictEqual(json.total.cost_eur, 0.130000092);
  assert.strictEqual(json.total.requests, 2);
});

test('show: periods around now', (t) => {
  const dir = stateDir(t);
  const name = (ms) => new Date(ms).toISOString().replace(/[-T]/g, '').slice(0, 10);
  const day = 86400000;
  const count = (period) => JSON.parse(ok(dir, 'show', '--period', period, '--json')).total.requests;
  let now, counts;
  do { // again if midnight passed in between
    now = Date.now();
    const today = now - (now % day);
    fs.rmSync(path.join(dir, 'journal'), { recursive: true, force: true });
    fs.mkdirSync(path.join(dir, 'journal'));
    write(dir, name(today), { total: 1 });
    write(dir, name(today + day - 1), { total: 1 });
    write(dir, name(today - 1), { total: 1 }); // yesterday's last hour
    write(dir, name(today - day), { total: 1 });
    write(dir, name(today - 6 * day), { total: 1 });
    write(dir, name(today - 6 * day - 1), { total: 1 });
    write(dir, name(today - 29 * day), { total: 1 });
    write(dir, name(today - 29 * day - 1), { total: 1 });
    write(dir, name(today + day), { total: 1 });
    counts = ['today', 'yesterday', '7d', '30d', 'all'].map(count);
  } while (Math.floor(Date.now() / day) !== Math.floor(now / day));
  assert.deepStrictEqual(counts, [2, 2, 5, 7, 9]);
  const month = new Date(now).toISOString().slice(0, 7);
  assert.strictEqual(count('month'), count(month));
});

test('wrong use is 2, failure is 1, help is 0', (t) => {
  const dir = stateDir(t);
  for (const args of [[], ['frobnicate'], ['show', 'x'], ['show', '--frobnicate'], ['show', '--by'],
    ['show', '--by', ''], ['show', '--by', 'day,hour'], ['show', '--by', 'key,'], ['show', '--from', '2024-01'],
    ['show', '--period', '2024-13'], ['show', '--period', '2024-02-30'], ['show', '--period', 'tomorrow'],
    ['export'], ['export', '--format', 'xml'], ['export', '--format', 'csv', '--by', 'key'],
    ['export', '--format', 'csv', '--group', 'day'], ['export', '--format', 'csv', '--json'],
    ['export', '--format', 'csv', '--from', '2024-02-29T00:30:00Z'],
    ['export', '--format', 'csv', '--from', '2024-03', '--to', '2024-02'], ['rollup', '--key', 'x']]) {
    const r = run(dir, ...args);
    assert.strictEqual(r.status, 2, args.join(' '));
    assert.strictEqual(r.stdout, '');
    assert.notStrictEqual(r.stderr, '');
  }
  for (const args of [['--help'], ['rollup', '--help'], ['show', '--help'], ['export', '--help']])
    assert.match(ok(dir, ...args), /^usage: pmusage/);
  for (const args of [['rollup'], ['show'], ['export', '--format', 'csv']])
    assert.strictEqual(run(path.join(dir, 'nowhere'), ...args).status, 1);
  fs.mkdirSync(path.join(dir, 'journal', '2024022900'));
  for (const args of [['rollup'], ['show', '--period', 'all'], ['export', '--format', 'csv']])
    assert.strictEqual(run(dir, ...args).status, 1);
  fs.rmdirSync(path.join(dir, 'journal', '2024022900'));
  fs.writeFileSync(path.join(dir, 'usage.gdbm'), 'not a store');
  for (const args of [['rollup'], ['show', '--period', 'all'], ['export', '--format', 'csv']]) {
    write(dir, '2024022900', {});
    assert.strictEqual(run(dir, ...args).status, 1, args.join(' '));
  }
});

test('a full disk behind standard output is a failure', (t) => {
  const dir = stateDir(t);
  example(dir);
  const full = fs.openSync('/dev/full', 'w');
  t.after(() => fs.closeSync(full));
  for (const args of [['show', '--period', 'all'], ['show', '--json'], ['export', '--format', 'csv'],
    ['export', '--format', 'jsonl'], ['rollup']])
    assert.strictEqual(spawnSync(program, args, { env: env(dir), stdio: ['ignore', full, 'ignore'] }).status, 1);
});

const hourAgo = (n) => {
  const at = new Date(Date.now() - n * 3600e3);
  return at.toISOString().replace(/[-T]/g, '').slice(0, 10);
};

test('--since-last gives each closed hour once, and again when that failed', (t) => {
  const dir = stateDir(t);
  const rest = (...more) => jsonl(dir, '--since-last', 'cron', ...more);
  write(dir, hourAgo(30), { total: 5 }, { key: 'key_b', total: 7 });
  write(dir, hourAgo(0), { total: 1 });
  // Nobody reads: nothing is given.
  const full = spawnSync('/bin/sh', ['-c', `${program} export --format csv --since-last cron >/dev/full`],
    { env: env(dir), encoding: 'utf8' });
  assert.strictEqual(full.status, 1);
  assert.match(full.stderr, /cannot write/);
  assert.deepStrictEqual(rest().map((r) => [r.key_id, r.total_tokens]), [['key_a', 5], ['key_b', 7]]);
  assert.deepStrictEqual(rest(), []);
  write(dir, hourAgo(30), { total: 2 }, { key: 'key_c', total: 3 });
  assert.deepStrictEqual(rest().map((r) => [r.key_id, r.requests, r.total_tokens, r.cost_eur]),
    [['key_a', 1, 2, 0.00001], ['key_c', 1, 3, 0.000015]]);
  ok(dir, 'rollup');
  assert.deepStrictEqual(rest(), []);
  // Another name, and a path, begin at the beginning.
  assert.strictEqual(jsonl(dir, '--since-last', 'other', '--group', 'none')[0].total_tokens, 17);
  assert.strictEqual(jsonl(dir, '--since-last', path.join(dir, 'mine')).length, 3);
  assert.ok(fs.existsSync(path.join(dir, 'mine')));
  for (const args of [['--since-last', ''], ['--since-last', '.x'],
    ['--since-last', 'a', '--by', 'day'], ['--since-last', 'a', '--key', 'key_a'],
    ['--since-last', 'a', '--from', '2024-01-01']])
    assert.strictEqual(run(dir, 'export', '--format', 'csv', ...args).status, 2, args.join(' '));
});

test('OpenMetrics: families together, labels escaped, an end mark', (t) => {
  const dir = stateDir(t);
  write(dir, '2024022900', { model: 'a"b\\c', total: 3, ms: 1500 });
  write(dir, '2024022901', { total: 1 });
  write(dir, '2024022902', { model: 'a"b\\c' }, { key: 'key_b' });
  const text = ok(dir, 'export', '--format', 'openmetrics');
  const lines = text.split('\n');
  assert.strictEqual(lines.at(-2), '# EOF');
  assert.ok(lines.includes('pmproxy_usage_total_tokens{key_id="key_a",model="a\\"b\\\\c",' +
    'endpoint="chat.completions"} 3 1709164800'));
  assert.ok(lines.includes('pmproxy_usage_cost_eur{key_id="key_a",model="gpt-oss-120b",' +
    'endpoint="chat.completions"} 0.000005 1709168400'));
  const families = lines.filter((l) => l.startsWith('# TYPE'));
  assert.strictEqual(families.length, 9);
  // Nor does a label set, and its samples go forward in time.
  const samples = lines.slice(0, -2).filter((l) => !l.startsWith('#'))
    .map((l) => [l.slice(0, l.indexOf('} ')), Number(l.split(' ').at(-1))]);
  const sets = samples.map(([set]) => set);
  assert.strictEqual(sets.filter((s, i) => s !== sets[i - 1]).length, new Set(sets).size);
  assert.ok(new Set(sets).size < sets.length);
  assert.ok(samples.every(([set, at], i) => set !== sets[i - 1] || at > samples[i - 1][1]));
  // No family comes up again once another began.
  const names = lines.slice(0, -2).map((l) => /pmproxy_usage_[a-z_]+/.exec(l)[0]);
  assert.strictEqual(names.filter((n, i) => n !== names[i - 1]).length, 9);
  assert.match(ok(dir, 'export', '--format', 'openmetrics', '--by', 'month', '--group', 'none'),
    /^pmproxy_usage_requests 4 1706745600$/m);
});

test('prune removes what is old, and nothing of this month', (t) => {
  const dir = stateDir(t);
  write(dir, '2024022900', { total: 1 });
  write(dir, hourAgo(40 * 24), { total: 2 });
  write(dir, hourAgo(0), { total: 4 });
  assert.strictEqual(ok(dir, 'prune', '--older-than', '400d'), 'hours removed: 1\n');
  assert.strictEqual(fs.existsSync(path.join(dir, 'journal', '2024022900')), false);
  assert.deepStrictEqual(jsonl(dir).map((r) => r.total_tokens), [2, 4]);
  for (const span of ['31d', '0', 'x', ''])
    assert.strictEqual(run(dir, 'prune', '--older-than', span).status, 2);
  assert.strictEqual(ok(dir, 'prune', '--older-than', '32d'), 'hours removed: 1\n');
  assert.deepStrictEqual(jsonl(dir).map((r) => r.total_tokens), [4]);
});

test('prune goes by the setting, wherever it was set', (t) => {
  const dir = stateDir(t);
  const set = (...args) => spawnSync(path.join(path.dirname(program), 'pmsettings'),
    args, { env: env(dir), encoding: 'utf8' });
  const left = () => jsonl(dir).map((r) => r.total_tokens);

  write(dir, hourAgo(401 * 24), { total: 1 });
  write(dir, hourAgo(50 * 24), { total: 2 });
  write(dir, hourAgo(0), { total: 4 });
  assert.strictEqual(ok(dir, 'prune'), 'hours removed: 1\n');
  assert.deepStrictEqual(left(), [2, 4]);
  const short = set('set', 'USAGE_RETENTION', '31d');
  assert.match(short.stderr, /USAGE_RETENTION: not from 32d to 36500d/);
  assert.strictEqual(short.status, 2);
  assert.strictEqual(set('set', 'USAGE_RETENTION', '45d').status, 0);
  assert.strictEqual(ok(dir, 'prune', '--older-than', '60d'), 'hours removed: 0\n');
  assert.strictEqual(ok(dir, 'prune'), 'hours removed: 1\n');
  assert.deepStrictEqual(left(), [4]);
  // A store that cannot be read removes nothing.
  write(dir, hourAgo(50 * 24), { total: 8 });
  fs.writeFileSync(path.join(dir, 'settings.gdbm'), 'damaged');
  assert.strictEqual(run(dir, 'prune').status, 1);
  fs.rmSync(path.join(dir, 'settings.gdbm'));
  assert.deepStrictEqual(left(), [8, 4]);
});

test('erase removes one key’s use from every file', (t) => {
  const dir = stateDir(t);
  write(dir, '2024022900', { key: 'key_gone1234', total: 1 }, { total: 2 });
  ok(dir, 'rollup');
  write(dir, hourAgo(0), { key: 'key_gone1234', total: 4 }, { total: 8 });
  jsonl(dir, '--since-last', 'cron');
  assert.strictEqual(ok(dir, 'erase', 'key_gone1234'), 'lines and rows removed: 3\n');
  assert.deepStrictEqual(jsonl(dir).map((r) => [r.key_id, r.total_tokens]), [['key_a', 2], ['key_a', 8]]);
  const grep = spawnSync('grep', ['-ra', 'gone1234', dir], { encoding: 'utf8' });
  assert.strictEqual(grep.stdout, '');
  assert.strictEqual(ok(dir, 'erase', 'key_gone1234'), 'lines and rows removed: 0\n');
  assert.deepStrictEqual(jsonl(dir, '--since-last', 'cron'), []);
  for (const args of [['erase'], ['erase', 'a', 'b']]) assert.strictEqual(run(dir, ...args).status, 2);
  assert.strictEqual(run(dir, 'erase', 'a b').status, 1);
});
