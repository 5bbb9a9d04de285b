// Writes the table of the data folder into docs/operations.md. Build first: npx tsc -b packages/redis-store; format after: npx oxfmt docs/operations.md
import { readFileSync, writeFileSync } from 'node:fs';
import { withDataFolder } from './data-folder-document.mjs';

const path = new URL('../docs/operations.md', import.meta.url);
writeFileSync(path, withDataFolder(readFileSync(path, 'utf8')));
