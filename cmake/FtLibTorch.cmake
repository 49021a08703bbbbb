# Imports LibTorch by hand: its own TorchConfig.cmake looks for protobuf, MKL and a CUDA toolkit that
# programs linking the shared libraries do not need. Defines the targets
#   ft::torch   headers and libraries          ft::fmt   the bundled fmt, header-only
# and FT_LIBTORCH_VERSION, FT_LIBTORCH_CUDA, FT_LIBTORCH_RUNTIME (files to place beside the addon).

if(NOT LIBTORCH OR NOT EXISTS "${LIBTORCH}/include/ATen/ATen.h")
  message(FATAL_ERROR "LIBTORCH='${LIBTORCH}' is not a LibTorch folder (no include/ATen/ATen.h). "
    "Pass -DLIBTORCH=<folder>: an unpacked LibTorch 2.13, or the torch folder of a Python install "
    "(python3 -c 'import torch; print(torch.__path__[0])'), or run `npm run build`, which finds or downloads one.")
endif()
get_filename_component(LIBTORCH_DIR "${LIBTORCH}" REALPATH)
set(torch_lib_dir "${LIBTORCH_DIR}/lib")

set(version_header "${LIBTORCH_DIR}/include/torch/headeronly/version.h")
if(NOT EXISTS "${version_header}")
  set(version_header "${LIBTORCH_DIR}/include/torch/csrc/api/include/torch/version.h")
endif()
set(FT_LIBTORCH_VERSION "")
foreach(part MAJOR MINOR PATCH)
  file(STRINGS "${version_header}" line REGEX "#define TORCH_VERSION_${part} [0-9]+")
  string(REGEX REPLACE ".*TORCH_VERSION_${part} ([0-9]+).*" "\\1" number "${line}")
  list(APPEND FT_LIBTORCH_VERSION "${number}")
endforeach()
list(JOIN FT_LIBTORCH_VERSION "." FT_LIBTORCH_VERSION)
if(FT_LIBTORCH_VERSION VERSION_LESS 2.11)
  message(FATAL_ERROR "LibTorch ${FT_LIBTORCH_VERSION} in ${LIBTORCH_DIR} is too old: 2.13 is tested, 2.11 is the oldest that compiles")
endif()

# The C++ ABI of std::string that LibTorch was built with: named in its CMake files where it is not the default.
set(torch_abi 1)
if(EXISTS "${LIBTORCH_DIR}/share/cmake/Torch/TorchConfig.cmake")
  file(STRINGS "${LIBTORCH_DIR}/share/cmake/Torch/TorchConfig.cmake" abi_line REGEX "_GLIBCXX_USE_CXX11_ABI=0")
  if(abi_line)
    set(torch_abi 0)
  endif()
endif()

function(ft_torch_library name out)
  find_library(found NAMES ${name} PATHS "${torch_lib_dir}" NO_DEFAULT_PATH NO_CACHE)
  set(${out} "${found}" PARENT_SCOPE)
endfunction()

set(torch_libraries "")
foreach(name torch_cpu c10)
  ft_torch_library(${name} library)
  if(NOT library)
    message(FATAL_ERROR "${torch_lib_dir} has no lib${name}: LibTorch there is incomplete. Remove the folder and install again.")
  endif()
  list(APPEND torch_libraries "${library}")
endforeach()

# A CUDA build registers its kernels when libtorch_cuda is loaded; nothing of ours calls into it by name,
# so the linker must be told to keep it.
ft_torch_library(torch_cuda torch_cuda_library)
ft_torch_library(c10_cuda c10_cuda_library)
set(FT_LIBTORCH_CUDA OFF)
if(torch_cuda_library)
  set(FT_LIBTORCH_CUDA ON)
  if(MSVC)
    list(APPEND torch_libraries "${torch_cuda_library}" "${c10_cuda_library}")
  else()
    list(APPEND torch_libraries "-Wl,--no-as-needed" "${torch_cuda_library}" "${c10_cuda_library}" "-Wl,--as-needed")
  endif()
endif()

# OpenMP: at::parallel_for runs threads only in files compiled with it, and the one runtime in the process
# must be LibTorch's own, so its file is linked by path and the compiler's -lgomp is left out.
file(GLOB torch_openmp "${torch_lib_dir}/libgomp*.so*" "${torch_lib_dir}/libiomp5.*" "${torch_lib_dir}/libomp.*")
find_package(OpenMP QUIET COMPONENTS CXX)

