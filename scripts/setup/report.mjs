// What setup prints: one line a fact, progress of long transfers, and errors with their remedy. All on stderr.

export class SetupError extends Error {
  constructor(message, remedy = '', options = {}) {
    super(message, options)
    this.remedy = remedy
  }
}

/** Prints a line, unless FT_SETUP_QUIET is set (tests). */
export function say(message) {
  if (process.env.FT_SETUP_QUIET) return
  process.stderr.write(`ft-native setup: ${message}\n`)
}

export const megabytes = (bytes) => `${(bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0)} MB`

/** Reports progress of `total` bytes: a moving line on a terminal, else a line every tenth. */
export function progress(label, total) {
  let shown = -1
  return {
    update(done) {
      if (process.env.FT_SETUP_QUIET) return
      const percent = total > 0 ? Math.floor((100 * done) / total) : 0
      if (process.stderr.isTTY) {
        if (percent !== shown) process.stderr.write(`\rft-native setup: ${label} ${percent} % of ${megabytes(total)}  `)
        shown = percent
      } else if (Math.floor(percent / 10) > shown) {
        shown = Math.floor(percent / 10)
        say(`${label} ${percent} % of ${megabytes(total)}`)
      }
    },
    end() {
      if (process.stderr.isTTY && !process.env.FT_SETUP_QUIET) process.stderr.write('\n')
    },
  }
}
