'use strict';
// scripts/fetch-upstream-docs on a small site that means no good.
const { test, before, after } = require('node:test');
const assert = require('node:assert/strict');
const { spawn, spawnSync } = require('node:child_process');
const fs = require('node:fs');
const http = require('node:http');
const os = require('node:os');
const path = require('node:path');
const { ROOT } = require('./lib/stack');

const script = path.join(ROOT, 'scripts/fetch-upstream-docs');
const lacking = ['curl', 'pandoc'].find((p) => spawnSync(p, ['--version']).error);
const options = { skip: lacking && `there is no ${lacking} here` };

/* A site: pages by path, as HTML or as a function of request and response. */
let pages, asked, server, other, origin, elsewhere, askedElsewhere;

const html = (title, body) => `<!doctype html><html><head><title>${title}</title>` +
  `<style>p{}</style><script>bad()</script></head><body>${body}</body></html>`;
const links = (...to) => to.map((l) => `<a href="${l}">x</a>`).join(' ');

const listen = (handler) => new Promise((done) => {
  const s = http.createServer(handler);
  s.listen(0, '127.0.0.1', () => done(s));
});

before(async () => {
  server = await listen((req, res) => {
    const page = pages[req.url];
    asked.push(req.url);
    if (typeof page === 'function') return page(req, res);
    res.writeHead(page === undefined ? 404 : 200,
      { 'content-type': req.url === '/robots.txt' ? 'text/plain' : 'text/html; charset=utf-8' });
    return res.end(page);
  });
  other = await listen((req, res) => { askedElsewhere.push(req.url); res.end(); });
  origin = `http://127.0.0.1:${server.address().port}`;
  elsewhere = `http://127.0.0.1:${other.address().port}`;
});
after(() => { server.close(); other.close(); });

function folder(t) {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'docs-'));
  t.after(() => fs.rmSync(dir, { recursive: true }));
  return path.join(dir, 'docs');
}