add_library(ft_torch INTERFACE)
add_library(ft::torch ALIAS ft_torch)
target_include_directories(ft_torch SYSTEM INTERFACE
  "${LIBTORCH_DIR}/include" "${LIBTORCH_DIR}/include/torch/csrc/api/include")
target_link_libraries(ft_torch INTERFACE ${torch_libraries} ft_flags)
find_package(Threads REQUIRED)
target_link_libraries(ft_torch INTERFACE Threads::Threads)
if(OpenMP_CXX_FOUND)
  target_compile_options(ft_torch INTERFACE $<$<COMPILE_LANGUAGE:CXX>:${OpenMP_CXX_FLAGS}>)
  if(OpenMP_CXX_INCLUDE_DIRS)
    target_include_directories(ft_torch SYSTEM INTERFACE ${OpenMP_CXX_INCLUDE_DIRS})
  endif()
  if(torch_openmp)
    list(GET torch_openmp 0 openmp_library)
    target_link_libraries(ft_torch INTERFACE "${openmp_library}")
  else()
    target_link_libraries(ft_torch INTERFACE ${OpenMP_CXX_LIBRARIES})
  endif()
endif()
target_compile_definitions(ft_torch INTERFACE _GLIBCXX_USE_CXX11_ABI=${torch_abi})

# All of LibTorch's include folder, for the fmt in it: files of ft_io include nothing else from there,
# which scripts/check-floors.mjs checks.
add_library(ft_fmt INTERFACE)
add_library(ft::fmt ALIAS ft_fmt)
target_include_directories(ft_fmt SYSTEM INTERFACE "${LIBTORCH_DIR}/include")
target_compile_definitions(ft_fmt INTERFACE _GLIBCXX_USE_CXX11_ABI=${torch_abi})

# Where programs of the build tree find LibTorch, and the addon too where it can't be placed beside it.
set(FT_RUN_PATHS "${torch_lib_dir}")

# A pip install of a CUDA build finds cuBLAS and the rest relative to its own place (../nvidia/*/lib), so it
# must be used where it is. Everything else is placed beside the addon.
set(FT_LIBTORCH_MOVABLE ON)
if(FT_LIBTORCH_CUDA AND EXISTS "${LIBTORCH_DIR}/../nvidia")
  set(FT_LIBTORCH_MOVABLE OFF)
endif()

# ft_place_libtorch(<folder>): puts the shared libraries that the addon needs at run time into <folder>, as
# hard links where the file system allows, else as copies, so that the package can be moved and the cache
# removed. Files that are already there are left alone.
function(ft_place_libtorch folder)
  file(GLOB candidates "${torch_lib_dir}/*")
  list(FILTER candidates INCLUDE REGEX "\\.(so|dylib|dll)[.0-9]*$")
  list(FILTER candidates EXCLUDE REGEX "(torch_python|torchbind_test|jitbackend_test|backend_with_compiler|aoti_custom_ops|libshm|/shm\\.|global_deps)")
  file(MAKE_DIRECTORY "${folder}")
  foreach(source ${candidates})
    get_filename_component(name "${source}" NAME)
    set(target "${folder}/${name}")
    file(SIZE "${source}" source_size)
    file(TIMESTAMP "${source}" source_time)
    if(EXISTS "${target}")
      file(SIZE "${target}" target_size)
      file(TIMESTAMP "${target}" target_time)
      if(source_size EQUAL target_size AND source_time STREQUAL target_time)
        continue()
      endif()
      file(REMOVE "${target}")
    endif()
    get_filename_component(real "${source}" REALPATH)
    file(CREATE_LINK "${real}" "${target}" RESULT failed)
    if(failed)
      file(COPY_FILE "${real}" "${target}")
      file(COPY "${real}" DESTINATION "${folder}")  # keeps the time stamp, for the comparison above
    endif()
  endforeach()
endfunction()

# ft_program(<executable>): a program of the build tree; it loads LibTorch from where it is.
function(ft_program target)
  set_target_properties(${target} PROPERTIES BUILD_RPATH "${FT_RUN_PATHS}" RUNTIME_OUTPUT_DIRECTORY "${FT_OUTPUT_DIR}")
  if(NOT MSVC)
    # Position independent like the library, whose precompiled header it shares.
    set_target_properties(${target} PROPERTIES POSITION_INDEPENDENT_CODE OFF)
    target_compile_options(${target} PRIVATE -fPIC)
  endif()
  if(TARGET ft_sentencepiece)
    add_dependencies(${target} ft_sentencepiece)
  endif()
endfunction()

message(STATUS "LibTorch ${FT_LIBTORCH_VERSION} (${LIBTORCH_DIR}), CUDA ${FT_LIBTORCH_CUDA}")
