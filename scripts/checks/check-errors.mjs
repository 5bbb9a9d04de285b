// docs/errors.md says what the tables of errors in the packages say.
import { readFileSync } from 'node:fs';
import { errorDocument } from '../error-document.mjs';
import { report } from './source-files.mjs';

/** The formatter pads the cells of tables. */
function withoutPadding(text) {
  return text.replaceAll(/-{3,}/g, '---').replaceAll(/ {2,}/g, ' ').split('\n');
}

const found = withoutPadding(readFileSync('docs/errors.md', 'utf8'));
const made = withoutPadding(errorDocument());
const problems = [];
for (let at = 0; at < Math.max(found.length, made.length); at += 1) {
  if (found[at] === made[at]) continue;
  problems.push(
    `docs/errors.md:${at + 1}: is not what scripts/generate-error-docs.mjs makes: ${made[at] ?? '(nothing)'}`,
  );
  break;
}
report('errors in docs', problems);
