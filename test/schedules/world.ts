/**
 * Lets virtual processes take one step at a time, in an order that a seed picks: a command reaches Redis, an answer
 * reaches its process, a timer fires, a client calls. Between two steps everything that they set going comes to rest, so
 * the same seed gives the same run.
 */
import type { Redis } from 'ioredis';
import type { SeededRandom } from '../harness/seeded-random.js';
import { VirtualProcess } from './virtual-process.js';
import type { Answer, SentCommand, VirtualTimer } from './virtual-process.js';

/** What goes wrong, and when. */
export interface Fault {
  readonly kind: 'kill' | 'sleep' | 'lose-answer' | 'lose-command' | 'repeat';
  readonly atStep: number;
  /** Chooses among the processes that are alive. */
  readonly victim: number;
}

/** Longer than a lock or a heartbeat lives. */
const SLEEP_MS = 40_000;
/** A timer fires before what else could happen so seldom; else time would run away from commands under way. */
const EARLY_TIMER_CHANCE = 0.02;
/** Commands of a process that is killed, and that reach Redis nevertheless, later. */
const LATE_COMMANDS_MAX = 3;
/** Turns of the event loop in which nothing of a process may be under way. */
const REST_TURNS = 3;
/** Renewed by the scripts that hold them: these keys end with virtual time, not with that of Redis. */
const EXPIRING = /\}:(?:lock$|process:)/;
/** Commands that may change something: to repeat another shows nothing. */
const CHANGING = /^(?:eval|set|del|incr|z(?:add|rem)|unlink|restore)/;
/** What a client library says when its connection was lost, and the command may have been done. */
const LOST: Answer = { isError: true, error: new Error('Connection is closed.') };
/** Requests to the file system and the thread pool, as Node names them. */
const BUSY_RESOURCES = /^(FS|CloseReq|Random|PBKDF2|Scrypt|Work)/;

type Step = { readonly text: string; readonly take: () => Promise<void> | void };

export class World {
  /** What happened, a line a step. */
  readonly trace: string[] = [];
  readonly #random: SeededRandom;
  readonly #admin: Redis;
  readonly #faults: Fault[];
  readonly #processes: VirtualProcess[] = [];
  readonly #late: SentCommand[] = [];
  readonly #expiries = new Map<string, number>();
  readonly #killed: (process: VirtualProcess) => void;
  #nowMs: number;
  #step = 0;

  constructor(parts: {
    readonly random: SeededRandom;
    readonly admin: Redis;
    readonly faults: readonly Fault[];
    readonly startMs: number;
    /** Told when a process was killed: it may begin another. */
    readonly killed: (process: VirtualProcess) => void;
  }) {
    this.#random = parts.random;
    this.#admin = parts.admin;
    this.#faults = [...parts.faults];
    this.#nowMs = parts.startMs;
    this.#killed = parts.killed;
  }

  /** Counts up with every step, and never gives the same number twice. */
  tick(): number {
    this.#ticks += 1;
    return this.#ticks;
  }
  #ticks = 0;