async function fetchInto(dir, site, ...args) {
  pages = site;
  asked = [];
  askedElsewhere = [];
  const child = spawn(script, ['--delay', '0', ...args, `${origin}/`, dir],
    { cwd: path.dirname(dir), stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  for (const s of [child.stdout, child.stderr]) s.on('data', (d) => { said += d; });
  const timer = setTimeout(() => child.kill(), 60000);
  const status = await new Promise((done) => child.once('close', done));
  clearTimeout(timer);
  return { status, said, asked: asked.filter((u) => u !== '/robots.txt') };
}

const all = (dir) => fs.readdirSync(dir, { withFileTypes: true }).flatMap((e) =>
  (e.isDirectory() ? all(path.join(dir, e.name)) : [path.join(dir, e.name)]));
const written = (dir) => all(path.join(dir, 'pages')).map((f) =>
  path.relative(path.join(dir, 'pages'), f)).sort();
const read = (dir, name) => fs.readFileSync(path.join(dir, 'pages', name), 'utf8');

test('pages become Markdown whose links lead to each other', options, async (t) => {
  const dir = folder(t);
  const r = await fetchInto(dir, {
    '/': html('Start', `<nav>${links('/guides/first/', 'faq', '#top')}</nav><main><h1>Hello` +
      '</h1><p>Some <b>words</b> and <a href="guides/first#part">a guide</a>.</p></main>' +
      '<footer>imprint</footer>'),
    '/guides/first': html('First &amp; [best]', `<p>one</p>${links('../faq', './second', '/')}`),
    '/guides/second': html('', '<h2>Second one</h2><pre><code>curl</code></pre>'),
    '/faq': html('FAQ', '<p><a href="https://example.org/x">out</a> <img src="/p.png" alt="pic">' +
      '<a href="javascript:bad()">js</a></p>'),
  });

  assert.equal(r.status, 0, r.said);
  assert.deepEqual(written(dir), ['faq.md', 'guides/first.md', 'guides/second.md', 'index.md']);
  const start = read(dir, 'index.md');
  assert.match(start, /^# Hello$/m);
  assert.match(start, /\*\*words\*\*/);
  assert.match(start, /\[a guide\]\(guides\/first\.md\)/);
  assert.doesNotMatch(start, /imprint|bad\(|<div|<a /);
  assert.match(read(dir, 'guides/first.md'), /\(\.\.\/faq\.md\).*\(\.\.\/guides\/second\.md\).*\(\.\.\/index\.md\)/s);
  assert.match(read(dir, 'faq.md'), /\[out\]\(https:\/\/example\.org\/x\)/);
  assert.doesNotMatch(read(dir, 'faq.md'), /javascript|p\.png/);
  assert.deepEqual(fs.readFileSync(path.join(dir, 'index.md'), 'utf8').trim().split('\n').slice(2), [
    '- [FAQ](pages/faq.md)', '- [First &  best](pages/guides/first.md)',
    '- [Second one](pages/guides/second.md)', '- [Start](pages/index.md)']);
  assert.deepEqual(r.asked.sort(), ['/', '/faq', '/guides/first', '/guides/second']);
});

test('no name leads out of the folder, no link out of the site', options, async (t) => {
  const dir = folder(t);
  const bad = ['../../../../up', '/../up2', '/a/../../up3', '/%2e%2e/up4', '/..%2fup5', '/a%00b',
    '/.hidden', '/a/.git/config', '/a b', '/q?x=1', '?y=2', '/semi;colon', '/back\\slash',
    '//127.0.0.1.example/x', `${elsewhere}/x`, `//127.0.0.1:${other.address().port}/y`,
    `${origin}.example.org/z`, `${origin}4/z`, `${origin}@example.org/z`, 'file:///etc/passwd', 'javascript:x()',
    'data:text/html,x', `/${'n'.repeat(101)}`, `/${'d/'.repeat(13)}`, '/$(touch pwned)', '/-rf',
    '/`id`', "/it's", '/quote&quot;'];
  const up = { '/up': html('up', 'x'), '/up2': html('up', 'x'), '/up3': html('up', 'x'),
    '/-rf': html('dash', 'x') };
  const r = await fetchInto(dir, { '/': html('Start', links(...bad)), ...up });

  assert.equal(r.status, 0, r.said);
  // As a browser does it: what climbs above the site's top stays at the top.
  assert.deepEqual(r.asked.sort(), ['/', '/-rf', '/up', '/up2', '/up3']);
  assert.deepEqual(written(dir), ['-rf.md', 'index.md', 'up.md', 'up2.md', 'up3.md']);
  assert.deepEqual(askedElsewhere, []);
  assert.deepEqual(fs.readdirSync(path.dirname(dir)), ['docs']);
  assert.deepEqual(fs.readdirSync(dir).sort(), ['.links', 'index.md', 'pages']);
});

test('redirects are followed within the site, in a circle too', options, async (t) => {
  const dir = folder(t);
  const to = (where, status = 302) => (req, res) => { res.writeHead(status, { location: where }).end(); };
  const r = await fetchInto(dir, {
    '/': html('Start', links('/old', '/off', '/offname', '/round1', '/longer', '/climb',
      '/query')),
    '/old': to('/new/', 301), '/new': html('New', 'x'), '/off': to(`${elsewhere}/x`),
    '/offname': to('http://127.0.0.1.example/x'), '/round1': to('/round2'), '/round2': to('/round1'),
    '/longer': to(`${origin}4/x`), '/climb': to('/%2e%2e/%2e%2e/x'), '/query': to('/new?x=1'),
  });

  assert.equal(r.status, 0, r.said);
  assert.deepEqual(written(dir), ['index.md', 'new.md']);
  assert.deepEqual(askedElsewhere, []);
  assert.equal(new Set(r.asked).size, r.asked.length, 'each is asked for once');
});

test('bounds hold on a site without end, and a later run goes on', options, async (t) => {
  const dir = folder(t);
  const site = new Proxy({}, { get: (none, url) => (url === '/robots.txt' ? undefined
    : html(url, links(`${url === '/' ? '' : url}/x`, `/n${url.length}`))) });
  let r = await fetchInto(dir, site, '--pages', '5');
  assert.equal(r.status, 75);
  assert.match(r.said, /a bound was met: 5 pages/);
  assert.equal(r.asked.length, 5);
  const had = r.asked;

  r = await fetchInto(dir, site, '--pages', '8');
  assert.equal(r.status, 75);
  assert.equal(r.asked.length, 3);
  assert.ok(!r.asked.some((u) => had.includes(u)));
  r = await fetchInto(dir, site, '--depth', '1', '--again');
  assert.equal(r.status, 75);
  assert.match(r.said, /deeper than 1/);
  assert.equal(r.asked.length, 3);
  r = await fetchInto(folder(t), site, '--bytes', '300');
  assert.equal(r.status, 75);
  assert.ok(r.asked.length < 5);
});

test('a page without end is cut off, a page that fails is named', options, async (t) => {
  const dir = folder(t);
  const r = await fetchInto(dir, {
    '/': html('Start', links('/huge', '/gone', '/picture', '/fine')),
    '/huge': (req, res) => {
      const more = () => { while (res.writable && res.write('<p>'.padEnd(65536, 'x'))); };
      res.writeHead(200, { 'content-type': 'text/html' }).on('drain', more);
      more();
    },
    '/picture': (req, res) => { res.writeHead(200, { 'content-type': 'image/png' }).end('x'); },
    '/fine': html('Fine', 'x'),
  });

  assert.equal(r.status, 1);
  assert.match(r.said, /\/gone: 404/);
  assert.match(r.said, /\/huge: /);
  assert.match(r.said, /2 pages could not be had/);
  assert.deepEqual(written(dir), ['fine.md', 'index.md']);
});

test('it is polite', options, async (t) => {
  const dir = folder(t);
  let busy = true;
  const site = {
    '/robots.txt': 'User-agent: other\nDisallow: /\n\nUser-agent: *\nDisallow: /private # us\n' +
      '\nUser-agent: another\nUser-agent: more\nDisallow: /\n',
    '/': html('Start', links('/private/x', '/private', '/busy', '/last')),
    '/busy': (req, res) => (busy ? res.writeHead(429).end()
      : res.writeHead(200, { 'content-type': 'text/html' }).end(html('Busy', 'x'))),
    '/last': (req, res) => {
      assert.match(req.headers['user-agent'], /docs-keeper/);
      res.writeHead(200, { 'content-type': 'text/html' }).end(html('Last', 'x'));
    },
  };
  let r = await fetchInto(dir, site);
  assert.equal(r.status, 75);
  assert.match(r.said, /429: come back later/);
  assert.deepEqual(r.asked, ['/', '/busy']);
  busy = false;
  r = await fetchInto(dir, site);
  assert.equal(r.status, 0, r.said);
  assert.deepEqual(r.asked, ['/busy', '/last']);
  assert.deepEqual(written(dir), ['busy.md', 'index.md', 'last.md']);
});

test('two pages that want one name', options, async (t) => {
  const site = (...order) => ({ '/': html('Start', links(...order)),
    '/a': html('A', 'x'), '/a.md/b': html('B', 'x') });

  for (const [order, kept] of [[['/a', '/a.md/b'], 'a.md'], [['/a.md/b', '/a'], 'a.md/b.md']]) {
    const dir = folder(t);
    const r = await fetchInto(dir, site(...order));
    assert.equal(r.status, 1);
    assert.deepEqual(written(dir), [kept, 'index.md']);
  }
});

test('wrong use fetches nothing', options, () => {
  for (const args of [['--what'], ['--pages', 'x'], ['--pages'], ['ftp://example.org/'],
    ['https://u@example.org/'], ['https://example.org/../x'], ['https://example.org/?q'],
    ['https://example.org/.x'], ['a', 'b', 'c'], ['-K/etc/passwd']])
    assert.equal(spawnSync(script, args, { cwd: os.tmpdir(), timeout: 20000 }).status,
      2, args.join(' '));
});
