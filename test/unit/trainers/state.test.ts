// The transition table, exhaustively: every pair of state and move either leads where this list says or throws.
import { expect } from 'chai'
import { isFinal, next, trainingMoves, trainingStates, type TrainingMove, type TrainingState } from '../../../lib/trainers/state.js'
import { FineTuneError } from '../../../lib/core/errors/index.js'

const legal: [TrainingState, TrainingMove, TrainingState][] = [
  ['idle', 'prepare', 'preparing'],
  ['preparing', 'train', 'training'],
  ['preparing', 'interrupt', 'interrupted'],
  ['preparing', 'fail', 'failed'],
  ['training', 'evaluate', 'evaluating'],
  ['training', 'save', 'saving'],
  ['training', 'finish', 'finished'],
  ['training', 'interrupt', 'interrupted'],
  ['training', 'fail', 'failed'],
  ['evaluating', 'evaluated', 'training'],
  ['evaluating', 'fail', 'failed'],
  ['saving', 'saved', 'training'],
  ['saving', 'fail', 'failed'],
]

describe('training state machine', () => {
  for (const state of trainingStates) {
    for (const move of trainingMoves) {
      const expected = legal.find(([from, by]) => from === state && by === move)?.[2]
      it(`${state} + ${move} → ${expected ?? 'refused'}`, () => {
        if (expected !== undefined) {
          expect(next(state, move)).to.equal(expected)
          return
        }
        try {
          next(state, move)
          expect.fail('should have thrown')
        } catch (error) {
          expect(error).to.be.instanceOf(FineTuneError)
          expect((error as FineTuneError).code).to.equal('FT_TRAINING')
          expect((error as FineTuneError).message).to.include(state).and.include(move)
        }
      })
    }
  }

  it('ends in finished, interrupted and failed, and nowhere else', () => {
    expect(trainingStates.filter(isFinal)).to.deep.equal(['finished', 'interrupted', 'failed'])
  })
})
