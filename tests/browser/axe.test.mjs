/*
 * Every page under axe-core, in light and in dark, 320 px wide, and enlarged to
 * 200 %. Only here scripts run: axe's own, past the pages' policy.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { after, before, describe, it } from 'node:test';
import { logIn, openPage, press, startBrowser, startStack }
  from './lib/browser.mjs';
import { fill } from './lib/organisation.mjs';

const axe = readFileSync(
  createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const LIMIT = { timeout: 240000 };

const NARROW = 320;
const WIDE = 1280;

let browser, gate, made;

before(async () => {
  [browser, gate] = await Promise.all([startBrowser(), startStack()]);
  made = fill(gate);
}, LIMIT);
after(async () => {
  await browser?.close();
  await gate?.stop();
});

async function forgotten(page) {
  await page.goto('/admin/key');
  await page.getByLabel('Label').fill(' ');
  await page.getByLabel('Expires').fill('soon');
  await page.getByLabel('Requests', { exact: true }).fill('many');
  await press(page, 'Make the key');
  assert.equal(await page.locator('.error').count(), 3);
}

async function secret(page) {
  await page.goto('/admin/key');
  await page.getByLabel('Label').fill('once');
  await press(page, 'Make the key');
  await page.getByLabel('The key', { exact: true }).waitFor();
}

async function emergency(page) {
  await page.goto('/admin/keys');
  await page.getByText('Disable all keys now').click();
  await page.getByLabel('Type DISABLE ALL to confirm').fill('no');
  await press(page, 'Disable all keys');
}

/* What is looked at: a path, or how to come there. */
const PAGES = {
  keys: '/admin/keys',
  'keys, none found': '/admin/keys?q=nothing-like-that',
  'keys, with an error': emergency,
  'a new key': '/admin/key',
  'a new key, with errors': forgotten,
  'the key itself': secret,
  'a key': () => `/admin/key?id=${made.active}`,
  'a key, saved': () => `/admin/key?id=${made.active}&done=saved`,
  'a disabled key': () => `/admin/key?id=${made.disabled}`,
  'no such key': '/admin/key?id=key_0000000000000000',
  usage: '/admin/usage?period=30d',
  'usage by key': '/admin/usage?period=30d&by=key',
  'usage by day': '/admin/usage?period=30d&by=day',
  'usage of another time': '/admin/usage?from=x&to=2026-01-01',
  settings: '/admin/settings',
  changes: '/admin/audit',
  help: '/admin/help',
  session: '/admin/login',
  'keys in Spanish': '/admin/keys?lang=es',
  'usage in Spanish': '/admin/usage?period=30d&by=key&lang=es',
  'settings in Spanish': '/admin/settings?lang=es',
};

async function go(page, where) {
  const path = typeof where === 'function' && where.length === 0 ?
    where() : where;

  if (typeof path === 'string') await page.goto(path);
  else await path(page);
}

/* What axe has against it, in lines that say where. */
async function violations(page) {
  await page.evaluate(axe);
  const found = await page.evaluate(() =>
    /* global axe */
    axe.run(document, { resultTypes: ['violations'] }));

  assert.ok(found.passes.length > 5, 'axe looked at nothing');
  return found.violations.flatMap(({ id, nodes }) => nodes.map((n) =>
    `${id}: ${n.target.join(' ')}: ${n.failureSummary.replace(/\s+/g, ' ')}`));
}

const widthOf = (page) => page.evaluate(() =>
  document.documentElement.scrollWidth);

/* What stands out over the edge, or is cut off by its own box. */
const cutOff = (page) => page.evaluate(() => {
  const width = document.documentElement.clientWidth;
  const seen = [...document.body.querySelectorAll('*')].filter((e) =>
    !e.closest('svg, pre, .skip') && e.getClientRects().length > 0);

  return seen.filter((e) => {
    const box = e.getBoundingClientRect();
    const hides = getComputedStyle(e).overflowX !== 'visible' &&
      !e.matches('input, select') && e.scrollWidth > e.clientWidth + 1;
    return box.right > width + 0.5 || box.left < -0.5 || hides;
  }).map((e) => `${e.tagName} ${e.className}: ${e.textContent.slice(0, 40)}`);
});

