// Which rows share a window of max_seq_length tokens. Only that: rows are laid end to end in any case, and attention,
// positions and labels stay inside each row, so packing changes how much work a step holds and nothing else.
// The other way, wrapped windows, which rows run across, is in wrapping.ts.

/** Windows and the rows in each, all in two flat arrays: a list of lists of a million rows would cost more than the rows' tokens. */
export class Windows {
  /** Window w holds #rows[#starts[w]] … #rows[#starts[w + 1] - 1]. */
  readonly #starts: Int32Array
  readonly #rows: Int32Array

  constructor(starts: Int32Array, rows: Int32Array) {
    this.#starts = starts
    this.#rows = rows
  }

  get length(): number {
    return this.#starts.length - 1
  }

  /** A view. */
  rows(window: number): Int32Array {
    return this.#rows.subarray(this.#starts[window], this.#starts[window + 1])
  }
}

/**
 * Best-fit decreasing: the longest rows first, rows of one length in the given order; each goes into the window with the least room
 * that holds it, else into a new one. Windows, and the rows in each, come in the given order: a window stands where its first row
 * does. REQUIRES lengths from 1 to windowLength. Pure: the same order and lengths, the same windows. Linear in rows and windowLength.
 */
export function packWindows(order: ArrayLike<number>, lengths: ArrayLike<number>, windowLength: number): Windows {
  const windowOf = new Int32Array(order.length)
  const rooms = new Rooms(windowLength, order.length)
  const { places, ends } = longestFirst(order, lengths, windowLength)
  let windows = 0
  for (let length = windowLength, i = 0; length >= 1; length--) {
    for (const end = ends[length] as number; i < end; i++) {
      const room = rooms.least(length)
      const window = room < 0 ? windows++ : rooms.take(room)
      windowOf[places[i] as number] = window
      rooms.put((room < 0 ? windowLength : room) - length, window)
    }
  }
  return inPlace(order, windowOf, windows)
}

/** Places of `order` by falling length, equal ones in order; ends[l]: behind the last of length l. A counting sort. */
function longestFirst(order: ArrayLike<number>, lengths: ArrayLike<number>, windowLength: number): { places: Int32Array; ends: Int32Array } {
  // Looked up once: these are scattered over all of memory.
  const own = new Int32Array(order.length)
  const ends = new Int32Array(windowLength + 2)
  for (let place = 0; place < own.length; place++) {
    const length = lengths[order[place] as number] as number
    own[place] = length
    ends[length - 1]!++
  }
  // ends[l] is where length l begins, and moves on with each.
  for (let length = windowLength; length >= 0; length--) ends[length]! += ends[length + 1] as number
  const places = new Int32Array(own.length)
  for (let place = 0; place < own.length; place++) places[ends[own[place] as number]!++] = place
  return { places, ends }
}

/** Windows by the place of their first row, rows by theirs. */
function inPlace(order: ArrayLike<number>, windowOf: Int32Array, windows: number): Windows {
  const named = new Int32Array(windows).fill(-1)
  const starts = new Int32Array(windows + 1)
  for (let place = 0, seen = 0; place < windowOf.length; place++) {
    const window = windowOf[place] as number
    if (named[window] === -1) named[window] = seen++
    const name = named[window] as number
    windowOf[place] = name
    starts[name + 1]!++
  }
  for (let window = 0; window < windows; window++) starts[window + 1]! += starts[window] as number
  const rows = new Int32Array(windowOf.length)
  const next = starts.slice(0, windows)
  for (let place = 0; place < windowOf.length; place++) rows[next[windowOf[place] as number]!++] = order[place] as number
  return new Windows(starts, rows)
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
