// `npm run test:processors -- [filter]...`: the engine's C++ tests as other processors than this one run them. With AMX, whose
// instructions are emulated, where this one has AVX512 bf16 (it needs objdump); with AVX2 alone and with neither, where
// qemu-x86_64 is. What cannot be had here is named as skipped. Minutes each: no part of `npm test`.
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import { libTorchThatAsks } from './test/amx-libtorch.mjs'
import { buildCoreTests } from './test/native-build.mjs'
import { report, root, run, runNativeTests } from './test/runners.mjs'

const filters = process.argv.slice(2)
const folder = path.join(root, 'build', 'core')
const OLDER = { Haswell: 'AVX2', Nehalem: 'neither AVX2 nor AVX512' }

const has = (command) => spawnSync('sh', ['-c', `command -v ${command}`]).status === 0
const skipped = (name, why) => ({ name, passed: 0, failed: 0, skipped: [why] })

function testWithAmx({ program, libtorch }) {
  const flags = fs.existsSync('/proc/cpuinfo') ? fs.readFileSync('/proc/cpuinfo', 'utf8') : ''
  if (/\bamx_bf16\b/.test(flags)) return skipped('amx', 'this processor has it: npm run test:native')
  if (!/\bavx512_bf16\b/.test(flags)) return skipped('amx', 'the emulator needs a processor with AVX512 bf16')
  if (!has('objdump')) return skipped('amx', 'needs objdump (binutils)')
  const emulator = path.join(folder, 'amx_emulator.so')
  run(process.env.CXX ?? 'c++', ['-std=c++20', '-O2', '-mavx512f', '-mavx512bw', '-mavx512bf16', '-shared', '-fPIC', '-o', emulator, 'test/native/amx/emulator.cc', '-ldl'])
  const products = path.join(folder, 'amx-products')
  fs.rmSync(products, { force: true })
  const env = { LD_PRELOAD: emulator, LD_LIBRARY_PATH: libTorchThatAsks(libtorch, path.join(folder, 'amx-libtorch')), FT_AMX_PRODUCTS: products }
  const result = runNativeTests(program, { filters, env, name: 'amx' })
  const count = fs.existsSync(products) ? Number(fs.readFileSync(products, 'utf8')) : 0
  // A LibTorch that did not ask the emulator would pass without a single tile.
  return { ...result, failed: result.failed + (count > 0 || filters.length > 0 ? 0 : 1), note: `${count} products of tiles` }
}

const results = []
try {
  const built = buildCoreTests(folder)
  results.push(testWithAmx(built))
  for (const [processor, what] of Object.entries(OLDER)) {
    const name = `${processor}: ${what}`
    if (has('qemu-x86_64')) results.push(runNativeTests('qemu-x86_64', { filters: ['-cpu', processor, built.program, ...filters], name }))
    else results.push(skipped(name, 'needs qemu-x86_64 (qemu-user)'))
  }
} catch (error) {
  console.error(error.message)
  results.push({ name: 'build', passed: 0, failed: 1, skipped: [] })
}
process.exit(report(results))
