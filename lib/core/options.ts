// Options objects as programs pass them: TypeScript finds a misspelled name, JavaScript would train with the default.
import { didYouMean, fail } from './errors/index.js'

/** Errors: FT_INVALID_ARGUMENT for anything but an object, and for names that `call` does not know. */
export function checkOptionNames(call: string, options: unknown, names: readonly string[]): void {
  if (typeof options !== 'object' || options === null || Array.isArray(options)) {
    fail('FT_INVALID_ARGUMENT', `${call}: the options must be an object`, { remedy: `known: ${names.join(', ')}` })
  }
  for (const name of Object.keys(options)) {
    if (!names.includes(name)) fail('FT_INVALID_ARGUMENT', `${call}: unknown option "${name}"`, { remedy: didYouMean(name, names) })
  }
}
