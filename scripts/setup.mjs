#!/usr/bin/env node
// What `npm install` runs: finds or gets LibTorch, builds the addon, compiles TypeScript. Everything that is
// current is left alone, so a second run takes seconds. Plain Node and the package's own dependencies.
//   --native           only LibTorch and the addon
//   --typescript       only TypeScript
//   --target <name>    another CMake target instead of the addon (ft_core_tests, ft_bench)
//   --libtorch         only find or get LibTorch, and print its folder on stdout
import { buildNative } from './setup/build.mjs'
import { findLibTorch } from './setup/libtorch.mjs'
import { findSentencepiece } from './setup/sentencepiece.mjs'
import { buildTypeScript } from './setup/typescript.mjs'
import { SetupError, say } from './setup/report.mjs'

function parseArguments(argv) {
  const options = { native: false, libtorch: false, typescript: false, target: undefined }
  for (let i = 0; i < argv.length; i++) {
    if (argv[i] === '--native') options.native = true
    else if (argv[i] === '--libtorch') options.libtorch = true
    else if (argv[i] === '--typescript') options.typescript = true
    else if (argv[i] === '--target' && argv[i + 1]) options.target = argv[++i]
    else throw new SetupError(`unknown argument ${argv[i]}`, 'Use --native, --typescript, --libtorch or --target <name>.')
  }
  return options
}

async function main() {
  const options = parseArguments(process.argv.slice(2))
  if (options.typescript) {
    buildTypeScript()
    return
  }
  const libtorch = await findLibTorch()
  if (options.libtorch) {
    process.stdout.write(libtorch.folder + '\n')
    return
  }
  const sentencepiece = await findSentencepiece()
  await buildNative({ libtorch, sentencepiece, target: options.target })
  if (!options.native && !options.target) buildTypeScript()
  if (!options.target) say('ready')
}

main().catch((error) => {
  if (error instanceof SetupError) console.error(`\nft-native setup: ${error.message}\n${error.remedy ? error.remedy + '\n' : ''}`)
  else console.error(error)
  process.exit(1)
})