describe('enlarged to 200 %', LIMIT, () => {
  let context, page;

  /* As the browser's zoom does: a CSS pixel is two of the screen's. */
  before(async () => {
    ({ context, page } = await openPage(browser, gate, { script: true,
      bypassCSP: true, viewport: { width: WIDE / 2, height: 400 },
      deviceScaleFactor: 2 }));
    await logIn(page, gate);
  });
  after(() => context?.close());

  for (const [name, where] of Object.entries(PAGES))
    it(name, async () => {
      await page.setViewportSize({ width: WIDE / 2, height: 400 });
      await page.goto('/admin/keys?lang=en');
      await go(page, where);
      assert.equal(await page.evaluate(() => devicePixelRatio), 2);
      assert.ok(await widthOf(page) <= WIDE / 2, `${await widthOf(page)} px`);
      assert.deepEqual(await cutOff(page), []);
      /* Only the text, as some browsers can. */
      await page.setViewportSize({ width: WIDE, height: 800 });
      await page.addStyleTag({ content: ':root{font-size:200%}' });
      assert.ok(await widthOf(page) <= WIDE, `${await widthOf(page)} px`);
      assert.deepEqual(await cutOff(page), []);
    });
});

describe('the state of a rotated key', LIMIT, () => {
  for (const width of [NARROW, WIDE / 2, 800, WIDE])
    it(`does not break its date at ${width} px`, async () => {
      const { context, page } = await openPage(browser, gate,
        { script: true, width });

      await logIn(page, gate);
      const lines = await page.locator('.when').evaluateAll((all) =>
        all.map((e) => e.getClientRects().length));
      assert.deepEqual(lines, [1]);
      assert.ok(await widthOf(page) <= width, `${await widthOf(page)} px`);
      await context.close();
    });
});

for (const dark of [false, true])
  describe(dark ? 'in the dark' : 'in the light', LIMIT, () => {
    let context, page;

    before(async () => {
      ({ context, page } = await openPage(browser, gate,
        { script: true, bypassCSP: true, dark }));
      await page.goto('/admin/login');
    });
    after(() => context?.close());

    it('login', async () => {
      assert.deepEqual(await violations(page), []);
      await logIn(page, gate, 'wrong');
      assert.deepEqual(await violations(page), []);
      await logIn(page, gate);
      assert.match(page.url(), /keys$/);
    });

    for (const [name, where] of Object.entries(PAGES))
      it(name, async () => {
        await page.setViewportSize({ width: 1280, height: 800 });
        await page.goto('/admin/keys?lang=en');
        await go(page, where);
        assert.deepEqual(await violations(page), []);
        if (!dark) {
          await page.setViewportSize({ width: NARROW, height: 640 });
          assert.ok(await widthOf(page) <= NARROW,
            `${await widthOf(page)} px wide`);
          assert.deepEqual(await cutOff(page), []);
          assert.deepEqual(await violations(page), []);
        }
      });
  });

describe('the checks themselves', LIMIT, () => {
  it('find what is wrong with a page', async () => {
    const { context, page } = await openPage(browser, gate,
      { script: true, width: NARROW });

    await page.setContent('<html lang=en><title>x</title><main><h1>x</h1>' +
      '<p style="color:#ccc;background:#fff">faint</p><input>' +
      '<a href=x>a link</a> <a href=y>another</a>' +
      '<div style="width:400px">wide</div></main>');
    const found = (await violations(page)).join('\n');
    assert.match(found, /color-contrast/);
    assert.match(found, /label/);
    assert.ok(await widthOf(page) > NARROW);
    assert.equal((await cutOff(page)).length, 1);
    await context.close();
  });
});
