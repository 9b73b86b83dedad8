/*
 * organisation.mjs - gives a gate some keys and a month of use, through
 * pmkey and the journal, as an organisation would have them.
 */
import fs from 'node:fs';
import path from 'node:path';

const HOUR = 3600000;
const DAYS = 30;
const MODELS = ['gpt-oss-120b', 'gemma-3-27b', 'qwen3-coder-30b-a3b'];

/* As the journal names its files: 2026112218. */
const hourName = (ms) =>
  new Date(ms).toISOString().slice(0, 13).replace(/[-T]/g, '');

function line(key, model, requests) {
  const prompt = 900 + requests * 37, completion = 200 + requests * 11;

  return '\n' + [1, key, model, 'chat.completions', 2, prompt, completion, 0,
    prompt + completion, 0, 0, 1500, 200, 0, '.'].join('\t') + '\n';
}

/* More on some days than on others, nothing at weekends. */
function requestsOn(day, key) {
  if (day % 7 > 4) return 0;
  return 2 + (day * 5 + key * 3) % 11;
}

function useOf(gate, ids) {
  const dir = path.join(gate.stateDir, 'journal');

  fs.mkdirSync(dir, { recursive: true, mode: 0o700 });
  for (let day = 1; day < DAYS; day++)
    ids.forEach((id, k) => {
      const at = hourName(Date.now() - day * 24 * HOUR);

      for (let n = 0; n < requestsOn(day, k); n++)
        fs.appendFileSync(path.join(dir, at),
          line(id, MODELS[(day + k + n) % MODELS.length], n));
    });
}

/* Ids of the keys by their state. */
export function fill(gate) {
  const make = (label, ...more) =>
    gate.pmkey('create', '--label', label, ...more).key_id;
  const made = {
    active: make('legal aid, phones', '--rate-limit', '20'),
    budget: make('newsletter', '--budget-eur', '25'),
    soon: make('summer camp', '--expires', '9d'),
    long: make('a_very_long_label_without_a_single_space_in_it_for_narrow_screens'),
    disabled: make('old laptop'),
    rotating: make('translation group'),
  };

  gate.pmkey('disable', made.disabled);
  gate.pmkey('rotate', made.rotating, '--grace', '24h');
  useOf(gate, [made.active, made.budget, made.soon, made.long]);
  return made;
}
