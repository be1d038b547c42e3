import type * as Everything from 'koffi';

export type Koffi = typeof Everything;
/** A function of the C library. It runs in the calling thread, which waits for it. */
export type Call = (...args: unknown[]) => number;

/** The C library, through koffi's foreign function interface. */
export interface LibC {
  koffi: Koffi;
  /** @param prototype as in a header, or name, result and arguments */
  func(name: string, result: string, args: string[]): Call;
  /** Of the call before, in this thread. */
  errno(): number;
}

let loading: Promise<LibC> | undefined;

/** Loaded when first needed. @throws Error where this machine has no koffi */
export function loadLibC(): Promise<LibC> {
  return (loading ??= load());
}

async function load(): Promise<LibC> {
  const imported = (await import('koffi')) as Partial<Koffi> & { default?: Koffi };
  // as a part of one file the agent gets the CommonJS package, elsewhere the module
  const koffi = imported.default ?? (imported as Koffi);
  const c = koffi.load(null);
  return { koffi, func: (name, result, args) => c.func(name, result, args) as Call, errno: () => koffi.errno() };
}
