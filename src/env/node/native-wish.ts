// Whether native code is wanted: what whoever makes an Environment says, else the variable CALLBOARD_NATIVE. Threads
// that are started from there make environments and codecs of their own, and hear it by that variable.
const VARIABLE = 'CALLBOARD_NATIVE';
const OFF = 'off';

export function isNativeWanted(isNativeEnabled: boolean | undefined): boolean {
  return isNativeEnabled ?? process.env[VARIABLE] !== OFF;
}

/** The variables of a thread; undefined: those of this one say the same. */
export function variablesOf(isNative: boolean): NodeJS.ProcessEnv | undefined {
  if (isNativeWanted(undefined) === isNative) return undefined;
  return { ...process.env, [VARIABLE]: isNative ? 'on' : OFF };
}
