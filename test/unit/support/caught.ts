// The FineTuneError that work throws; any other outcome fails the test.
import { FineTuneError } from '../../../lib/core/errors/index.js'

export function caught(work: () => unknown): FineTuneError {
  try {
    work()
  } catch (error) {
    if (error instanceof FineTuneError) return error
    throw error
  }
  throw new Error('nothing was thrown')
}

export async function rejected(work: Promise<unknown>): Promise<FineTuneError> {
  try {
    await work
  } catch (error) {
    if (error instanceof FineTuneError) return error
    throw error
  }
  throw new Error('nothing was thrown')
}
