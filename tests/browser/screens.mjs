/*
 * Writes docs/screens/PAGE-WIDTH.png anew: the pages that the README and
 * docs/admin-pages.md show, on a gate of its own with keys and use made up for
 * it.
 * usage: make screens
 */
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { logIn, openPage, startBrowser, startStack } from './lib/browser.mjs';
import { fill } from './lib/organisation.mjs';

const DIR = fileURLToPath(new URL('../../docs/screens/', import.meta.url));
const MOST_BYTES = 60 * 1024;
const WIDTHS = { 320: 640, 1280: 510 };

async function shoot(page, name) {
  for (const [width, height] of Object.entries(WIDTHS)) {
    const file = path.join(DIR, `${name}-${width}.png`);

    await page.setViewportSize({ width: Number(width), height });
    await page.screenshot({ path: file });
    if (fs.statSync(file).size > MOST_BYTES)
      throw new Error(`${file} has more than ${MOST_BYTES} bytes`);
  }
}

const browser = await startBrowser();
const gate = await startStack();

try {
  const made = fill(gate);
  fs.mkdirSync(DIR, { recursive: true });
  const { page } = await openPage(browser, gate);
  await page.goto('/admin/login');
  await shoot(page, 'login');
  await logIn(page, gate);
  await shoot(page, 'keys');
  await page.goto('/admin/usage?period=30d&by=key');
  await shoot(page, 'usage');
  await page.goto(`/admin/key?id=${made.budget}`);
  await shoot(page, 'key');
  await page.goto('/admin/settings');
  await shoot(page, 'settings');
} finally {
  await browser.close();
  await gate.stop();
}
