// Builds a target of CMakeLists.txt through cmake-js, in build/. The addon is left alone when nothing that it
// is made from has changed since; that is decided from a stamp, without starting CMake.
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import os from 'node:os'
import path from 'node:path'
import { buildFolder, packageRoot } from './paths.mjs'
import { SetupError, say } from './report.mjs'

const addon = path.join(buildFolder, 'Release', 'ft_native.node')
const stampFile = path.join(buildFolder, 'ft-native-stamp.json')

export async function buildNative({ libtorch, sentencepiece, target = 'ft_native' }) {
  const stamp = JSON.stringify({
    libtorch: `${libtorch.folder} ${libtorch.version}`,
    sentencepiece: `${sentencepiece.from} ${sentencepiece.version ?? ''}`,
    machine: `${process.platform}-${process.arch}`,
    sources: hashOfSources(),
  })
  if (target === 'ft_native' && isCurrent(stamp)) {
    say('the addon is current')
    return
  }
  checkCMake()
  const options = {
    LIBTORCH: libtorch.folder,
    FT_SENTENCEPIECE_ROOT: sentencepiece.root ?? '',
    FT_SENTENCEPIECE: sentencepiece.from === 'none' ? 'OFF' : 'ON',
  }
  configure(options)
  const jobs = parallelJobs()
  say(`building ${target} with ${jobs} ${jobs === 1 ? 'job' : 'jobs'}; the first time takes a few minutes`)
  const started = Date.now()
  if (cmakeJs('build', options, ['--target', target, '--parallel', String(jobs)]) !== 0) {
    throw new SetupError(`building ${target} failed; the compiler's message is above.`,
      'Needed: a C++20 compiler (g++ 11 or later, clang 14 or later, Visual Studio 2022) and about 1.5 GB of memory a job (FT_BUILD_JOBS=1 for fewer). ' +
      '`npm run clean` and `npm run build` start afresh.')
  }
  if (target === 'ft_native') {
    if (!existsSync(addon)) throw new SetupError(`the build ended without ${addon}.`, 'Run `npm run clean` and `npm run build`.')
    writeFileSync(stampFile, stamp)
  }
  say(`built ${target} in ${Math.round((Date.now() - started) / 1000)} s`)
}

function isCurrent(stamp) {
  return existsSync(addon) && existsSync(stampFile) && readFileSync(stampFile, 'utf8') === stamp
}

/** Names and contents of everything that the addon is compiled from. */
function hashOfSources() {
  const hash = createHash('sha256')
  const visit = (relative) => {
    const full = path.join(packageRoot, relative)
    if (statSync(full).isDirectory()) {
      for (const name of readdirSync(full).sort()) visit(path.join(relative, name))
    } else {
      hash.update(relative).update('\0').update(readFileSync(full)).update('\0')
    }
  }
  for (const entry of ['CMakeLists.txt', 'cmake', 'native']) visit(entry)
  return hash.digest('hex')
}

function checkCMake() {
  const result = spawnSync('cmake', ['--version'], { encoding: 'utf8' })
  const version = /version (\d+)\.(\d+)/.exec(result.stdout ?? '')
  if (!version) throw new SetupError('CMake was not found.', 'Install CMake 3.21 or later (apt install cmake, brew install cmake, winget install Kitware.CMake).')
  if (Number(version[1]) * 1000 + Number(version[2]) < 3021) {
    throw new SetupError(`CMake ${version[1]}.${version[2]} is too old.`, 'Install CMake 3.21 or later, for example with `python3 -m pip install cmake`.')
  }
}

/** A configuration left by another generator or folder is dropped and made anew. */
function configure(options) {
  if (cmakeJs('configure', options) === 0) return
  if (existsSync(path.join(buildFolder, 'CMakeCache.txt'))) {
    say('configuring afresh')
    rmSync(path.join(buildFolder, 'CMakeCache.txt'), { force: true })
    rmSync(path.join(buildFolder, 'CMakeFiles'), { recursive: true, force: true })
    if (cmakeJs('configure', options) === 0) return
  }
  throw new SetupError('configuring the build failed; CMake\'s message is above.',
    'Needed: CMake 3.21 or later and a C++20 compiler (Debian: apt install cmake g++; macOS: xcode-select --install; Windows: Visual Studio 2022).')
}

/** Runs cmake-js and returns its exit status. */
function cmakeJs(command, options, more = []) {
  const require = createRequire(path.join(packageRoot, 'package.json'))
  const program = path.join(path.dirname(require.resolve('cmake-js/package.json')), 'bin', 'cmake-js')
  const definitions = Object.entries(options).map(([name, value]) => `--CD${name}=${value}`)
  const args = [program, command, '--directory', packageRoot, '--out', buildFolder, '--log-level', 'warn', ...definitions, ...more]
  return spawnSync(process.execPath, args, { cwd: packageRoot, stdio: ['ignore', 2, 2] }).status
}

/** FT_BUILD_JOBS, else as many as there are cores, while each has about 1.5 GB of memory. */
function parallelJobs(env = process.env) {
  const asked = Number(env.FT_BUILD_JOBS ?? env.CMAKE_BUILD_PARALLEL_LEVEL)
  if (Number.isInteger(asked) && asked > 0) return asked
  return Math.max(1, Math.min(os.availableParallelism(), Math.floor(os.freemem() / 1.5e9)))
}
