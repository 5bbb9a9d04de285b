/**
 * A zeroed buffer for a secret. V8 keeps a `Buffer.alloc` of up to 64 bytes inside the object, in the
 * heap that its garbage collector moves: each move leaves a copy that nobody can zero any more. The
 * bytes of an `ArrayBuffer` of its own stay where they are, and are in no pool.
 */
export function allocateSecret(bytes: number): Buffer {
  return Buffer.from(new ArrayBuffer(bytes));
}
