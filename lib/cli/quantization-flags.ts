// The flags that say how weights are kept, as options of loadModel.
import { fail } from '../core/errors/index.js'
import type { QuantizationOptions } from '../models/quantization.js'
import type { ParsedFlags } from './parsed-flags.js'

/** For commands outside of a configuration. */
export const quantizationFlags = ['load-in-4bit', 'load-in-8bit', 'quant-type', 'double-quant'] as const

const types = ['nf4', 'fp4'] as const

/** Errors: FT_INCOMPATIBLE_CONFIG. */
export function quantizationOf(flags: ParsedFlags): QuantizationOptions {
  const [loadIn4bit, loadIn8bit] = [flags.boolean('load-in-4bit') ?? false, flags.boolean('load-in-8bit') ?? false]
  if (loadIn4bit && loadIn8bit) fail('FT_INCOMPATIBLE_CONFIG', '--load-in-4bit and --load-in-8bit are both set', { remedy: 'keep one of them' })
  const given = (['quant-type', 'double-quant'] as const).find((name) => flags.has(name))
  if (given !== undefined && !loadIn4bit) fail('FT_INCOMPATIBLE_CONFIG', `--${given} is set, but weights are not loaded in 4 bits`, { remedy: 'add --load-in-4bit, or leave it out' })
  return { loadIn4bit, loadIn8bit, bnb4bitQuantType: flags.choice('quant-type', types), bnb4bitUseDoubleQuant: flags.boolean('double-quant') }
}
