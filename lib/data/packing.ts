// Which rows share a window of max_seq_length tokens. Only that: rows are laid end to end in any case, and attention,
// positions and labels stay inside each row, so packing changes how much work a step holds and nothing else.
// The other way, wrapped windows, which rows run across, is in wrapping.ts.

/**
 * Best-fit decreasing: the longest rows first, rows of one length in the given order; each goes into the window with the least room
 * that holds it, else into a new one. Windows, and the rows in each, come in the given order: a window stands where its first row
 * does. REQUIRES lengths from 1 to windowLength. Pure: the same order and lengths, the same windows. Linear in rows and windowLength.
 */
export function packWindows(order: readonly number[], lengths: ArrayLike<number>, windowLength: number): number[][] {
  const windowOf = new Int32Array(order.length)
  const rooms = new Rooms(windowLength, order.length)
  let windows = 0
  for (const place of longestFirst(order, lengths, windowLength)) {
    const length = lengths[order[place] as number] as number
    const room = rooms.least(length)
    const window = room < 0 ? windows++ : rooms.take(room)
    windowOf[place] = window
    rooms.put((room < 0 ? windowLength : room) - length, window)
  }
  const packed: number[][] = []
  const named = new Int32Array(windows).fill(-1)
  for (let place = 0; place < order.length; place++) {
    const window = windowOf[place] as number
    const at = named[window] as number
    if (at === -1) named[window] = packed.push([order[place] as number]) - 1
    else packed[at]?.push(order[place] as number)
  }
  return packed
}

/** Places of `order` by falling length, equal ones in order. A counting sort. */
function longestFirst(order: readonly number[], lengths: ArrayLike<number>, windowLength: number): Int32Array {
  const starts = new Int32Array(windowLength + 2)
  for (let place = 0; place < order.length; place++) starts[windowLength - (lengths[order[place] as number] as number) + 1]!++
  for (let i = 1; i < starts.length; i++) starts[i]! += starts[i - 1] as number
  const sorted = new Int32Array(order.length)
  for (let place = 0; place < order.length; place++) sorted[starts[windowLength - (lengths[order[place] as number] as number)]!++] = place
  return sorted
}

/** Windows by the room they have left: a bit a size, and bits over the words of bits, so that the next size is a few steps away. */
class Rooms {
  /** The window of each room that was put there last, and for each window the one put there before it; -1: none. */
  readonly #heads: Int32Array
  readonly #before: Int32Array
  /** Level 0 has a bit for each size; each bit of a level above stands for a word below. */
  readonly #levels: Uint32Array[] = []

  constructor(most: number, windows: number) {
    this.#heads = new Int32Array(most + 1).fill(-1)
    this.#before = new Int32Array(windows)
    for (let bits = most + 1; ; ) {
      const words = Math.ceil(bits / 32)
      this.#levels.push(new Uint32Array(words))
      if (words === 1) break
      bits = words
    }
  }

  /** The least room of at least `size` that a window has; -1: none. */
  least(size: number): number {
    let at = size
    for (let level = 0; level < this.#levels.length; level++) {
      const words = this.#levels[level] as Uint32Array
      const word = at >>> 5
      if (word >= words.length) return -1
      const found = (words[word] as number) & (-1 << (at & 31))
      if (found !== 0) return this.#descend(level, (word << 5) + lowestBit(found))
      at = word + 1
    }
    return -1
  }

  #descend(level: number, found: number): number {
    let at = found
    for (let below = level - 1; below >= 0; below--) at = (at << 5) + lowestBit((this.#levels[below] as Uint32Array)[at] as number)
    return at
  }

  put(room: number, window: number): void {
    // Full: nothing is looked for there.
    if (room === 0) return
    const head = this.#heads[room] as number
    this.#before[window] = head
    this.#heads[room] = window
    if (head !== -1) return
    let at = room
    for (const words of this.#levels) {
      words[at >>> 5]! |= 1 << (at & 31)
      at >>>= 5
    }
  }

  take(room: number): number {
    const window = this.#heads[room] as number
    this.#heads[room] = this.#before[window] as number
    if (this.#heads[room] !== -1) return window
    let at = room
    for (const words of this.#levels) {
      words[at >>> 5]! &= ~(1 << (at & 31))
      if (words[at >>> 5] !== 0) break
      at >>>= 5
    }
    return window
  }
}

function lowestBit(bits: number): number {
  return 31 - Math.clz32(bits & -bits)
}
