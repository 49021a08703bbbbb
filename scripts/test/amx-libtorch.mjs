// A copy of LibTorch that asks the AMX emulator (test/native/amx/emulator.cc) what the processor has: its `cpuid` becomes `ud2`, of
// the same two bytes, and its `xgetbv` `ud2` and one byte that tells them apart. Everything else is links.
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'

const library = 'libtorch_cpu.so'
const ud2 = [0x0f, 0x0b]
const replacements = {
  cpuid: { from: [0x0f, 0xa2], to: ud2 },
  xgetbv: { from: [0x0f, 0x01, 0xd0], to: [...ud2, 0xd0] },
}

/** Returns the folder to put before others in LD_LIBRARY_PATH. Made once for a LibTorch; needs objdump. */
export function libTorchThatAsks(libtorch, folder) {
  const source = path.join(libtorch, 'lib'), original = path.join(source, library)
  const { size, mtimeMs } = fs.statSync(original)
  const stamp = path.join(folder, 'made-from.json'), madeFrom = JSON.stringify({ original, size, mtimeMs })
  if (fs.existsSync(stamp) && fs.readFileSync(stamp, 'utf8') === madeFrom) return folder
  fs.rmSync(folder, { recursive: true, force: true })
  fs.mkdirSync(folder, { recursive: true })
  for (const name of fs.readdirSync(source)) {
    if (name !== library) fs.symlinkSync(path.join(source, name), path.join(folder, name))
  }
  const copy = path.join(folder, library)
  fs.copyFileSync(original, copy)
  replaceInstructions(copy)
  fs.writeFileSync(stamp, madeFrom)
  return folder
}

function replaceInstructions(file) {
  // The shell's pipe keeps gigabytes of disassembly out of this process.
  const found = spawnSync('sh', ['-c', 'objdump -d --no-show-raw-insn "$0" | grep -E "[[:space:]](cpuid|xgetbv)[[:space:]]*$"', file], { encoding: 'utf8', maxBuffer: 1 << 26 })
  const lines = (found.stdout ?? '').split('\n').map((line) => /^\s*([0-9a-f]+):\s+(\w+)/.exec(line)).filter((match) => match !== null)
  if (lines.length === 0) throw new Error(`objdump finds no cpuid in ${file}: ${(found.stderr ?? '').trim() || 'is it installed?'}`)
  const handle = fs.openSync(file, 'r+')
  try {
    for (const [, address, name] of lines) {
      const { from, to } = replacements[name], at = Number.parseInt(address, 16), bytes = Buffer.alloc(from.length)
      fs.readSync(handle, bytes, 0, from.length, at)  // code lies in the file at its addresses
      if (!bytes.equals(Buffer.from(from))) throw new Error(`${file} has no ${name} at ${address}: its code does not lie at its addresses`)
      fs.writeSync(handle, Buffer.from(to), 0, to.length, at)
    }
  } finally {
    fs.closeSync(handle)
  }
}
