// docs/errors.md says what the tables of errors in the packages say, and every link from it leads to a heading.
import { readFileSync } from 'node:fs';
import { errorDocument } from '../error-document.mjs';
import { report } from './source-files.mjs';

/** The formatter pads the cells of tables. */
function withoutPadding(text) {
  return text.replaceAll(/-{3,}/g, '---').replaceAll(/ {2,}/g, ' ').split('\n');
}

/** GitHub's way from a heading to an anchor. */
function anchorOf(heading) {
  return heading
    .toLowerCase()
    .replaceAll(/[^a-z0-9 -]/g, '')
    .replaceAll(' ', '-');
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
const anchors = new Set(
  readFileSync('docs/operations.md', 'utf8')
    .split('\n')
    .filter((line) => /^#+ /.test(line))
    .map((line) => anchorOf(line.replace(/^#+ /, ''))),
);
for (const [, anchor] of found.join('\n').matchAll(/\(operations\.md#([^)]*)\)/g)) {
  if (!anchors.has(anchor))
    problems.push(`docs/errors.md: no heading in docs/operations.md for #${anchor}`);
}
report('errors in docs', problems);
