/** What `/metrics` says, in Prometheus' text format. No name of a user, no id, no address. */
import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from 'prom-client';
import type { LimitName } from '../limits.js';
import type { ExportNote } from '../backup/export-state.js';
import type { ErrorName, Readiness } from '../protocol.js';

const MODES = [
  'starting',
  'serving',
  'degraded',
  'recovery',
] as const satisfies readonly Readiness['mode'][];
/** A read of Redis takes about 0.2 ms, a password check 30 ms, a verify minutes. */
const DURATION_BUCKETS_S = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5, 30];
const MS_PER_S = 1000;

/** Of the active key. */
export interface KeyMetrics {
  /** `null` where nobody wrote down when it became active. */
  readonly ageMs: number | null;
  readonly encryptions: number;
  readonly isDue: boolean;
  /** Keys in use of which a half is not in its place any more. */
  readonly missingHalves: number;
}

/** Asked at each scrape. */
export interface LiveFigures {
  readonly openSockets: () => number;
  readonly bytesInFlight: () => number;
}

export class ApiMetrics {
  readonly #registry = new Registry();
  readonly #calls: Counter<'method' | 'outcome'>;
  readonly #durations: Histogram<'method'>;
  readonly #refusals: Counter<'limit'>;
  readonly #mode: Gauge<'mode'>;
  readonly #progress: Gauge;
  readonly #key: {
    readonly age: Gauge;
    readonly encryptions: Gauge;
    readonly isDue: Gauge;
    readonly missing: Gauge;
  };
  readonly #exports: { readonly age: Gauge; readonly ok: Gauge };
  #readExports: () => Promise<ExportNote> = () => Promise.resolve({ scheduledExport: null });
  #readKey: () => Promise<KeyMetrics | undefined> = () => Promise.resolve(undefined);

  constructor({ openSockets, bytesInFlight }: LiveFigures) {
    const registers = [this.#registry];
    collectDefaultMetrics({ register: this.#registry, prefix: 'vault_' });
    this.#calls = new Counter({
      name: 'vault_rpc_calls_total',
      help: 'JSON-RPC calls, by method and outcome (ok, or the name of the error)',
      labelNames: ['method', 'outcome'],
      registers,
    });
    this.#durations = new Histogram({
      name: 'vault_rpc_call_duration_seconds',
      help: 'Duration of JSON-RPC calls',
      labelNames: ['method'],
      buckets: DURATION_BUCKETS_S,
      registers,
    });
    this.#refusals = new Counter({
      name: 'vault_refusals_total',
      help: 'Sockets, messages and transfers that a limit kept out, held up or ended, by limit',
      labelNames: ['limit'],
      registers,
    });
    this.#mode = new Gauge({
      name: 'vault_mode',
      help: '1 for the mode that the server is in',
      labelNames: ['mode'],
      registers,
    });
    this.#progress = new Gauge({
      name: 'vault_migration_progress_ratio',
      help: 'How much of the current phase of a migration is done, 0 to 1; 0 when none runs',
      registers,
    });
    this.#key = {
      age: new Gauge({
        name: 'vault_key_age_seconds',
        help: 'Time since the active key became active',
        registers,
      }),
      encryptions: new Gauge({
        name: 'vault_key_encryptions',
        help: 'Encryptions under the active key, by all processes',
        registers,
      }),
      isDue: new Gauge({
        name: 'vault_key_rotation_due',
        help: '1 when a rotation of the active key is due',
        registers,
      }),
      missing: new Gauge({
        name: 'vault_key_halves_missing',
        help: 'Keys in use of which a half is not in its place any more: put it back before the server stops',
        registers,
      }),
    };
    this.#exports = {
      age: new Gauge({
        name: 'vault_scheduled_export_age_seconds',
        help: 'Time since the last scheduled export that is complete and was proven',
        registers,
      }),
      ok: new Gauge({
        name: 'vault_scheduled_export_ok',
        help: '1 when the last scheduled export is complete and was proven, else 0',
        registers,
      }),
    };
    const sockets: Gauge = new Gauge({
      name: 'vault_sockets',
      help: 'Open WebSockets',
      registers,
      collect: () => sockets.set(openSockets()),
    });
    const bytes: Gauge = new Gauge({
      name: 'vault_bytes_in_flight',
      help: 'Memory of messages received, worked on, or answered and not read; see limits.bytesInFlight',
      registers,
      collect: () => bytes.set(bytesInFlight()),
    });
  }

  /** @param method a name of the method table, or `unknown`: what clients invent is no label */
  call(method: string, outcome: ErrorName | 'ok', durationMs: number): void {
    this.#calls.inc({ method, outcome });
    this.#durations.observe({ method }, durationMs / MS_PER_S);
  }

  refusal(limit: LimitName): void {
    this.#refusals.inc({ limit });
  }

  readiness({ mode, progress }: Readiness): void {
    for (const name of MODES) this.#mode.set({ mode: name }, name === mode ? 1 : 0);
    const { done = 0, total = 0 } = progress ?? {};
    this.#progress.set(total === 0 ? 0 : done / total);
  }

  /** @param read asked at each scrape; `undefined` or a rejection leaves the metrics of the key out */
  watchKey(read: () => Promise<KeyMetrics | undefined>): void {
    this.#readKey = read;
  }

  /** @param read asked at each scrape; where none is scheduled, or none was tried, there are no such metrics */
  watchExports(read: () => Promise<ExportNote>): void {
    this.#readExports = read;
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  async text(): Promise<string> {
    const key = await this.#readKey().catch(() => undefined);
    for (const gauge of Object.values(this.#key)) gauge.remove();
    if (key !== undefined) {
      if (key.ageMs !== null) this.#key.age.set(key.ageMs / MS_PER_S);
      this.#key.encryptions.set(key.encryptions);
      this.#key.isDue.set(key.isDue ? 1 : 0);
      this.#key.missing.set(key.missingHalves);
    }
    const { scheduledExport } = await this.#readExports();
    for (const gauge of Object.values(this.#exports)) gauge.remove();
    if (scheduledExport !== null) {
      const { provenAgeMs, lastResult } = scheduledExport;
      if (provenAgeMs !== null) this.#exports.age.set(provenAgeMs / MS_PER_S);
      this.#exports.ok.set(lastResult === 'proven' ? 1 : 0);
    }
    return this.#registry.metrics();
  }
}
