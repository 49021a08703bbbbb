// The floors themselves. A file may use its own folder and every folder on a lower floor; folders on one
// floor do not use each other.

/** native/core/…, lowest first, then native/binding. */
export const nativeFloors = [
  ['base'],
  ['kernels'],
  ['quant', 'io'],
  ['nn'],
  ['arch', 'adapters', 'objectives', 'optim', 'dist', 'text'],
  ['engine'],
  ['binding'],
]

/** Folders of native/core that must compile without LibTorch's headers (target ft_io). */
export const torchFreeFolders = ['io', 'arch', 'text']

/** lib/…, lowest first; lib/index.ts, the public surface, stands between trainers and cli. */
export const typescriptFloors = [
  ['core'],
  ['utils'],
  ['native'],
  ['hub'],
  ['data'],
  ['models'],
  ['evaluation'],
  ['trainers'],
  ['cli'],
]

/** Files of lib/ that may call the addon: models, and data for the tokenizer. Types are free to all above. */
export const nativeCallers = [/^native\//, /^models\//, /^data\/tokenizer/]
