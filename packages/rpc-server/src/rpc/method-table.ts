/** All methods by name and alias, each with its validator. */
import type { MethodInfo, MethodsInfo } from '../protocol.js';
import type { Method } from './method.js';
import { ParameterValidators } from './parameters.js';
import type { ParameterReader } from './parameters.js';

export interface TableEntry {
  readonly method: Method;
  readonly readParameters: ParameterReader;
}

function infoOf({ description, params, permission }: Method): MethodInfo {
  const info = { description, params };
  // As Xen Orchestra says it: null is public, absent is any signed-in user.
  return permission === 'none' ? info : { ...info, permission };
}

export class MethodTable {
  readonly #entries = new Map<string, TableEntry>();
  /** In order of name, each once. */
  readonly methods: readonly Method[];
  readonly info: MethodsInfo;

  /** @throws RangeError when two methods claim one name */
  constructor(methods: readonly Method[]) {
    this.methods = methods.toSorted((a, b) => (a.name < b.name ? -1 : 1));
    const validators = new ParameterValidators();
    for (const method of this.methods) {
      const entry = { method, readParameters: validators.reader(method) };
      for (const name of [method.name, ...method.aliases]) {
        if (this.#entries.has(name)) throw new RangeError(`two methods are named ${name}`);
        this.#entries.set(name, entry);
      }
    }
    const names = this.names.map((name) => [name, infoOf(this.#method(name))] as const);
    this.info = Object.fromEntries(names);
  }

  get(name: string): TableEntry | undefined {
    return this.#entries.get(name);
  }

  /** Names and aliases, in order. */
  get names(): readonly string[] {
    return [...this.#entries.keys()].toSorted();
  }

  #method(name: string): Method {
    const entry = this.#entries.get(name);
    if (entry === undefined) throw new RangeError(`there is no method ${name}`);
    return entry.method;
  }
}
