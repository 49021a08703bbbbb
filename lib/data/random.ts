// Random order that depends on nothing but its keys: the same on every machine, and ready at any epoch.
// sfc32 (Chris Doty-Humphrey, PractRand) seeded through splitmix32.

/** A stream of uniform 32-bit numbers for these keys. */
export function randomStream(...keys: readonly number[]): () => number {
  let state = 0x9e3779b9
  const mix = (): number => {
    state = (state + 0x9e3779b9) | 0
    let z = state
    z = Math.imul(z ^ (z >>> 16), 0x85ebca6b)
    z = Math.imul(z ^ (z >>> 13), 0xc2b2ae35)
    return (z ^ (z >>> 16)) | 0
  }
  for (const key of keys) {
    // Both halves of a number up to 2^53, and its sign.
    const whole = Math.abs(Math.trunc(key))
    state ^= Math.imul(whole % 0x1_0000_0000, 0x01000193) ^ (key < 0 ? 0x5bd1e995 : 0)
    state = mix() ^ Math.floor(whole / 0x1_0000_0000)
    state = mix()
  }
  let a = mix()
  let b = mix()
  let c = mix()
  let counter = 1
  const next = (): number => {
    const sum = (((a + b) | 0) + counter) | 0
    counter = (counter + 1) | 0
    a = b ^ (b >>> 9)
    b = (c + (c << 3)) | 0
    c = ((c << 21) | (c >>> 11)) + sum | 0
    return sum >>> 0
  }
  for (let i = 0; i < 12; i++) next()
  return next
}

/** 0 … count - 1 in random order (Fisher-Yates, unbiased). */
export function shuffled(count: number, next: () => number): Int32Array {
  const order = inOrder(count)
  for (let i = count - 1; i > 0; i--) {
    const j = below(i + 1, next)
    const swap = order[i] as number
    order[i] = order[j] as number
    order[j] = swap
  }
  return order
}

/** 0 … count - 1 */
export function inOrder(count: number): Int32Array {
  const order = new Int32Array(count)
  for (let i = 0; i < count; i++) order[i] = i
  return order
}

/** Uniform in [0, bound): numbers of the last, incomplete round are thrown away. */
function below(bound: number, next: () => number): number {
  // 2^32 modulo bound, in 32-bit integers: the remainder of doubles takes several times as long.
  const limit = 0x1_0000_0000 - (((0x1_0000_0000 - bound) >>> 0) % (bound >>> 0))
  for (;;) {
    const number = next()
    if (number < limit) return (number >>> 0) % (bound >>> 0)
  }
}
