'use strict';
/*
 * The guide's commands: each block marked "sh run" runs beside a gate, in the
 * order of the text and in one shell; the others are read by a shell and by
 * Python without being run. And links in all texts lead somewhere.
 */
const assert = require('node:assert/strict');
const { execFileSync, spawnSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { describe, it } = require('node:test');

const ROOT = path.resolve(__dirname, '..', '..');
const GUIDE = path.join(ROOT, 'docs', 'azure-confidential-vm.md');

function blocks(text) {
  return [...text.matchAll(/^```(\S*) ?(\S*)\n([\s\S]*?)^```$/gm)]
    .map(([, language, mark, code]) => ({ language, mark, code }));
}

describe('the guide', () => {
  const all = blocks(fs.readFileSync(GUIDE, 'utf8'));
  const run = all.filter((b) => b.language === 'sh' && b.mark === 'run');

  it('has commands that run here, and they do', { timeout: 60000 }, () => {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'guide-'));
    const script = path.join(folder, 'script');
    const source = run.map((b, i) => `echo "--- ${i}"\n${b.code}`).join('\n');

    assert.ok(run.length >= 6, `${run.length} blocks are run`);
    fs.writeFileSync(script,
      `set -eu\ncd "${folder}"\nURL=$BASE_URL\n${source}\n` +
      /* Afterwards: a key that was disabled opens nothing. */
      'pmkey show "$ID" --json\n' +
      'curl -s -o /dev/null -w "status %{http_code}" "$URL/v1/models" \\\n' +
      '  -H "Authorization: Bearer $API_KEY"\n');
    try {
      const r = spawnSync(path.join(ROOT, 'tests', 'stack'),
        ['--', 'bash', script], { encoding: 'utf8' });
      assert.equal(r.status, 0, `${r.stdout}\n${r.stderr}`);
      assert.match(r.stdout, /"choices"/);
      assert.match(r.stdout, /"label" *: *"legal aid"/);
      assert.match(r.stdout, /"state" *: *"disabled"[\s\S]*status 401$/);
      run.forEach((_, i) => assert.ok(r.stdout.includes(`--- ${i}\n`)));
    } finally {
      fs.rmSync(folder, { recursive: true, force: true });
    }
  });

  it('has no other command that a shell cannot read', () => {
    for (const b of all.filter((block) => block.language === 'sh')) {
      const r = spawnSync('bash', ['-n'], { input: b.code, encoding: 'utf8' });
      assert.equal(r.status, 0, `${b.code}\n${r.stderr}`);
    }
  });

  it('has Python that Python can read', (t) => {
    if (spawnSync('python3', ['--version']).status !== 0)
      return t.skip('no python3 here');
    for (const b of all.filter((block) => block.language === 'python'))
      execFileSync('python3', ['-c', 'import ast,sys; ast.parse(sys.stdin.read())'],
        { input: b.code });
    return undefined;
  });

  it('names settings and hosts that exist', () => {
    const text = fs.readFileSync(GUIDE, 'utf8');
    const example = fs.readFileSync(path.join(ROOT, '.env.example'), 'utf8');

    for (const [, name] of text.matchAll(/`([A-Z][A-Z]+_[A-Z_]+)(?:=[^`]*)?`/g))
      assert.match(example, new RegExp(`^#? ?${name}=`, 'm'), name);
  });
});

describe('links', () => {
  const files = execFileSync('git', ['ls-files', '*.md'],
    { cwd: ROOT, encoding: 'utf8' }).split('\n').filter(Boolean);
  const anchor = (heading) => heading.toLowerCase().replace(/[`*]/g, '')
    .replace(/[^\p{L}\p{N} _-]/gu, '').replace(/ /g, '-');

  it('lead to files and headings that are there', () => {
    for (const file of files) {
      const text = fs.readFileSync(path.join(ROOT, file), 'utf8');
      for (const [, link] of text.matchAll(/\]\(([^)\s]+)\)/g)) {
        if (/^[a-z]+:/.test(link)) continue;
        const [target, heading] = link.split('#');
        const to = target === '' ? path.join(ROOT, file)
          : path.resolve(ROOT, path.dirname(file), target);
        assert.ok(fs.existsSync(to), `${file}: ${link}`);
        if (heading === undefined) continue;
        const headings = [...fs.readFileSync(to, 'utf8')
          .matchAll(/^#+ (.*)$/gm)].map(([, title]) => anchor(title));
        assert.ok(headings.includes(heading), `${file}: ${link}`);
      }
    }
  });
});