  spawn(name: string): VirtualProcess {
    const process = new VirtualProcess(name, () => this.#nowMs);
    this.#processes.push(process);
    return process;
  }

  /**
   * Takes steps until all is done.
   * @throws Error when nothing can happen any more, or it does not end
   */
  async run(isDone: () => boolean, stepsMax: number): Promise<void> {
    await this.#rest();
    while (!isDone()) {
      if (this.#step >= stepsMax) throw new Error(`it did not end within ${stepsMax} steps`);
      this.#step += 1;
      // oxlint-disable no-await-in-loop -- one step after the other is the point
      if (this.#strike()) await this.#rest();
      const step = this.#choose();
      if (step === undefined) throw new Error('nothing can happen any more, and it is not done');
      this.trace.push(`${this.#step} ${step.text}`);
      await step.take();
      await this.#rest();
      // oxlint-enable no-await-in-loop
    }
  }

  /** Ends all processes, and what time would have ended: leases, and commands on their way. */
  async end(): Promise<void> {
    // oxlint-disable-next-line no-await-in-loop -- in the order in which they were sent
    while (this.#late.length > 0) await this.#executeLate();
    for (const process of this.#processes) {
      process.isDead = true;
      for (const client of process.clients) client.disconnect();
    }
    if (this.#expiries.size > 0) await this.#admin.del(...this.#expiries.keys());
  }

  #choose(): Step | undefined {
    const awake = this.#processes.filter((each) => this.#isAwake(each));
    const steps = awake.flatMap((each) => this.#stepsOf(each));
    const [late] = this.#late;
    if (late !== undefined) {
      steps.push({ text: `late ${late.text}`, take: () => this.#executeLate() });
    }
    const timer = nextTimer(awake);
    const isEarly = steps.length > 0 && this.#random.chance(EARLY_TIMER_CHANCE);
    if (timer !== undefined && (steps.length === 0 || isEarly)) {
      return { text: `${timer.process.name} timer`, take: () => this.#fire(timer) };
    }
    return steps.length > 0 ? this.#random.pick(steps) : this.#wakeUp();
  }

  #stepsOf(process: VirtualProcess): Step[] {
    const { name, sent, answers, turns } = process;
    const steps: Step[] = [];
    const [command] = sent;
    if (command !== undefined) {
      steps.push({ text: `${name} ${command.text}`, take: () => this.#execute(process, command) });
    }
    const [answered] = answers;
    if (answered !== undefined) {
      steps.push({
        text: `${name} is answered ${answered.to.text}`,
        take: () => {
          answers.shift();
          answered.to.answer(answered.answer);
        },
      });
    }
    if (turns.length > 0) steps.push({ text: `${name} calls`, take: () => turns.shift()?.() });
    return steps;
  }

  #isAwake(process: VirtualProcess): boolean {
    return !process.isDead && process.asleepUntilMs <= this.#nowMs;
  }

  async #execute(process: VirtualProcess, command: SentCommand): Promise<void> {
    process.sent.shift();
    process.answers.push({ to: command, answer: await this.#reach(command) });
  }

  async #executeLate(): Promise<void> {
    const command = this.#late.shift();
    if (command !== undefined) await this.#reach(command);
  }

  async #reach(command: SentCommand): Promise<Answer> {
    await this.#expire();
    const answer = await command.execute();
    if (/^bg/i.test(command.text)) await this.#backgroundEnds();
    for (const key of command.keys.filter((each) => EXPIRING.test(each))) {
      // oxlint-disable no-await-in-loop -- one key
      const leftMs = await this.#admin.pttl(key);
      if (leftMs <= 0) continue;
      await this.#admin.persist(key);
      // oxlint-enable no-await-in-loop
      this.#expiries.set(key, this.#nowMs + Math.ceil(leftMs / 1000) * 1000);
    }
    return answer;
  }

  /** What Redis does beside takes real time: it is over before the next step. */
  async #backgroundEnds(): Promise<void> {
    const isRunning = async (): Promise<boolean> =>
      /_in_progress:1|_scheduled:1/.test(await this.#admin.info('persistence'));
    // oxlint-disable-next-line no-await-in-loop -- each look waits for Redis
    while (await isRunning());
  }

  async #expire(): Promise<void> {
    const over = [...this.#expiries].filter(([, atMs]) => atMs <= this.#nowMs).map(([key]) => key);
    for (const key of over) this.#expiries.delete(key);
    if (over.length > 0) await this.#admin.del(...over);
  }

  #fire(timer: VirtualTimer): void {
    this.#nowMs = Math.max(this.#nowMs, timer.atMs);
    if (timer.everyMs === undefined) timer.process.timers.delete(timer);
    else timer.atMs = this.#nowMs + timer.everyMs;
    timer.fire();
  }

  /** Nothing but time can go on. */
  #wakeUp(): Step | undefined {
    const asleep = this.#processes.filter(
      (each) => !each.isDead && each.asleepUntilMs > this.#nowMs,
    );
    const [first] = asleep.toSorted((a, b) => a.asleepUntilMs - b.asleepUntilMs);
    if (first === undefined) return undefined;
    return { text: `${first.name} wakes`, take: () => void (this.#nowMs = first.asleepUntilMs) };
  }

  /** The fault whose time has come. @returns whether it found a victim */
  #strike(): boolean {
    const [fault] = this.#faults;
    if (fault === undefined || this.#step < fault.atStep) return false;
    const able = this.#processes.filter(
      (each) => this.#isAwake(each) && canSuffer(each, fault.kind),
    );
    const victim = able[fault.victim % Math.max(able.length, 1)];
    if (victim === undefined) return false;
    this.#faults.shift();
    this.trace.push(`${this.#step} fault: ${fault.kind} ${victim.name}`);
    this.#suffer(victim, fault.kind);
    return true;
  }

  #suffer(victim: VirtualProcess, kind: Fault['kind']): void {
    const { sent, answers } = victim;
    switch (kind) {
      case 'kill':
        victim.isDead = true;
        this.#late.push(...sent.slice(0, this.#random.below(LATE_COMMANDS_MAX + 1)));
        victim.timers.clear();
        this.#killed(victim);
        break;
      case 'sleep':
        victim.asleepUntilMs = this.#nowMs + SLEEP_MS;
        break;
      case 'lose-answer':
        answers.unshift({ to: takeFirst(answers).to, answer: LOST });
        break;
      case 'lose-command':
        answers.push({ to: takeFirst(sent), answer: LOST });
        break;
      case 'repeat':
        // As the client library does over a new connection, before it knows what became of the first.
        sent.unshift(takeFirst(answers).to);
        break;
    }
  }

  /** Waits until nothing is under way but what waits for a step. */
  async #rest(): Promise<void> {
    for (let quiet = 0; quiet < REST_TURNS;) {
      // oxlint-disable-next-line no-await-in-loop -- a turn of the event loop after the other
      await new Promise((resolve) => {
        setImmediate(resolve);
      });
      quiet = this.#isBusy() ? 0 : quiet + 1;
    }
  }

  #isBusy(): boolean {
    if (this.#processes.some(({ connecting }) => connecting > 0)) return true;
    return process.getActiveResourcesInfo().some((kind) => BUSY_RESOURCES.test(kind));
  }
}

function nextTimer(processes: readonly VirtualProcess[]): VirtualTimer | undefined {
  const timers = processes.flatMap((each) => Array.from(each.timers));
  return timers.toSorted((a, b) => a.atMs - b.atMs)[0];
}

function takeFirst<T>(list: T[]): T {
  const first = list.shift();
  if (first === undefined) throw new RangeError('nothing there');
  return first;
}

function canSuffer({ sent, answers }: VirtualProcess, kind: Fault['kind']): boolean {
  if (kind === 'lose-answer') return answers.length > 0;
  if (kind === 'repeat') return CHANGING.test(answers[0]?.to.text ?? '');
  return kind === 'lose-command' ? sent.length > 0 : true;
}
