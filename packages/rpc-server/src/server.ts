/**
 * One run of the server: from a configuration to a served API, and back down. HTTP is up before
 * anything else, so that health and progress can be asked for while Redis loads and records migrate.
 * The server is degraded until proven healthy.
 */
import type { Readable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { DegradedError } from '@vault/redis-store';
import type { CredentialDatabase } from '@vault/redis-store';
import type { SourceEnvironment } from '@vault/keystore';
import { DatabaseConfigBackup, importText } from './backup/config-backup.js';
import { backupDatabaseOf } from './backup/database-adapter.js';
import { exportNote } from './backup/export-state.js';
import type { ImportParams, ImportResult } from './backup/port.js';
import { loadKeysOf } from './config/custody-config.js';
import { ConfigError } from './config/errors.js';
import { limitsOf } from './config/limit-settings.js';
import { InstanceIdentity } from './instance-identity.js';
import { resolveLimits } from './limits.js';
import type { ServerConfig } from './config/load-config.js';
import { prepareDataFolder } from './data-folder.js';
import { apiOptions } from './api-options.js';
import { createApi } from './http/api-server.js';
import { isRetrying } from './http/api-state.js';
import type { Api } from './http/api-server.js';
import { usersOf } from './http/serving.js';
import { asDegraded } from './lifecycle/as-degraded.js';
import { MachineWatch } from './lifecycle/machine-watch.js';
import { planReload, type ReloadPlan } from './lifecycle/reload.js';
import { onceSettled } from './lifecycle/once-settled.js';
import { isRedisAway, RETRY_ADVICE, retryTurns } from './lifecycle/redis-retry.js';
import { keyMetrics, rotationNote } from './lifecycle/rotation-note.js';
import { Schedules } from './lifecycle/schedules.js';
import { ServedDatabase } from './lifecycle/served-database.js';
import { localRedis, type LocalRedis } from './local-redis.js';
import { describeError, type Logger, type LogLevel } from './log.js';
import { openDatabase, type DatabaseParts } from './open-database.js';
import { KitWatch } from './recovery/kit-watch.js';
import { previewRecovery, recoverDatabase } from './recovery/recover-database.js';
import { recoveryRefusal } from './recovery/recoverable.js';
import { withRecoveryAdvice } from './recovery/recovery-advice.js';
import { RecoveryDesk } from './recovery/recovery-desk.js';
import { RecoveryPassword } from './recovery/recovery-password.js';
import { ensureFirstAdministrator } from './session/first-administrator.js';
import { firstSteps } from './first-steps.js';
import { writeInitialPassword } from './initial-password.js';

export interface ServerOptions {
  readonly config: ServerConfig;
  /** What half sources need of process and machine. */
  readonly sources: SourceEnvironment;
  /** `PATH`, for children. */
  readonly searchPath: string;
  readonly log: (namespace: string) => Logger;
  /** Changes the level of every logger that {@link log} gave. Default: it stays. */
  readonly setLogLevel?: (level: LogLevel) => void;
  readonly version: string;
  /** `VAULT_ADMIN_EMAIL`, `VAULT_ADMIN_PASSWORD`. */
  readonly administrator: {
    readonly email?: string | undefined;
    readonly password?: string | undefined;
  };
  /** Takes lines for standard output, without line feed. */
  readonly print: (line: string) => void;
  /** Whether nobody keeps what is printed: a journal or a file does. Default `false`. */
  readonly mayPrintSecrets?: boolean;
  /** Says *ready* only when the rewriting of all records that a start began has ended. Default: as soon as it serves. */
  readonly isReadyOnceSettled?: boolean;
  /** Goes into recovery mode where the server would be degraded. Default: degraded it is. */
  readonly recovery?: {
    readonly password: string;
    /** Recovery is all that is wanted: a database that opens is closed again. */
    readonly isRequired: boolean;
  };
}

const NEEDLESS_RECOVERY = 'VAULT_RECOVERY_PASSWORD is set and not needed: take it away';

/** A step of a migration takes a fraction of this; a wait for another process' migration is cut off here. */
const OPENING_ENDS_MS = 5000;

export class VaultServer {
  readonly #options: ServerOptions;
  readonly #log: Logger;
  /** The namespace that operators of the model look for. */
  readonly #credentialsLog: Logger;
  readonly #api: Api;
  #url = '';
  #redis: LocalRedis | undefined;
  #database: CredentialDatabase | undefined;
  #schedules: Schedules | undefined;
  /** Recovery was asked for, and there is nothing to recover, or no way to: the log says which. */
  hasNothingToDo = false;
  #opening: Promise<void> = Promise.resolve();
  /** Attempts after one that found Redis away. */
  #retrying: Promise<void> = Promise.resolve();
  readonly #stopping = new AbortController();
  /** In force: that of the start, with what {@link reload} took over. */
  #config: ServerConfig;
  #reloading: Promise<void> = Promise.resolve();

  private constructor(options: ServerOptions, api: Api) {
    this.#options = options;
    this.#config = options.config;
    this.#log = options.log('server');
    this.#credentialsLog = options.log('crypto-credentials');
    this.#api = api;
  }

  /**
   * Listens, then opens the database. Resolves when it serves or is degraded, which is printed.
   * @throws {ConfigError} when the configuration cannot work; NodeJS.ErrnoException when the address is in use
   */
  static async start(options: ServerOptions): Promise<VaultServer> {
    const { config, log } = options;
    const warning = await prepareDataFolder(config.settings.datadir);
    const instance = await InstanceIdentity.ensure(config.settings.datadir);
    const warnings = [...config.warnings, ...(warning === undefined ? [] : [warning])];
    for (const each of warnings) log('server').warn(each);
    const server = new VaultServer(
      options,
      createApi({ ...apiOptions(config, options.version, log('api')), instance }),
    );
    server.#url = await server.#api.listen();
    server.#opening = server.#open();
    return server;
  }

  /** `http://127.0.0.1:7400` */
  get url(): string {
    return this.#url;
  }

  /** Settles once the server serves or is degraded. */
  get opened(): Promise<void> {
    return this.#opening;
  }

  /**
   * Reads the configuration and the certificate again, and takes over what can be while it serves; no
   * socket is cut. A broken one changes nothing. Never rejects: the log says what was done, or why not.
   * @param load reads it as the start did
   */
  reload(load: () => ServerConfig): Promise<void> {
    this.#reloading = this.#reloading.then(() => this.#reload(load));
    return this.#reloading;
  }

  async #reload(load: () => ServerConfig): Promise<void> {
    if (this.#stopping.signal.aborted) return;
    let plan: ReloadPlan;
    try {
      plan = await planReload(this.#config, load(), this.#options.sources);
    } catch (error) {
      const advice = 'nothing was changed: correct it and send SIGHUP again';
      this.#log.error('The configuration was not reloaded', {
        cause: describeError(error),
        advice,
      });
      return;
    }
    const { config, tls, applied, needsRestart } = plan;
    this.#config = config;
    this.#options.setLogLevel?.(config.settings['log.level'] as LogLevel);
    if (tls !== undefined) this.#api.setTls(tls);
    await this.#schedules?.beginAgain(config.settings);
    this.#log.info('The configuration was reloaded', {
      applied,
      ...(tls !== undefined && { certificate: config.settings['http.cert'] }),
    });
    if (needsRestart.length > 0) {
      this.#log.warn('These settings changed, and need a restart', { settings: needsRestart });
    }
  }

  /** Finishes what is under way, closes everything, and stops a Redis of the server's own. */
  async stop(): Promise<void> {
    this.#log.info('stopping');
    this.#stopping.abort();
    await this.#api.close();
    // A migration under way ends at its next step, and the next start goes on with it.
    const opening = this.#opening.then(() => this.#retrying);
    await Promise.race([opening, delay(OPENING_ENDS_MS, undefined, { ref: false })]);
    await this.#reloading;
    await this.#schedules?.stop();
    await this.#database?.close();
    await this.#redis?.stop();
  }

  async #open(): Promise<void> {
    const degraded = await this.#attempt();
    if (degraded === undefined) return;
    await this.#becomeDegraded(degraded);
    if (isRedisAway(degraded) && !this.hasNothingToDo) {
      this.#retrying = this.#openOnceRedisAnswers(degraded);
    }
  }

  /** @returns why it does not serve; `undefined` when it does, or is stopping */
  async #attempt(): Promise<DegradedError | undefined> {
    const { signal } = this.#stopping;
    try {
      await this.#letGo();
      const redis = await this.#startRedis();
      const database = await openDatabase({ ...this.#databaseParts(redis), role: 'server' });
      this.#database = database;
      if (signal.aborted) await database.close();
      else if (this.#options.recovery?.isRequired === true) this.#needNoRecovery();
      else {
        await this.#serve(database);
        if (this.#options.recovery !== undefined) this.#log.warn(NEEDLESS_RECOVERY);
      }
      return undefined;
    } catch (error) {
      if (signal.aborted) return undefined;
      return withRecoveryAdvice(asDegraded(error), this.#config.settings.datadir);
    }
  }

  /** What an attempt before this one left open. */
  async #letGo(): Promise<void> {
    await this.#database?.close();
    this.#database = undefined;
    await this.#redis?.stop();
    this.#redis = undefined;
  }

  /** Tries on, until it serves, or until something is wrong that is not Redis' absence. */
  async #openOnceRedisAnswers(first: DegradedError): Promise<void> {
    let said = first;
    for await (const _ of retryTurns(this.#stopping.signal)) {
      const degraded = await this.#attempt();
      if (degraded === undefined) {
        if (this.#api.state.mode === 'serving') this.#log.info('Redis answers: no longer degraded');
        return;
      }
      if (!isRedisAway(degraded)) return this.#becomeDegraded(degraded);
      // One line for each cause, not for each attempt: it may be away for days.
      const isNews = degraded.details.cause !== said.details.cause;
      if (isNews || this.#api.state.mode !== 'degraded') this.#degrade(degraded);
      else this.#log.debug('Redis is still away', { cause: degraded.details.cause });
      said = degraded;
    }
    return undefined;
  }

  async #becomeDegraded(degraded: DegradedError): Promise<void> {
    this.#degrade(degraded);
    const isConfig = degraded.cause instanceof ConfigError;
    const refusal = isConfig ? 'correct the configuration' : recoveryRefusal(degraded.reason);
    await this.#offerRecovery(degraded, refusal);
  }

  async #startRedis(): Promise<LocalRedis> {
    const { searchPath } = this.#options;
    const config = this.#config;
    this.#redis = await localRedis({
      settings: config.settings,
      searchPath,
      signal: this.#stopping.signal,
      role: 'server',
      onLoading: () => this.#log.info('Redis is loading its data'),
    });
    return this.#redis;
  }

  #databaseParts(redis: LocalRedis): Omit<DatabaseParts, 'role'> {
    const { sources } = this.#options;
    const config = this.#config;
    return {
      config,
      redis,
      sources,
      signal: this.#stopping.signal,
      logger: this.#credentialsLog,
      // An import or a rotation of a served database reports here too.
      onProgress: (progress) => {
        const { state, serving } = this.#api;
        const isOpening = state.mode === 'starting' || isRetrying(state);
        if (isOpening) this.#api.setState({ mode: 'starting', progress });
        else serving?.services.progress.report(progress);
      },
      onDegraded: (error) => this.#degrade(error),
    };
  }

  #needNoRecovery(): void {
    this.hasNothingToDo = true;
    this.#log.error('The database opens: there is nothing to recover; start the server as usual');
  }

  /** Degraded, or in recovery mode where that was asked for and helps. */
  async #offerRecovery(degraded: DegradedError, refusal: string | undefined): Promise<void> {
    const { recovery, version, log, print } = this.#options;
    const { settings } = this.#config;
    const isWanted = recovery !== undefined && refusal === undefined;
    const reached = isWanted ? await this.#api.openRecovery(settings['http.recoveryPort']) : [];
    if (this.#stopping.signal.aborted) return;
    if (recovery === undefined || reached.length === 0) {
      print(`vault-server degraded on ${this.#url}`);
      if (recovery === undefined) return;
      this.hasNothingToDo = recovery.isRequired;
      this.#log.error(`Recovery mode does not help here: ${refusal ?? 'it has no way in'}`);
      return;
    }
    const desk = new RecoveryDesk({
      reached,
      password: new RecoveryPassword(recovery.password),
      degraded,
      limits: resolveLimits(limitsOf(settings)),
      logger: log('recovery'),
      version,
      recover: (body, params) => this.#recover(body, params),
    });
    this.#api.setState({ mode: 'recovery', reason: degraded.reason, recovery: desk });
    this.#log.warn('In recovery mode: sign in as "recovery", import a config backup', { reached });
    print(`vault-server recovery on ${reached[0]}`);
  }

  /** @returns what the client is shown */
  async #recover(body: Readable, params: ImportParams): Promise<string | ImportResult> {
    if (params.dryRun === true) return previewRecovery(this.#options, body, params);
    const redis = this.#redis;
    if (redis === undefined) throw new DegradedError('redisUnusable', {});
    const { signal: _, ...parts } = this.#databaseParts(redis);
    const { database, imported, archives } = await recoverDatabase(parts, body, params);
    this.#database = database;
    await this.#serve(database);
    this.#log.warn('Recovered: restart the server as usual, without recovery mode', { archives });
    const kept = archives.map((path) => `what Redis held before is kept in ${path}\n`).join('');
    return `${importText(imported)}${kept}`;
  }

  async #serve(database: CredentialDatabase): Promise<void> {
    const { administrator, print, mayPrintSecrets = false } = this.#options;
    const { settings } = this.#config;
    const users = usersOf(database, limitsOf(settings));
    const created = await ensureFirstAdministrator(database, users, {
      ...administrator,
      keepPassword: (password) => writeInitialPassword(settings.datadir, password),
    });
    const logger = this.#options.log('backup');
    const backup = new DatabaseConfigBackup({ database: backupDatabaseOf(database), logger });
    if (this.#stopping.signal.aborted) return;
    const kit = this.#kitWatch();
    const machine = new MachineWatch(settings.datadir);
    const served = this.#served(database, kit, machine);
    this.#api.setState({ mode: 'serving', database: served, backup });
    await kit.sayIfOutdated(database);
    await machine.look(database.databaseId, this.#log);
    this.#schedules = new Schedules({ database: served, backup, log: this.#options.log });
    await this.#schedules.begin(settings);
    this.#api.metrics.watchKey(() =>
      keyMetrics(served, this.#config.settings['keystore.rotateAfter'], Date.now()),
    );
    this.#api.metrics.watchExports(() => exportNote(this.#config.settings, Date.now()));
    const at = { url: this.#url, dataDir: settings.datadir, mayShow: mayPrintSecrets };
    for (const line of firstSteps(created, at)) print(line);
    const sayReady = () => print(`vault-server ready on ${this.#url}`);
    if (this.#options.isReadyOnceSettled !== true) sayReady();
    // Beside serving: who waits for the line is kept waiting, who calls is not.
    else void onceSettled(database, this.#stopping.signal, this.#log, sayReady);
  }

  /** The database with what its status says of this server beside it. */
  #served(database: CredentialDatabase, kit: KitWatch, machine: MachineWatch): ServedDatabase {
    const rotateAfterMs = () => this.#config.settings['keystore.rotateAfter'];
    return new ServedDatabase(
      database,
      [
        (status) => rotationNote(status, rotateAfterMs(), Date.now()),
        (status) => kit.note(status),
        () => exportNote(this.#config.settings, Date.now()),
        (status) => machine.note(status),
      ],
      (activeKeyId) => kit.sayDue(activeKeyId),
    );
  }

  #kitWatch(): KitWatch {
    const { sources, log } = this.#options;
    const config = this.#config;
    const { settings } = config;
    return new KitWatch({
      dataDir: settings.datadir,
      loadKeys: (activeKeyId) => loadKeysOf(settings, sources, activeKeyId),
      logger: log('keys'),
    });
  }

  #degrade(error: DegradedError): void {
    const { reason, message, details } = error;
    const isRecovery = this.#options.recovery?.isRequired === true;
    const retrying = isRedisAway(error) && !isRecovery;
    this.#api.setState({ mode: 'degraded', reason, ...(retrying && { retrying }) });
    const advice = retrying ? { advice: RETRY_ADVICE } : {};
    this.#credentialsLog.error(message, { ...details, ...advice });
  }
}
