/** JSON-RPC 2.0 over the server's own WebSocket. */
export class Rpc {
  #socket;
  #pending = new Map();
  #lastId = 0;

  /** @param onNotification called with method and parameters; @param onClose called once */
  static async connect(onNotification, onClose) {
    const scheme = location.protocol === 'https:' ? 'wss:' : 'ws:';
    const socket = new WebSocket(`${scheme}//${location.host}/api/`);
    await new Promise((resolve, reject) => {
      socket.addEventListener('open', resolve, { once: true });
      socket.addEventListener('error', () => reject(new Error('the server cannot be reached')), {
        once: true,
      });
    });
    return new Rpc(socket, onNotification, onClose);
  }

  constructor(socket, onNotification, onClose) {
    this.#socket = socket;
    socket.addEventListener('message', ({ data }) => {
      const { id, result, error, method, params } = JSON.parse(data);
      if (method !== undefined) {
        onNotification(method, params);
        return;
      }
      const call = this.#pending.get(id);
      this.#pending.delete(id);
      if (error === undefined) call?.resolve(result);
      else call?.reject(Object.assign(new Error(error.message), error));
    });
    socket.addEventListener('close', () => {
      for (const { reject } of this.#pending.values())
        reject(new Error('the connection was closed'));
      this.#pending.clear();
      onClose();
    });
  }

  call(method, params = {}) {
    this.#lastId += 1;
    const id = this.#lastId;
    return new Promise((resolve, reject) => {
      this.#pending.set(id, { resolve, reject });
      this.#socket.send(JSON.stringify({ jsonrpc: '2.0', id, method, params }));
    });
  }
}
