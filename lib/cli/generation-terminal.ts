// Lines of a person: typed at a terminal, with editing, history and a Ctrl-C that stops only the answer; or read from a pipe.
import { createInterface } from 'node:readline'

export interface LineSource {
  /** null: there are no more. */
  next(): Promise<string | null>
  /** While `work` runs, Ctrl-C calls `stop`. */
  during<T>(stop: () => void, work: () => Promise<T>): Promise<T>
  close(): void
}

const ctrlC = 0x03

/** @param output where the prompt and what is typed are shown; answers go to stdout. */
export function terminalLines(input: NodeJS.ReadStream, output: NodeJS.WriteStream, options: { prompt: string; hint: string; signal: AbortSignal }): LineSource {
  let history: string[] = []
  return {
    next: () =>
      new Promise((resolve) => {
        if (options.signal.aborted) return resolve(null)
        const reader = createInterface({ input, output, terminal: true, history: [...history], prompt: options.prompt, signal: options.signal })
        let line: string | null = null
        reader.on('history', (lines) => (history = lines))
        reader.on('line', (text) => {
          line = text
          reader.close()
        })
        reader.on('SIGINT', () => {
          if (reader.line === '') output.write(`\n${options.hint}`)
          output.write('\n')
          reader.write(null, { ctrl: true, name: 'u' })
          reader.prompt()
        })
        reader.on('close', () => resolve(line))
        reader.prompt()
      }),
    async during(stop, work) {
      // The terminal stays raw, so that Ctrl-C comes as a byte and not as a signal to the process.
      const onData = (bytes: Buffer): void => {
        if (bytes.includes(ctrlC)) stop()
      }
      input.setRawMode(true)
      input.on('data', onData)
      input.resume()
      try {
        return await work()
      } finally {
        input.off('data', onData)
        input.pause()
        input.setRawMode(false)
      }
    },
    close: () => undefined,
  }
}

export function pipeLines(input: NodeJS.ReadStream, options: { signal: AbortSignal }): LineSource {
  const reader = createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY, signal: options.signal })
  const lines = reader[Symbol.asyncIterator]()
  return {
    async next() {
      for (;;) {
        const { value, done } = (await lines.next()) as IteratorResult<string, undefined>
        if (done === true || options.signal.aborted) return null
        if (value.trim() !== '') return value
      }
    },
    during: (_stop, work) => work(),
    close: () => reader.close(),
  }
}
