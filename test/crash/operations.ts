/** What the process does when it is hit: each kind of migration, of write, and of change of keys. */
import type { Base } from './crash-stage.js';
import { step } from './records.js';
import type { Order } from './store-process.js';

export interface Operation {
  readonly name: string;
  readonly base: Base;
  /** The setting of the process that is hit, and of the starts after it. */
  readonly encrypt: boolean;
  /** Taken once the database is open; without any, the start itself is what is hit. */
  readonly steps: Order['steps'];
}

const marked = (host: string): { host: string; username: string; password: string } => ({
  host: `${host}.plain-marker.example`,
  username: 'plain-marker-root1',
  password: 'plain-marker-password',
});

const WRITES: Order['steps'] = [
  step('add', { id: 'added', fields: marked('added') }),
  step('set', { id: 'server-3', fields: { label: 'plain-marker-label' } }),
  step('set', { id: 'server-4', fields: marked('moved') }),
  step('remove', { id: 'server-5' }),
  step('add', { id: 'again', fields: marked('host-5') }),
  step('claim', { ids: ['first', 'second', 'third'], fields: marked('claimed') }),
];
const READS: Order['steps'] = [
  step('read', { id: 'server-1' }),
  step('find', { fields: { username: 'plain-marker-root1' } }),
  step('read', { id: 'nowhere' }),
  step('find', { fields: { host: 'host-7.plain-marker.example' } }),
  step('find', { fields: { username: 'nobody' } }),
];
const IMPORT: Order['steps'] = [
  step('import', {
    ids: ['imported-1', 'server-2', 'imported-2'],
    fields: { username: 'plain-marker-imported', password: 'plain-marker-password' },
  }),
];

export const ENCRYPT: Operation = { name: 'encrypt', base: 'plain', encrypt: true, steps: [] };
export const DECRYPT: Operation = {
  name: 'decrypt, with an inactive key',
  base: 'rotated',
  encrypt: false,
  steps: [],
};
export const PLAIN_START: Operation = {
  name: 'a start with nothing to do',
  base: 'encrypted',
  encrypt: true,
  steps: [],
};
/** Whole starts: what is hit is the start itself. */
export const STARTS: readonly Operation[] = [ENCRYPT, DECRYPT, PLAIN_START];

/** Operations of an open database. */
export const OPERATIONS: readonly Operation[] = [
  { name: 'writes, encrypted', base: 'encrypted', encrypt: true, steps: WRITES },
  { name: 'writes, plain', base: 'plain', encrypt: false, steps: WRITES },
  { name: 'reads, encrypted', base: 'encrypted', encrypt: true, steps: READS },
  { name: 'import, encrypted', base: 'encrypted', encrypt: true, steps: IMPORT },
  { name: 'import, plain', base: 'plain', encrypt: false, steps: IMPORT },
  { name: 'rotation', base: 'encrypted', encrypt: true, steps: [step('rotate')] },
  {
    name: 'deletion of an inactive key',
    base: 'rotated',
    encrypt: true,
    steps: [step('deleteInactive')],
  },
];
