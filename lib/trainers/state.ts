// The states of one training run and the only moves between them: a pure table, without timers or files.
//   idle → preparing → training ⇄ evaluating, training ⇄ saving → finished | interrupted | failed
import { fail } from '../core/errors/index.js'

export const trainingStates = ['idle', 'preparing', 'training', 'evaluating', 'saving', 'finished', 'interrupted', 'failed'] as const
export type TrainingState = (typeof trainingStates)[number]

export const trainingMoves = ['prepare', 'train', 'evaluate', 'evaluated', 'save', 'saved', 'finish', 'interrupt', 'fail'] as const
export type TrainingMove = (typeof trainingMoves)[number]

const table = {
  idle: { prepare: 'preparing' },
  preparing: { train: 'training', interrupt: 'interrupted', fail: 'failed' },
  training: { evaluate: 'evaluating', save: 'saving', finish: 'finished', interrupt: 'interrupted', fail: 'failed' },
  evaluating: { evaluated: 'training', fail: 'failed' },
  saving: { saved: 'training', fail: 'failed' },
  finished: {},
  interrupted: {},
  failed: {},
} as const satisfies Record<TrainingState, Partial<Record<TrainingMove, TrainingState>>>

/** The state after `move`. Errors: FT_TRAINING when the table has no such move. */
export function next(state: TrainingState, move: TrainingMove): TrainingState {
  const moves: Partial<Record<TrainingMove, TrainingState>> = table[state]
  const after = moves[move]
  if (after !== undefined) return after
  const known = Object.keys(moves)
  return fail('FT_TRAINING', `a run that is ${state} cannot ${move}`, {
    remedy: known.length === 0 ? 'the run is over: start another' : `from here it can ${known.join(', ')}`,
    details: { state, move },
  })
}

/** True once nothing follows. */
export function isFinal(state: TrainingState): boolean {
  return Object.keys(table[state]).length === 0
}
