/** The Lua scripts, one file an operation; a check compares this table, the files' headers and their callers. */
import { readFileSync } from 'node:fs';

/** Script name → file in `lua/`. All take a varying number of keys. */
export const SCRIPT_FILES = {
  vaultWrite: 'write.lua',
  vaultFind: 'find.lua',
  vaultSwapFence: 'swap-fence.lua',
  vaultSwapSeal: 'swap-seal.lua',
  vaultTakeLock: 'take-lock.lua',
  vaultDropLock: 'drop-lock.lua',
  vaultBeat: 'beat.lua',
  vaultCountKeys: 'count-keys.lua',
  vaultHasEntries: 'has-entries.lua',
} as const satisfies Record<string, string>;

export type ScriptName = keyof typeof SCRIPT_FILES;

/** @returns the Lua text of a script, without its header comment (Redis keeps a copy of what it is sent) */
export function loadScript(name: ScriptName): string {
  const text = readFileSync(new URL(`../../lua/${SCRIPT_FILES[name]}`, import.meta.url), 'utf8');
  return text.replace(/^(?:--[^\n]*\n)+/, '');
}
