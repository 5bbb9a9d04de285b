// Writes docs/openapi.json from the table of the routes. Build first: npx tsc -b packages/rpc-server; format after: npx oxfmt docs/openapi.json
import { readFileSync, writeFileSync } from 'node:fs';
import { openApiDocument } from '../packages/rpc-server/dist/http/open-api.js';

const packageUrl = new URL('../packages/rpc-server/package.json', import.meta.url);
const { version } = JSON.parse(readFileSync(packageUrl, 'utf8'));
const text = JSON.stringify(openApiDocument(version), null, 2);
writeFileSync(new URL('../docs/openapi.json', import.meta.url), `${text}\n`);
