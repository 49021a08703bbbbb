// Name tables and registries.
import { expect } from 'chai'
import { NameTable, Registry } from '../../../lib/core/registry.js'
import { caught } from '../support/caught.js'

describe('Registry', () => {
  const make = () => {
    const table = new NameTable('training method', ['lora', 'full'])
    return { table, registry: new Registry<number>(table) }
  }

  it('gives what was registered, and adds new names to the table', () => {
    const { table, registry } = make()
    registry.register('lora', 1)
    registry.register('mine', 2)
    expect(registry.get('mine')).to.equal(2)
    expect(registry.names()).to.deep.equal(['lora', 'mine'])
    expect(table.list()).to.deep.equal(['lora', 'full', 'mine'])
    expect(table.has('full')).to.equal(true)
  })

  it('names the nearest for an unknown name', () => {
    const { registry } = make()
    registry.register('lora', 1)
    const error = caught(() => registry.get('lroa'))
    expect(error).to.include({ code: 'FT_INVALID_CONFIG', message: 'unknown training method "lroa"', remedy: 'did you mean "lora"?' })
  })

  it('refuses a name that is taken, unless told to replace', () => {
    const { registry } = make()
    registry.register('lora', 1)
    expect(caught(() => registry.register('lora', 2)).code).to.equal('FT_PLUGIN')
    registry.register('lora', 3, { replace: true })
    expect(registry.get('lora')).to.equal(3)
  })

  it('refuses names that cannot be flags or keys', () => {
    const { registry } = make()
    for (const name of ['', ' x', 'a b', '-x', '1x', 'x'.repeat(65), '__proto__']) expect(caught(() => registry.register(name, 1)).code, name).to.equal('FT_INVALID_ARGUMENT')
  })
})
