// sentencepiece for `.model` tokenizers: pkg-config's, else built from its pinned source into the cache, else
// left out with a note. It is optional: everything but .model files works without it.
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { download } from './download.mjs'
import { cacheFolder } from './paths.mjs'
import { sentencepieceSource } from './pins.mjs'
import { SetupError, say } from './report.mjs'

/** → {from: 'pkg-config', version} | {from: 'source', version, root} | {from: 'none'} */
export async function findSentencepiece(env = process.env) {
  if (env.FT_SENTENCEPIECE === 'off') return { from: 'none' }
  const probe = spawnSync(env.PKG_CONFIG ?? 'pkg-config', ['--modversion', 'sentencepiece'], { encoding: 'utf8' })
  if (probe.status === 0) return { from: 'pkg-config', version: probe.stdout.trim() }
  const root = path.join(cacheFolder(env), `sentencepiece-${sentencepieceSource.version}`)
  const built = { from: 'source', version: sentencepieceSource.version, root }
  if (existsSync(path.join(root, 'VERSION'))) return built
  if (process.platform === 'win32') return leftOut('no source build on Windows')
  try {
    await buildFromSource(root)
    return built
  } catch (error) {
    if (!(error instanceof SetupError)) throw error
    return leftOut(error.message)
  }
}

function leftOut(reason) {
  say(`sentencepiece is left out (${reason}): .model tokenizers will not load, everything else works. ` +
    'To have it, install libsentencepiece-dev and pkg-config (or your system\'s equal) and run `npm run build`.')
  return { from: 'none' }
}

async function buildFromSource(root) {
  const { url, file, sha256, version } = sentencepieceSource
  const downloads = path.join(cacheFolder(), 'downloads')
  mkdirSync(downloads, { recursive: true })
  const archive = path.join(downloads, file)
  await download(url, archive, sha256)
  say(`building sentencepiece ${version} from source`)
  const scratch = mkdtempSync(`${root}.part-`)
  try {
    const run = (command, args) => {
      const result = spawnSync(command, args, { stdio: ['ignore', 'ignore', 2] })
      if (result.status !== 0) throw new SetupError(`${command} ${args[0]} failed while building sentencepiece`)
    }
    const build = path.join(scratch, 'build')
    run('tar', ['-xzf', archive, '-C', scratch])
    run('cmake', ['-S', path.join(scratch, `sentencepiece-${version}`), '-B', build, '-DCMAKE_BUILD_TYPE=Release', '-DSPM_ENABLE_SHARED=OFF',
      '-DSPM_ENABLE_TCMALLOC=OFF', '-DCMAKE_POSITION_INDEPENDENT_CODE=ON', '-DCMAKE_POLICY_VERSION_MINIMUM=3.5',
      `-DCMAKE_INSTALL_PREFIX=${path.join(scratch, 'root')}`, '-DCMAKE_INSTALL_LIBDIR=lib'])
    run('cmake', ['--build', build, '--parallel', '2'])
    run('cmake', ['--install', build])
    writeFileSync(path.join(scratch, 'root', 'VERSION'), version + '\n')
    rmSync(root, { recursive: true, force: true })
    renameSync(path.join(scratch, 'root'), root)
    rmSync(archive, { force: true })
  } finally {
    rmSync(scratch, { recursive: true, force: true })
  }
}
