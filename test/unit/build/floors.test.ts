// The floors check: this repository keeps the floors, and each kind of violation is found in a bad sample.
import { expect } from 'chai'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { checkNative } from '../../../scripts/floors/native.mjs'
import { checkTypeScript } from '../../../scripts/floors/typescript.mjs'

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../../..')
const table = 'constexpr Row kTable[] = {\n    {"llama", ParseLlama},\n};\n'

describe('floors', () => {
  let folder = ''
  beforeEach(() => {
    folder = mkdtempSync(path.join(os.tmpdir(), 'ft-floors-'))
  })
  afterEach(() => {
    rmSync(folder, { recursive: true, force: true })
  })

  const write = (file: string, text: string): void => {
    const full = path.join(folder, file)
    mkdirSync(path.dirname(full), { recursive: true })
    writeFileSync(full, text)
  }
  const nativeProblems = (): string[] => checkNative(folder).violations.map(({ file, line, message }) => `${file}:${line}: ${message}`)
  const typescriptProblems = (): string[] => checkTypeScript(folder).violations.map(({ file, line, message }) => `${file}:${line}: ${message}`)

  it('are kept by this repository', () => {
    const native = checkNative(root)
    const typescript = checkTypeScript(root)
    expect(native.files).to.be.greaterThan(20)
    expect(typescript.files).to.be.greaterThan(20)
    expect([...native.violations, ...typescript.violations]).to.deep.equal([])
  })

  it('accept what goes down or stays', () => {
    write('native/core/nn/mlp.cpp', '#include <ATen/ATen.h>\n#include "core/nn/mlp.h"\n#include "core/io/reader.h"\n#include "core/base/error.h"\n')
    write('native/binding/x.cpp', '#include <napi.h>\n#include "core/engine/model.h"\n')
    write('lib/trainers/a.ts', "import { b } from './b.js'\nimport { c } from '../models/c.js'\nimport type { NativeBatch } from '../native/binding.js'\n")
    write('lib/index.ts', "export { a } from './trainers/a.js'\n")
    write('lib/cli/main.ts', "const library = await import('../index.js')\n")
    expect(nativeProblems()).to.deep.equal([])
    expect(typescriptProblems()).to.deep.equal([])
  })

  it('find an include that goes up, or across one floor', () => {
    write('native/core/nn/a.cpp', '// comment\n#include "core/engine/model.h"\n')
    write('native/core/adapters/b.cpp', '#include "core/optim/adamw.h"\n')
    expect(nativeProblems()).to.deep.equal([
      'native/core/adapters/b.cpp:1: "core/optim/adamw.h": adapters must not include from optim, which is on the same floor',
      'native/core/nn/a.cpp:2: "core/engine/model.h": nn must not include from engine, which is above',
    ])
  })

  it('find JavaScript in the engine', () => {
    write('native/core/engine/a.cpp', '#include <napi.h>\n')
    write('native/core/engine/b.cpp', '#include "binding/convert.h"\n')
    expect(nativeProblems()).to.have.length(2)
    expect(nativeProblems()[0]).to.match(/engine\/a\.cpp:1: <napi\.h>: the engine knows no JavaScript/)
  })

  it('find LibTorch in what reads files, through a header too', () => {
    write('native/core/base/tensor_tools.h', '#include <string>\n#include <ATen/ATen.h>\n')
    write('native/core/io/reader.cpp', '#include "core/base/tensor_tools.h"\n')
    write('native/core/arch/x.cpp', '#include <c10/core/Device.h>\n')
    expect(nativeProblems()).to.deep.equal([
      'native/core/arch/x.cpp:1: arch must compile without LibTorch, but this leads to <c10/core/Device.h>',
      'native/core/io/reader.cpp:1: io must compile without LibTorch, but this leads to <ATen/ATen.h>',
    ])
  })

  it('find a model family outside arch/', () => {
    write('native/core/arch/arch_table.cpp', table)
    write('native/core/nn/a.cpp', '// as Llama does it\nif (rope == "llama3") {}\nif (type == "llama") {}\n')
    write('native/core/nn/b.cpp', 'bool IsLlama = false; struct Llama {};\n')
    expect(nativeProblems()).to.deep.equal([
      'native/core/nn/a.cpp:3: names the family llama: ask a fact of DecoderSpec instead',
      'native/core/nn/b.cpp:1: names the family Llama: ask a fact of DecoderSpec instead',
    ])
  })

  it('find includes that are not written from native/, and unknown folders', () => {
    write('native/core/nn/a.cpp', '#include "rope.h"\n')
    write('native/core/misc/b.cpp', '\n')
    expect(nativeProblems()).to.have.length(2)
    expect(nativeProblems().join('\n')).to.match(/misc is in no known folder|name misc/)
  })

  it('find an import that goes up, in every spelling', () => {
    write('lib/data/a.ts', [
      "import { x } from '../trainers/x.js'",
      'import {',
      '  y,',
      "} from '../cli/y.js'",
      "export * from '../models/z.js'",
      "const late = await import('../trainers/x.js')",
      "const old = require('../trainers/x.js')",
      "import '../models/z.js'",
      "// import { no } from '../cli/no.js'",
    ].join('\n'))
    expect(typescriptProblems().map((problem) => problem.split(':')[1])).to.deep.equal(['1', '4', '5', '6', '7', '8'])
  })

  it('find core on utils, and anything on the public surface', () => {
    write('lib/core/a.ts', "import { log } from '../utils/log.js'\n")
    write('lib/data/b.ts', "import { train } from '../index.js'\n")
    write('lib/index.ts', "export { run } from './cli/main.js'\n")
    expect(typescriptProblems()).to.have.length(3)
  })

  it('find calls of the addon outside models/ and data/tokenizer', () => {
    write('lib/trainers/a.ts', "import { native } from '../native/binding.js'\n")
    write('lib/data/loaders/b.ts', "import { native } from '../../native/binding.js'\n")
    write('lib/data/tokenizer/c.ts', "import { native } from '../../native/binding.js'\n")
    write('lib/models/d.ts', "import { native } from '../native/binding.js'\n")
    expect(typescriptProblems().map((problem) => problem.split(':')[0])).to.deep.equal(['lib/data/loaders/b.ts', 'lib/trainers/a.ts'])
  })
})
