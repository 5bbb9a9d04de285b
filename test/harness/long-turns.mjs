/**
 * Loaded into a server before it starts (`NODE_OPTIONS=--import …`): appends to the file of VAULT_LOOP_WATCH one
 * line, in milliseconds, for each turn of the event loop that took long. What counts is the processor time of the
 * thread, as the kernel tells it: on a busy machine other programs run meanwhile, which is not the server's doing.
 */
import { appendFileSync, readFileSync } from 'node:fs';
import process from 'node:process';

const file = process.env['VAULT_LOOP_WATCH'];
/** How often it looks; a turn is seen longer by at most this. */
const TICK_MS = 10;
const REPORTED_MS = 50;

/** Milliseconds for which the main thread has run. */
function ranMs() {
  const [ranNs = '0'] = readFileSync(`/proc/self/task/${process.pid}/schedstat`, 'utf8').split(' ');
  return Number(ranNs) / 1e6;
}

if (file !== undefined) {
  let last = ranMs();
  const look = () => {
    const now = ranMs();
    if (now - last > REPORTED_MS) appendFileSync(file, `${Math.round(now - last)}\n`);
    last = ranMs();
    setTimeout(look, TICK_MS).unref();
  };
  setTimeout(look, TICK_MS).unref();
}
