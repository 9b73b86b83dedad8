'use strict';
/*
 * browser.js - a text browser of sorts for the admin pages: cookies, forms and
 * redirects, and nothing else.
 */
const zlib = require('node:zlib');

const ENTITIES = { amp: '&', lt: '<', gt: '>', quot: '"', '#39': "'" };

const unescape = (text) =>
  text.replace(/&([a-z]+|#39);/g, (all, name) => ENTITIES[name] ?? all);

function attributes(tag) {
  const found = {};

  for (const [, name, , value] of
    tag.matchAll(/([a-z-]+)(="([^"]*)")?(?=[\s>])/g))
    found[name] = unescape(value ?? '');
  return found;
}

/* Every form of a page with the values it would send as it stands. */
function formsOf(html) {
  return [...html.matchAll(/<form [^>]*>([^]*?)<\/form>/g)].map(([all, inner]) => {
    const { action, method } = attributes(all.slice(0, all.indexOf('>') + 1));
    const fields = {};

    for (const [tag] of inner.matchAll(/<input [^>]*>/g)) {
      const a = attributes(tag);
      if (a.type !== 'checkbox' || 'checked' in a) fields[a.name] = a.value;
    }
    for (const [, head, options] of
      inner.matchAll(/<select ([^>]*)>([^]*?)<\/select>/g))
      fields[attributes(`x ${head}>`).name] = unescape(
        (options.match(/value="([^"]*)" selected/) ||
         options.match(/value="([^"]*)"/))[1]);
    return { action, method, fields };
  });
}

class Browser {
  constructor(gate, headers = {}) {
    this.gate = gate;
    this.headers = headers;
    this.cookies = new Map();
  }

  async send(path, options = {}) {
    const cookie = [...this.cookies].map(([k, v]) => `${k}=${v}`).join('; ');
    const answer = await this.gate.request(path, { auth: false, ...options,
      headers: { ...this.headers, ...(cookie && { cookie }),
        ...options.headers } });

    for (const line of [answer.headers['set-cookie'] ?? []].flat()) {
      const [, name, value] = line.match(/^([^=]+)=([^;]*)/);
      if (/Max-Age=0/.test(line)) this.cookies.delete(name);
      else this.cookies.set(name, value);
    }
    if (answer.headers['content-encoding'] === 'gzip')
      answer.text = zlib.gunzipSync(answer.body).toString();
    return answer;
  }

  get(path, options) {
    return this.send(path, options);
  }

  post(path, fields, options = {}) {
    return this.send(path, { ...options, method: 'POST',
      body: new URLSearchParams(fields).toString(),
      headers: { 'content-type': 'application/x-www-form-urlencoded',
        ...options.headers } });
  }

  /* The form of a page that does this, filled in further and sent. */
  async submit(path, what, fields = {}, options) {
    const page = await this.get(path);
    const form = formsOf(page.text).find((f) => f.fields.do === what);

    if (!form) throw new Error(`no form "${what}" in ${path}: ${page.text}`);
    return this.post(form.action, { ...form.fields, ...fields }, options);
  }

  logIn(password = this.gate.adminPassword) {
    return this.submit('/admin/login', 'login', { password });
  }
}

module.exports = { Browser, formsOf, unescape };
