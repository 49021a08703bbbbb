// SIGINT and SIGTERM. A command that handles signals sees its AbortSignal abort and ends by itself (a
// second signal ends the process at once); any other command ends at once.
import type { Interrupt } from './context.js'

const exitCodes = { SIGINT: 130, SIGTERM: 143 } as const

export interface Interrupts {
  readonly signal: AbortSignal
  readonly received: Interrupt | null
  /** Called with true once a command that handles signals runs. */
  setGraceful(graceful: boolean): void
  dispose(): void
}

/** @param exit ends the process; a parameter for tests. */
export function watchInterrupts(exit: (code: number) => void = (code) => process.exit(code)): Interrupts {
  const controller = new AbortController()
  let graceful = false
  let received: Interrupt | null = null
  const onSignal = (signal: 'SIGINT' | 'SIGTERM'): void => {
    const exitCode = exitCodes[signal]
    if (!graceful || received !== null) {
      exit(exitCode)
      return
    }
    received = { signal, exitCode }
    controller.abort(received)
  }
  process.on('SIGINT', onSignal)
  process.on('SIGTERM', onSignal)
  return {
    signal: controller.signal,
    get received() {
      return received
    },
    setGraceful(value) {
      graceful = value
    },
    dispose() {
      process.off('SIGINT', onSignal)
      process.off('SIGTERM', onSignal)
    },
  }
}
