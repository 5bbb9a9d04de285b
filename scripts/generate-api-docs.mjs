// Writes docs/api.md from the tables of the API. Build first: npx tsc -b packages/rpc-server; format after: npx oxfmt docs/api.md
import { writeFileSync } from 'node:fs';
import { apiDocument } from '../packages/rpc-server/dist/methods/api-document.js';

writeFileSync(new URL('../docs/api.md', import.meta.url), apiDocument());
