// Memory that the system may write to disk and take away under pressure, also where there is no swap: pages of a file that
// has no name any more and goes with its last mapping. Free of LibTorch.
#pragma once

#include <cstddef>
#include <memory>

namespace ft {

/// `bytes` of zeros, aligned to pages, in the folder for temporary files (TMPDIR); its blocks are reserved, so that a disk
/// that fills up later takes nothing away. Errors: kStorage (no room, no such folder); kOutOfMemory.
std::shared_ptr<void> PagedMemory(size_t bytes);

}  // namespace ft
