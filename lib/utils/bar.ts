// The bar that is on the terminal now, if any: whoever writes to stderr steps around it.

export interface LiveBar {
  /** Takes the bar off the screen. */
  clear(): void
  /** Draws it again. */
  draw(): void
}

let live: LiveBar | null = null

export function setLiveBar(bar: LiveBar | null): void {
  live = bar
}

/** Runs `write` with the bar out of the way. */
export function aroundBar(write: () => void): void {
  live?.clear()
  write()
  live?.draw()
}
