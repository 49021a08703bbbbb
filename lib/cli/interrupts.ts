// SIGINT and SIGTERM. A command that handles signals sees its AbortSignal abort and ends by itself (a
// second signal ends the process at once); any other command ends at once.
import type { Interrupt } from './context.js'

const exitCodes = { SIGINT: 130, SIGTERM: 143 } as const

export interface Interrupts {
  readonly signal: AbortSignal
  readonly received: Interrupt | null
  /** True while a command that handles signals runs. */
  graceful: boolean
  dispose(): void
}

/** @param exit ends the process; a parameter for tests. */
export function watchInterrupts(exit: (code: number) => void = (code) => process.exit(code)): Interrupts {
  const controller = new AbortController()
  let received: Interrupt | null = null
  const onSignal = (signal: 'SIGINT' | 'SIGTERM'): void => {
    const exitCode = exitCodes[signal]
    if (!interrupts.graceful || received !== null) {
      exit(exitCode)
      return
    }
    received = { signal, exitCode }
    controller.abort(received)
  }
  process.on('SIGINT', onSignal)
  process.on('SIGTERM', onSignal)
  const interrupts: Interrupts = {
    signal: controller.signal,
    graceful: false,
    get received() {
      return received
    },
    dispose() {
      process.off('SIGINT', onSignal)
      process.off('SIGTERM', onSignal)
    },
  }
  return interrupts
}
