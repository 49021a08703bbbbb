// "Did you mean": edit distance and what counts as close.
import { expect } from 'chai'
import { didYouMean, editDistance, suggest } from '../../../lib/core/errors/index.js'

describe('editDistance', () => {
  const cases: [string, string, number][] = [
    ['', '', 0], ['', 'abc', 3], ['abc', '', 3], ['kitten', 'sitting', 3], ['same', 'same', 0],
    ['lerning', 'learning', 1], ['ab', 'ba', 1], ['abcd', 'acbd', 1], ['ca', 'abc', 3],
  ]
  for (const [a, b, distance] of cases) {
    it(`of "${a}" and "${b}" is ${distance}, both ways`, () => {
      expect(editDistance(a, b)).to.equal(distance)
      expect(editDistance(b, a)).to.equal(distance)
    })
  }
})

describe('suggest', () => {
  const known = ['learning_rate', 'batch_size', 'num_epochs', 'seed']

  it('finds a slip of the finger', () => {
    expect(suggest('learning_rte', known)).to.deep.equal(['learning_rate'])
    expect(suggest('bacth_size', known)).to.deep.equal(['batch_size'])
  })

  it('does not care for case, dashes and underscores', () => {
    expect(suggest('learningRate', known)).to.deep.equal(['learning_rate'])
    expect(suggest('batch-size', known)).to.deep.equal(['batch_size'])
  })

  it('finds a whole word of a name', () => {
    expect(suggest('epochs', known)).to.deep.equal(['num_epochs'])
  })

  it('has nothing for what is far away, or absurdly long', () => {
    expect(suggest('quantization', known)).to.deep.equal([])
    expect(suggest('x'.repeat(100_000), known)).to.deep.equal([])
  })

  it('didYouMean lists what is known when nothing is close', () => {
    expect(didYouMean('sed', known)).to.equal('did you mean "seed"?')
    expect(didYouMean('zzzz', known)).to.equal('known: learning_rate, batch_size, num_epochs, seed')
    expect(didYouMean('zzzz', [])).to.equal('none is known')
  })
})
