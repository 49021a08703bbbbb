// The official CPU wheel from download.pytorch.org, by its pinned name and SHA-256. No Python needed.
import path from 'node:path'
import { download } from './download.mjs'
import { cpuWheels, wheelIndex } from './pins.mjs'
import { SetupError, say } from './report.mjs'

/** → [{path}] */
export async function downloadOfficialWheel(variant, folder) {
  if (variant !== 'cpu') throw new SetupError('the CUDA build comes as many wheels, which pip resolves')
  const wheel = cpuWheels[`${process.platform}-${process.arch}`]
  if (!wheel) throw new SetupError(`there is no official build for ${process.platform}-${process.arch}`)
  if (process.platform === 'linux' && !process.report.getReport().header.glibcVersionRuntime) {
    throw new SetupError('the official builds need glibc; this system has another C library')
  }
  const target = path.join(folder, wheel.file)
  say(`getting ${wheel.file}`)
  await download(`${wheelIndex}/cpu/${encodeURIComponent(wheel.file)}`, target, wheel.sha256)
  return [{ path: target }]
}
