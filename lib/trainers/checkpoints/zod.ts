// zod, loaded when the first file is checked: importing the package does not pay for it.
import { createRequire } from 'node:module'
import type { z } from 'zod'

export type Zod = typeof z

let loaded: Zod | undefined

export function zod(): Zod {
  loaded ??= (createRequire(import.meta.url)('zod') as { z: Zod }).z
  return loaded
}
