// Progress of a long task on stderr: a bar in place on a terminal, now and then a plain line elsewhere
// (a log file, CI), nothing when quiet. cli-progress is loaded only when a bar is drawn.
import { createRequire } from 'node:module'
import type cliProgress from 'cli-progress'
import { setLiveBar } from './bar.js'
import { formatSeconds, isInteractive, wantsColor } from './terminal.js'

export interface ProgressOptions {
  total: number
  /** "training", "reading model" */
  label: string
  /** What is counted: "steps". Empty for bytes and the like, where only the share is shown. */
  unit?: string
  /** Characters of the bar. Default 28; fewer leave room for the note. */
  width?: number
  /** Draw nothing. */
  quiet?: boolean
  /** Default: process.stderr. */
  stream?: NodeJS.WriteStream
  color?: boolean
  /** Seconds between plain lines where there is no terminal. Default 15. */
  lineSeconds?: number
}

export interface Progress {
  /** `note` is shown behind the bar: "loss 1.234". */
  update(value: number, note?: string): void
  setTotal(total: number): void
  stop(): void
}

const none: Progress = { update: () => undefined, setTotal: () => undefined, stop: () => undefined }

export function createProgress(options: ProgressOptions): Progress {
  if (options.quiet) return none
  const stream = options.stream ?? process.stderr
  return isInteractive(stream) ? barProgress(options, stream) : lineProgress(options, stream)
}

function barProgress(options: ProgressOptions, stream: NodeJS.WriteStream): Progress {
  const { SingleBar } = createRequire(import.meta.url)('cli-progress') as typeof cliProgress
  const paint = (options.color ?? wantsColor(stream)) ? (text: string) => `\u001b[36m${text}\u001b[39m` : (text: string) => text
  const start = performance.now()
  const counts = options.unit ? ` {value}/{total} ${options.unit}` : ''
  const bar = new SingleBar({
    stream,
    format: `${options.label} ${paint('{bar}')} {percentage} %${counts}  {left}  {note}`,
    barCompleteChar: '█',
    barIncompleteChar: '░',
    barsize: options.width ?? 28,
    hideCursor: true,
    fps: 8,
    stopOnComplete: false,
    linewrap: false,
    gracefulExit: false,
  })
  let total = options.total
  let value = 0
  let note = ''
  const payload = () => ({ note, left: timeLeft(start, value, total) })
  bar.start(total, 0, payload())
  // A process that ends in the middle must not leave the terminal without a cursor.
  const showCursor = (): void => void stream.write('\n\u001b[?25h')
  process.once('exit', showCursor)
  setLiveBar({
    clear: () => stream.write('\r\u001b[K'),
    draw: () => bar.render(),
  })
  return {
    update(next, nextNote) {
      value = next
      if (nextNote !== undefined) note = nextNote
      bar.update(value, payload())
    },
    setTotal(next) {
      total = next
      bar.setTotal(next)
    },
    stop() {
      setLiveBar(null)
      process.off('exit', showCursor)
      bar.stop()
    },
  }
}

function lineProgress(options: ProgressOptions, stream: NodeJS.WriteStream): Progress {
  const interval = (options.lineSeconds ?? 15) * 1000
  const start = performance.now()
  let total = options.total
  let shownAt = start
  let shown = -1
  let value = 0
  let note = ''
  const show = (): void => {
    shown = value
    shownAt = performance.now()
    const counts = options.unit ? ` ${value}/${total} ${options.unit}` : ''
    const share = total > 0 ? ` ${Math.floor((100 * value) / total)} %` : ''
    const left = timeLeft(start, value, total)
    stream.write(`${options.label}:${counts}${share}${left ? `, ${left}` : ''}${note ? `, ${note}` : ''}\n`)
  }
  return {
    update(next, nextNote) {
      value = next
      if (nextNote !== undefined) note = nextNote
      if (performance.now() - shownAt >= interval) show()
    },
    setTotal(next) {
      total = next
    },
    stop() {
      if (value !== shown && value > 0) show()
    },
  }
}

/** "3 min 20 s left", or "" before anything is done. */
function timeLeft(start: number, value: number, total: number): string {
  if (value <= 0 || total <= value) return ''
  const seconds = (performance.now() - start) / 1000
  return `${formatSeconds((seconds / value) * (total - value))} left`
}
