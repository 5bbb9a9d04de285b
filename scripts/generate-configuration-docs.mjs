// Writes docs/configuration.md from the table of settings. Build first: npx tsc -b packages/rpc-server; format after: npx oxfmt docs/configuration.md
import { writeFileSync } from 'node:fs';
import { settingsDocument } from '../packages/rpc-server/dist/config/settings-document.js';

writeFileSync(new URL('../docs/configuration.md', import.meta.url), settingsDocument());
