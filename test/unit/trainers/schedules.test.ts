// Learning rates against transformers 5.17 get_scheduler(name, SGD(lr=2e-4), warmup, steps): get_last_lr() before each step.
import { expect } from 'chai'
import { schedules, warmupStepsOf } from '../../../lib/trainers/schedules.js'
import { names } from '../../../lib/core/registry.js'

const warm10 = [0, 6.666666666666667e-5, 0.00013333333333333334]
const full = (count: number): number[] => Array.from({ length: count }, () => 0.0002)
const ramp5 = [0, 4e-5, 8e-5, 0.00012, 0.00016]
const golden: { name: string; maxSteps: number; warmupSteps: number; rates: number[] }[] = [
  { name: 'constant', maxSteps: 10, warmupSteps: 3, rates: full(10) },
  { name: 'constant', maxSteps: 7, warmupSteps: 0, rates: full(7) },
  { name: 'constant_with_warmup', maxSteps: 10, warmupSteps: 3, rates: [...warm10, ...full(7)] },
  { name: 'constant_with_warmup', maxSteps: 7, warmupSteps: 0, rates: full(7) },
  { name: 'constant_with_warmup', maxSteps: 5, warmupSteps: 5, rates: ramp5 },
  {
    name: 'linear', maxSteps: 10, warmupSteps: 3,
    rates: [...warm10, 0.0002, 0.00017142857142857143, 0.00014285714285714287, 0.00011428571428571428, 8.571428571428571e-5, 5.714285714285714e-5, 2.857142857142857e-5],
  },
  {
    name: 'linear', maxSteps: 7, warmupSteps: 0,
    rates: [0.0002, 0.00017142857142857143, 0.00014285714285714287, 0.00011428571428571428, 8.571428571428571e-5, 5.714285714285714e-5, 2.857142857142857e-5],
  },
  { name: 'linear', maxSteps: 5, warmupSteps: 5, rates: ramp5 },
  {
    name: 'cosine', maxSteps: 10, warmupSteps: 3,
    rates: [...warm10, 0.0002, 0.0001900968867902419, 0.00016234898018587337, 0.00012225209339563145, 7.774790660436858e-5, 3.7651019814126654e-5, 9.903113209758096e-6],
  },
  {
    name: 'cosine', maxSteps: 7, warmupSteps: 0,
    rates: [0.0002, 0.0001900968867902419, 0.00016234898018587337, 0.00012225209339563145, 7.774790660436858e-5, 3.7651019814126654e-5, 9.903113209758096e-6],
  },
  { name: 'cosine', maxSteps: 5, warmupSteps: 5, rates: ramp5 },
]

describe('schedules', () => {
  for (const { name, maxSteps, warmupSteps, rates } of golden) {
    it(`${name} over ${maxSteps} steps with ${warmupSteps} of warmup`, () => {
      const schedule = schedules.get(name)
      const ours = Array.from({ length: maxSteps }, (_, step) => 2e-4 * schedule(step, { warmupSteps, maxSteps }))
      expect(ours).to.have.length(rates.length)
      ours.forEach((rate, step) => expect(rate, `step ${step}`).to.be.closeTo(rates[step] as number, 1e-18))
    })
  }

  it('never goes below zero past the end', () => {
    for (const name of ['linear', 'cosine']) expect(schedules.get(name)(12, { warmupSteps: 0, maxSteps: 10 })).to.be.at.least(0)
  })

  it('every name the configuration accepts has a function', () => {
    expect(schedules.names()).to.have.members(names.schedules.list())
  })

  it('rounds a warmup ratio up; a count wins', () => {
    expect(warmupStepsOf(10, { warmupRatio: 0.03 })).to.equal(1)
    expect(warmupStepsOf(100, { warmupRatio: 0.03 })).to.equal(3)
    expect(warmupStepsOf(101, { warmupRatio: 0.03 })).to.equal(4)
    expect(warmupStepsOf(10, { warmupRatio: 0 })).to.equal(0)
    expect(warmupStepsOf(100, { warmupRatio: 0.5, warmupSteps: 7 })).to.equal(7)
    expect(warmupStepsOf(100, { warmupRatio: 0.5, warmupSteps: 0 })).to.equal(0)
  })
})
