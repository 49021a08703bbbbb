// Finds stop strings in text that arrives in pieces: text that may be the beginning of one is held back.

export class StopStrings {
  readonly #stops: readonly string[]
  #held = ''

  constructor(stops: readonly string[]) {
    this.#stops = stops.filter((stop) => stop !== '')
  }

  /** What is certain to come before any stop string. stopped: one was found, and nothing more comes. */
  push(piece: string): { text: string; stopped: boolean } {
    const text = this.#held + piece
    let end = -1
    for (const stop of this.#stops) {
      const index = text.indexOf(stop)
      if (index !== -1 && (end === -1 || index < end)) end = index
    }
    if (end !== -1) {
      this.#held = ''
      return { text: text.slice(0, end), stopped: true }
    }
    const keep = this.#possibleBeginning(text)
    this.#held = text.slice(text.length - keep)
    return { text: text.slice(0, text.length - keep), stopped: false }
  }

  /** The rest, when no more text comes. */
  end(): string {
    const rest = this.#held
    this.#held = ''
    return rest
  }

  /** Length of the longest end of `text` that begins a stop string. */
  #possibleBeginning(text: string): number {
    let longest = 0
    for (const stop of this.#stops) {
      for (let length = Math.min(stop.length - 1, text.length); length > longest; length--) {
        if (text.endsWith(stop.slice(0, length))) {
          longest = length
          break
        }
      }
    }
    return longest
  }
}
