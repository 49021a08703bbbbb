// The versions that setup gets, where from, and the SHA-256 of each file. A wheel of torch is a whole
// LibTorch; which Python it is for does not matter, no Python code of it is used.

export const libtorchVersion = '2.13.0'
export const oldestLibtorch = '2.11.0'
export const wheelIndex = 'https://download.pytorch.org/whl'

/** By `${process.platform}-${process.arch}`. */
export const cpuWheels = {
  'linux-x64': {
    file: 'torch-2.13.0+cpu-cp311-cp311-manylinux_2_28_x86_64.whl',
    sha256: '6746dbcbeb526eb61330b76b41ff1b4eb848951103a892eeb080dfa2b264667b',
  },
  'linux-arm64': {
    file: 'torch-2.13.0+cpu-cp311-cp311-manylinux_2_28_aarch64.whl',
    sha256: '84453b69508ec79902f899c5ed9495acb9e2bbe9fda5f1d5d6f19e3c3842e1a7',
  },
  'darwin-arm64': {
    file: 'torch-2.13.0-cp311-cp311-macosx_14_0_arm64.whl',
    sha256: 'e76f9bcecc52b8ff711239a2f7547d5353df95878ab232f0773c1d95928b92f8',
  },
  'win32-x64': {
    file: 'torch-2.13.0+cpu-cp311-cp311-win_amd64.whl',
    sha256: '10717d8b3b67c45a4788bf7ffc0bab1ea1e5ebbedd24466be6100102d141fac1',
  },
}

/** CUDA builds, newest first: a driver runs those up to the CUDA version that it names. */
export const cudaVariants = [
  { name: 'cu130', cuda: 13.0 },
  { name: 'cu126', cuda: 12.6 },
]

export const sentencepieceSource = {
  version: '0.2.1',
  url: 'https://github.com/google/sentencepiece/archive/refs/tags/v0.2.1.tar.gz',
  file: 'sentencepiece-0.2.1.tar.gz',
  sha256: 'c1a59e9259c9653ad0ade653dadff074cd31f0a6ff2a11316f67bee4189a8f1b',
}
