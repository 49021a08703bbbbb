// zod, loaded with the first value that is checked, and once: an `import` beside a `require` would load
// two copies of it, at 50 ms each.
import { createRequire } from 'node:module'
import type { z } from 'zod'

export type Zod = typeof z

let loaded: Zod | undefined

export function zod(): Zod {
  loaded ??= (createRequire(import.meta.url)('zod') as { z: Zod }).z
  return loaded
}

/** Schemas that are made with their first use. */
export function lazily<T>(make: (z: Zod) => T): () => T {
  let made: T | undefined
  return () => (made ??= make(zod()))
}
