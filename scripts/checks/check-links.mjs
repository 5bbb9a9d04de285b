// Every relative link in a Markdown file leads to a file that is there, and to a heading that it has.
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { listFiles, report } from './source-files.mjs';

/** Text outside of code blocks: what looks like a link or a heading in there is none. */
function readProse(path) {
  return readFileSync(path, 'utf8').replaceAll(/^(`{3,})[^]*?^\1$/gm, '');
}

/** GitHub's way from a heading to an anchor; a heading that comes again gets a number. */
function anchorsOf(path) {
  const seen = new Map();
  return new Set(
    [...readProse(path).matchAll(/^#+ (.*)$/gm)].map(([, heading]) => {
      const anchor = heading
        .toLowerCase()
        .replaceAll(/[^\p{L}\p{N}_ -]/gu, '')
        .replaceAll(' ', '-');
      const times = seen.get(anchor) ?? 0;
      seen.set(anchor, times + 1);
      return times === 0 ? anchor : `${anchor}-${times}`;
    }),
  );
}

const problems = [];
const documents = listFiles().filter((path) => path.endsWith('.md'));
for (const path of documents) {
  for (const [, target] of readProse(path).matchAll(/\]\(([^()\s]+)\)/g)) {
    if (/^[a-z]+:/.test(target)) continue;
    const [file, anchor] = target.split('#');
    const place = file === '' ? path : normalize(join(dirname(path), file));
    if (!existsSync(place)) problems.push(`${path}: ${target} leads to no file`);
    else if (anchor !== undefined && !anchorsOf(place).has(anchor)) {
      problems.push(`${path}: ${target} leads to no heading`);
    }
  }
}
report(`links of ${documents.length} documents`, problems);
