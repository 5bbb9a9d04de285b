// Writes docs/errors.md from the tables of errors. Build first: npx tsc -b; format after: npx oxfmt docs/errors.md
import { writeFileSync } from 'node:fs';
import { errorDocument } from './error-document.mjs';

writeFileSync(new URL('../docs/errors.md', import.meta.url), errorDocument());
