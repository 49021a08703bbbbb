// Options objects as programs pass them: TypeScript finds a misspelled name, JavaScript would go on with the default.
import { didYouMean, fail } from './errors/index.js'

/** Every key of an options type: the compiler sees that none is missing. */
export type OptionNames<Options> = Readonly<Record<keyof Options, true>>

/** Errors: FT_INVALID_ARGUMENT for anything but an object, and for names that `call` does not know. */
export function checkOptions(call: string, options: unknown, names: Readonly<Record<string, true>>): void {
  const known = Object.keys(names)
  if (typeof options !== 'object' || options === null || Array.isArray(options)) {
    fail('FT_INVALID_ARGUMENT', `${call}: the options must be an object`, { remedy: `known: ${known.join(', ')}` })
  }
  for (const name of Object.keys(options)) {
    if (!Object.hasOwn(names, name)) fail('FT_INVALID_ARGUMENT', `${call}: unknown option "${name}"`, { remedy: didYouMean(name, known), details: { call, option: name } })
  }
}
